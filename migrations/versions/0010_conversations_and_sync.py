"""conversations and sync

Conversations of before are titled by their first message; all that users have is a change of theirs, so that a device
finds it.

Revision ID: 0010
Revises: 0009
"""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op


revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None

IS_DELETED = sa.text('deleted')
BIG = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
LONG_AGO = '1970-01-01 00:00:00'
TITLE_LENGTH = 80

COUNT_TURNS = sa.text('''
UPDATE conversations SET
  listed = EXISTS (SELECT 1 FROM chat_messages m WHERE m.conversation_id = conversations.id AND m.listed),
  turns = (SELECT count(*) FROM chat_messages m WHERE m.conversation_id = conversations.id AND m.active AND m.listed),
  read_sequence = last_sequence,
  updated_at = created_at,
  activity_at = coalesce(
    (SELECT max(m.created_at) FROM chat_messages m WHERE m.conversation_id = conversations.id), created_at),
  title = (SELECT substr(m.user_message, 1, :length) FROM chat_messages m
    WHERE m.conversation_id = conversations.id ORDER BY m.sequence LIMIT 1),
  title_source = 'auto'
''')

# What a user may read, oldest first: their conversations and turns, the collections that are theirs or that they have
# joined, and the documents there.
RECORD_CHANGES = sa.text('''
WITH joined AS (
  SELECT owner_id AS user_id, id AS collection_id FROM collections WHERE owner_id IS NOT NULL
  UNION SELECT user_id, collection_id FROM collection_members WHERE state = 'accepted'
), things AS (
  SELECT user_id, 'conversation' AS type, id, created_at FROM conversations WHERE listed
  UNION ALL SELECT user_id, 'turn', id, created_at FROM chat_messages WHERE listed AND active
  UNION ALL SELECT j.user_id, 'collection', c.id, c.created_at FROM joined j JOIN collections c ON c.id = j.collection_id
  UNION ALL SELECT j.user_id, 'document', d.id, d.created_at FROM joined j JOIN documents d
    ON d.collection_id = j.collection_id
)
INSERT INTO sync_changes (user_id, type, object_id, position, deleted, changed_at)
SELECT user_id, type, id, row_number() OVER (PARTITION BY user_id ORDER BY created_at, id), false, created_at
FROM things
''')
COUNT_CHANGES = sa.text('INSERT INTO sync_counters SELECT user_id, max(position) FROM sync_changes GROUP BY user_id')


