"""bounds and invitations

Members of before have accepted; what documents of before describe is not counted until they are replaced.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op


revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None

IS_WAITING = sa.text("status IN ('queued', 'processing')")
BIG = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    op.create_table('parser_usage',
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('seconds', sa.Float(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_parser_usage_user_id_users'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_parser_usage'))
    )
    op.add_column('collections', sa.Column('described_bytes', BIG, server_default='0', nullable=False))
    op.add_column('documents', sa.Column('described_bytes', sa.Integer(), server_default='0', nullable=False))
    op.add_column('documents', sa.Column('is_slow', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index('ix_documents_waiting', 'documents', ['collection_id'], sqlite_where=IS_WAITING, postgresql_where=IS_WAITING)
    op.add_column('collection_members', sa.Column('state', sa.String(length=8), server_default='accepted', nullable=False))
    op.add_column('collection_members', sa.Column('invited_at', sa.DateTime(timezone=True), server_default='1970-01-01 00:00:00', nullable=False))


def downgrade() -> None:
    op.execute("DELETE FROM collection_members WHERE state <> 'accepted'")
    op.drop_column('collection_members', 'invited_at')
    op.drop_column('collection_members', 'state')
    op.drop_index('ix_documents_waiting', table_name='documents')
    op.drop_column('documents', 'is_slow')
    op.drop_column('documents', 'described_bytes')
    op.drop_column('collections', 'described_bytes')
    op.drop_table('parser_usage')
