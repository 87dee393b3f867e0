"""extras

Parts of an answer beside its text, as OpenAI's protocol has them: calls of tools, log probabilities.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op


revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('chat_messages', sa.Column('extras', sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column('chat_messages', 'extras')