def upgrade() -> None:
    op.create_table('conversation_tags',
    sa.Column('conversation_id', sa.Uuid(), nullable=False),
    sa.Column('tag', sa.String(length=50), nullable=False),
    sa.Column('position', sa.SmallInteger(), nullable=False),
    sa.ForeignKeyConstraint(['conversation_id'], ['conversations.id'], name=op.f('fk_conversation_tags_conversation_id_conversations'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('conversation_id', 'tag', name=op.f('pk_conversation_tags'))
    )
    op.create_table('conversation_shares',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('conversation_id', sa.Uuid(), nullable=False),
    sa.Column('token_hash', sa.LargeBinary(length=32), nullable=False),
    sa.Column('last_sequence', sa.Integer(), nullable=False),
    sa.Column('title', sa.String(length=200), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['conversation_id'], ['conversations.id'], name=op.f('fk_conversation_shares_conversation_id_conversations'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_conversation_shares')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_conversation_shares_token_hash'))
    )
    op.create_index(op.f('ix_conversation_shares_conversation_id'), 'conversation_shares', ['conversation_id'])
    op.create_index(op.f('ix_conversation_shares_expires_at'), 'conversation_shares', ['expires_at'])
    op.create_table('conversation_summaries',
    sa.Column('conversation_id', sa.Uuid(), nullable=False),
    sa.Column('last_sequence', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('facts', sa.JSON(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['conversation_id'], ['conversations.id'], name=op.f('fk_conversation_summaries_conversation_id_conversations'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('conversation_id', 'last_sequence', name=op.f('pk_conversation_summaries'))
    )
    op.create_table('sync_counters',
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('position', BIG, nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_sync_counters_user_id_users'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_sync_counters'))
    )
    op.create_table('sync_changes',
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('type', sa.String(length=12), nullable=False),
    sa.Column('object_id', sa.Uuid(), nullable=False),
    sa.Column('position', BIG, nullable=False),
    sa.Column('deleted', sa.Boolean(), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_sync_changes_user_id_users'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', 'type', 'object_id', name=op.f('pk_sync_changes'))
    )
    op.create_index('uq_sync_changes_user_id_position', 'sync_changes', ['user_id', 'position'], unique=True)
    op.create_index('ix_sync_changes_deleted', 'sync_changes', ['changed_at'], sqlite_where=IS_DELETED, postgresql_where=IS_DELETED)
    state = op.create_table('sync_state',
    sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('epoch', sa.Uuid(), nullable=False),
    sa.Column('purged_before', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sync_state'))
    )
    op.bulk_insert(state, [{'id': 1, 'epoch': uuid4(), 'purged_before': None}])
    op.add_column('conversations', sa.Column('external_id', sa.String(length=255), nullable=True))
    op.add_column('conversations', sa.Column('title', sa.String(length=200), nullable=True))
    op.add_column('conversations', sa.Column('title_source', sa.String(length=4), nullable=True))
    op.add_column('conversations', sa.Column('pinned', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('conversations', sa.Column('archived', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('conversations', sa.Column('listed', sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column('conversations', sa.Column('instructions', sa.Text(), nullable=True))
    op.add_column('conversations', sa.Column('collection_ids', sa.JSON(), nullable=True))
    op.add_column('conversations', sa.Column('forked_from', sa.Uuid(), nullable=True))
    op.add_column('conversations', sa.Column('read_turn_id', sa.Uuid(), nullable=True))
    op.add_column('conversations', sa.Column('read_sequence', sa.Integer(), server_default='0', nullable=False))
    op.add_column('conversations', sa.Column('turns', sa.Integer(), server_default='0', nullable=False))
    op.add_column('conversations', sa.Column('revision', sa.Integer(), server_default='1', nullable=False))
    op.add_column('conversations', sa.Column('updated_at', sa.DateTime(timezone=True), server_default=LONG_AGO, nullable=False))
    op.add_column('conversations', sa.Column('activity_at', sa.DateTime(timezone=True), server_default=LONG_AGO, nullable=False))
    connection = op.get_bind()
    connection.execute(COUNT_TURNS, {'length': TITLE_LENGTH})
    connection.execute(RECORD_CHANGES)
    connection.execute(COUNT_CHANGES)
    op.create_index('uq_conversations_user_id_external_id', 'conversations', ['user_id', 'external_id'], unique=True)
    op.create_index(op.f('ix_conversations_user_id_activity_at_id'), 'conversations', ['user_id', 'activity_at', 'id'])
    op.drop_index(op.f('ix_conversations_user_id'), table_name='conversations')


def downgrade() -> None:
    op.create_index(op.f('ix_conversations_user_id'), 'conversations', ['user_id'])
    op.drop_index(op.f('ix_conversations_user_id_activity_at_id'), table_name='conversations')
    op.drop_index('uq_conversations_user_id_external_id', table_name='conversations')
    for column in (
        'activity_at', 'updated_at', 'revision', 'turns', 'read_sequence', 'read_turn_id', 'forked_from',
        'collection_ids', 'instructions', 'listed', 'archived', 'pinned', 'title_source', 'title', 'external_id',
    ):
        op.drop_column('conversations', column)
    for table in (
        'sync_state', 'sync_changes', 'sync_counters', 'conversation_summaries', 'conversation_shares',
        'conversation_tags',
    ):
        op.drop_table(table)
