"""erasures

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op


revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None

RUNNING = sa.text('completed_at IS NULL')
ERASED = sa.text('erasure_id IS NOT NULL')
SUBJECT = sa.text('subject_id IS NOT NULL')
# The member that a message of kind system begins with, by the name that they have now.
FILL_SUBJECTS = """
UPDATE room_messages SET subject_id = (
    SELECT users.id FROM room_members JOIN users ON users.id = room_members.user_id
    WHERE room_members.room_id = room_messages.room_id
    AND substr(room_messages.text, 1, length(users.username) + 1) = users.username || ' '
    ORDER BY length(users.username) DESC LIMIT 1
) WHERE kind = 'system'
"""


def upgrade() -> None:
    op.create_table('erasures',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('requested_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('counts', sa.JSON(), nullable=True),
    sa.Column('erased_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('completed_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_erasures'))
    )
    op.create_index('ix_erasures_running', 'erasures', ['requested_at'], sqlite_where=RUNNING, postgresql_where=RUNNING)
    op.add_column('users', sa.Column('erasure_id', sa.Uuid(), nullable=True))
    op.create_index('ix_users_erased', 'users', ['erasure_id'], sqlite_where=ERASED, postgresql_where=ERASED)
    op.add_column('room_messages', sa.Column('subject_id', sa.Uuid(), nullable=True))
    op.create_index('ix_room_messages_subject', 'room_messages', ['subject_id'], sqlite_where=SUBJECT, postgresql_where=SUBJECT)
    op.execute(FILL_SUBJECTS)


def downgrade() -> None:
    op.drop_index('ix_room_messages_subject', table_name='room_messages')
    with op.batch_alter_table('room_messages') as batch:
        batch.drop_column('subject_id')
    op.drop_index('ix_users_erased', table_name='users')
    with op.batch_alter_table('users') as batch:
        batch.drop_column('erasure_id')
    op.drop_table('erasures')
