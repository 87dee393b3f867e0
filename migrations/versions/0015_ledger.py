"""ledger

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op


revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None

MILLISECONDS = {
    'sqlite': "CAST(round((julianday({0}) - 2440587.5) * 86400000) AS INTEGER)",
    'postgresql': "CAST(floor(extract(epoch FROM {0}) * 1000) AS BIGINT)",
}
# What is known of the turns that are there; the other columns stay empty.
BACKFILL = """
INSERT INTO ledger (
    turn_id, opened_at_ms, user_id, conversation_id, room_id, entry, model, status, error,
    prompt_tokens, completion_tokens, total_ms, grounded, rating
)
SELECT
    chat_messages.id, {created}, chat_messages.user_id, conversation_id,
    (SELECT room_id FROM room_messages WHERE room_messages.turn_id = chat_messages.id LIMIT 1),
    CASE
        WHEN EXISTS (SELECT 1 FROM room_messages WHERE room_messages.turn_id = chat_messages.id) THEN 'room'
        WHEN chat_messages.listed THEN 'api' ELSE 'v1'
    END, model,
    CASE status WHEN 'streaming' THEN 'pending' ELSE status END, error,
    prompt_tokens, completion_tokens, CAST({completed} - {created} AS INTEGER), grounded, feedback.rating
FROM chat_messages JOIN conversations ON conversations.id = conversation_id
LEFT JOIN feedback ON feedback.turn_id = chat_messages.id
WHERE chat_messages.created_at >= conversations.created_at  -- the copies in forks are older
"""


def upgrade() -> None:
    op.create_table('ledger',
    sa.Column('turn_id', sa.Uuid(), nullable=False),
    sa.Column('opened_at_ms', sa.BigInteger(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=True),
    sa.Column('api_key_id', sa.Uuid(), nullable=True),
    sa.Column('conversation_id', sa.Uuid(), nullable=True),
    sa.Column('room_id', sa.Uuid(), nullable=True),
    sa.Column('collection_id', sa.Uuid(), nullable=True),
    sa.Column('entry', sa.String(length=4), nullable=False),
    sa.Column('model', sa.String(length=200), nullable=True),
    sa.Column('status', sa.String(length=12), nullable=False),
    sa.Column('error', sa.String(length=40), nullable=True),
    sa.Column('prompt_tokens', sa.Integer(), nullable=True),
    sa.Column('completion_tokens', sa.Integer(), nullable=True),
    sa.Column('micro_usd', sa.BigInteger(), nullable=True),
    sa.Column('first_text_ms', sa.Integer(), nullable=True),
    sa.Column('total_ms', sa.Integer(), nullable=True),
    sa.Column('passages', sa.Integer(), nullable=True),
    sa.Column('grounded', sa.Float(), nullable=True),
    sa.Column('rating', sa.SmallInteger(), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_ledger_user_id_users'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('turn_id', name=op.f('pk_ledger'))
    )
    milliseconds = MILLISECONDS[op.get_bind().dialect.name]
    op.execute(BACKFILL.format(created=milliseconds.format('chat_messages.created_at'), completed=milliseconds.format('completed_at')))
    op.create_index(op.f('ix_ledger_user_id_opened_at_ms'), 'ledger', ['user_id', 'opened_at_ms'])
    op.create_index(op.f('ix_ledger_opened_at_ms'), 'ledger', ['opened_at_ms'])
    op.create_index('ix_ledger_open', 'ledger', ['opened_at_ms'], sqlite_where=sa.text("status = 'pending'"), postgresql_where=sa.text("status = 'pending'"))


def downgrade() -> None:
    op.drop_table('ledger')
