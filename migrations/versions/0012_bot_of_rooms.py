"""bot of rooms

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op


revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None

RUNNING = sa.text("status = 'pending'")
QUEUED = sa.text("status = 'queued'")
HAS_TURN = sa.text('turn_id IS NOT NULL')
PRIVATE = sa.text('visible_to IS NOT NULL')


def upgrade() -> None:
    with op.batch_alter_table('rooms') as batch:
        batch.add_column(sa.Column('bot', sa.String(length=8), server_default='mention', nullable=False))
        batch.add_column(sa.Column('instructions', sa.Text(), nullable=True))
        batch.add_column(sa.Column('collection_ids', sa.JSON(), nullable=True))
    with op.batch_alter_table('room_messages') as batch:
        batch.add_column(sa.Column('turn_id', sa.Uuid(), nullable=True))
        batch.add_column(sa.Column('status', sa.String(length=12), nullable=True))
        batch.add_column(sa.Column('error', sa.String(length=40), nullable=True))
        batch.add_column(sa.Column('citations', sa.JSON(), nullable=True))
        batch.add_column(sa.Column('audience', sa.JSON(), nullable=True))
        batch.add_column(sa.Column('withheld', sa.Integer(), nullable=True))
        batch.add_column(sa.Column('asker_id', sa.Uuid(), nullable=True))
        batch.add_column(sa.Column('visible_to', sa.Uuid(), nullable=True))
        batch.create_foreign_key(op.f('fk_room_messages_asker_id_users'), 'users', ['asker_id'], ['id'], ondelete='SET NULL')
        batch.create_foreign_key(op.f('fk_room_messages_visible_to_users'), 'users', ['visible_to'], ['id'], ondelete='CASCADE')
    op.create_index(op.f('ix_room_messages_asker_id'), 'room_messages', ['asker_id'])
    op.create_index('uq_room_messages_running', 'room_messages', ['room_id'], unique=True, sqlite_where=RUNNING, postgresql_where=RUNNING)
    op.create_index('ix_room_messages_queued', 'room_messages', ['room_id', 'seq'], sqlite_where=QUEUED, postgresql_where=QUEUED)
    op.create_index('ix_room_messages_turn', 'room_messages', ['turn_id'], sqlite_where=HAS_TURN, postgresql_where=HAS_TURN)
    op.create_index('ix_room_messages_private', 'room_messages', ['room_id', 'seq'], sqlite_where=PRIVATE, postgresql_where=PRIVATE)
    op.create_index(op.f('ix_room_messages_visible_to'), 'room_messages', ['visible_to'])
    op.create_table('room_message_sources',
    sa.Column('message_id', sa.Uuid(), nullable=False),
    sa.Column('collection_id', sa.Uuid(), nullable=False),
    sa.ForeignKeyConstraint(['message_id'], ['room_messages.id'], name=op.f('fk_room_message_sources_message_id_room_messages'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('message_id', 'collection_id', name=op.f('pk_room_message_sources'))
    )


def downgrade() -> None:
    op.drop_table('room_message_sources')
    for name in ('uq_room_messages_running', 'ix_room_messages_queued', 'ix_room_messages_turn', 'ix_room_messages_private', op.f('ix_room_messages_visible_to'), op.f('ix_room_messages_asker_id')):
        op.drop_index(name, 'room_messages')
    with op.batch_alter_table('room_messages') as batch:
        batch.drop_constraint(op.f('fk_room_messages_visible_to_users'), type_='foreignkey')
        batch.drop_constraint(op.f('fk_room_messages_asker_id_users'), type_='foreignkey')
        for name in ('visible_to', 'asker_id', 'withheld', 'audience', 'citations', 'error', 'status', 'turn_id'):
            batch.drop_column(name)
    with op.batch_alter_table('rooms') as batch:
        for name in ('collection_ids', 'instructions', 'bot'):
            batch.drop_column(name)
