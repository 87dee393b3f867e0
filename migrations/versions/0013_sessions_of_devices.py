"""sessions of devices

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op


revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None

TIMES = ('seen_at', 'previous_issued_at', 'previous_seen_at', 'last_used_at')


def upgrade() -> None:
    with op.batch_alter_table('sessions') as batch:
        batch.add_column(sa.Column('access_jti', sa.String(length=32), nullable=True))
        for name in TIMES:
            batch.add_column(sa.Column(name, sa.DateTime(timezone=True), nullable=True))
        batch.add_column(sa.Column('user_agent', sa.String(length=256), nullable=True))
        batch.add_column(sa.Column('network', sa.String(length=43), nullable=True))
    # Nothing tells whether their tokens were used: as before, the spent one holds for ten seconds from its use.
    op.execute('UPDATE sessions SET seen_at = rotated_at')


def downgrade() -> None:
    with op.batch_alter_table('sessions') as batch:
        for name in ('network', 'user_agent', *TIMES, 'access_jti'):
            batch.drop_column(name)
