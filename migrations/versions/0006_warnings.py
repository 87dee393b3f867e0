"""warnings

Which parts of a document could not be read.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op


revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('documents', sa.Column('warnings', sa.JSON(), server_default='[]', nullable=False))


def downgrade() -> None:
    op.drop_column('documents', 'warnings')
