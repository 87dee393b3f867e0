"""columns

The names of a table's columns, with each chunk that begins in its middle.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op


revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('chunks', sa.Column('columns', sa.Text(), server_default='', nullable=False))


def downgrade() -> None:
    op.drop_column('chunks', 'columns')
