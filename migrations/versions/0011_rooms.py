"""rooms

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op


revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    op.create_table('rooms',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('creator_id', sa.Uuid(), nullable=True),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('topic', sa.String(length=500), nullable=False),
    sa.Column('history', sa.String(length=8), nullable=False),
    sa.Column('members', sa.Integer(), nullable=False),
    sa.Column('last_seq', BIG, nullable=False),
    sa.Column('rev', BIG, nullable=False),
    sa.Column('settings_rev', BIG, nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('activity_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['creator_id'], ['users.id'], name=op.f('fk_rooms_creator_id_users'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rooms'))
    )
    op.create_index(op.f('ix_rooms_creator_id'), 'rooms', ['creator_id'])
    op.create_table('room_invites',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('room_id', sa.Uuid(), nullable=False),
    sa.Column('token_hash', sa.LargeBinary(length=32), nullable=False),
    sa.Column('max_uses', sa.Integer(), nullable=True),
    sa.Column('uses', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['room_id'], ['rooms.id'], name=op.f('fk_room_invites_room_id_rooms'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_room_invites')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_room_invites_token_hash'))
    )
    op.create_index(op.f('ix_room_invites_expires_at'), 'room_invites', ['expires_at'])
    op.create_index(op.f('ix_room_invites_room_id'), 'room_invites', ['room_id'])
    op.create_table('room_members',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('room_id', sa.Uuid(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('role', sa.String(length=8), nullable=False),
    sa.Column('state', sa.String(length=8), nullable=False),
    sa.Column('joined_seq', BIG, nullable=False),
    sa.Column('read_seq', BIG, nullable=False),
    sa.Column('rev', BIG, nullable=False),
    sa.Column('joined_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('left_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['room_id'], ['rooms.id'], name=op.f('fk_room_members_room_id_rooms'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_room_members_user_id_users'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_room_members')),
    sa.UniqueConstraint('room_id', 'user_id', name=op.f('uq_room_members_room_id_user_id'))
    )
    op.create_index(op.f('ix_room_members_user_id_state'), 'room_members', ['user_id', 'state'])
    op.create_table('room_messages',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('room_id', sa.Uuid(), nullable=False),
    sa.Column('seq', BIG, nullable=False),
    sa.Column('rev', BIG, nullable=False),
    sa.Column('author_id', sa.Uuid(), nullable=True),
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('reply_to', sa.Uuid(), nullable=True),
    sa.Column('mentions', sa.JSON(), nullable=False),
    sa.Column('client_id', sa.String(length=255), nullable=True),
    sa.Column('edited_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('deleted', sa.Boolean(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['author_id'], ['users.id'], name=op.f('fk_room_messages_author_id_users'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['room_id'], ['rooms.id'], name=op.f('fk_room_messages_room_id_rooms'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_room_messages')),
    sa.UniqueConstraint('room_id', 'author_id', 'client_id', name=op.f('uq_room_messages_room_id_author_id_client_id')),
    sa.UniqueConstraint('room_id', 'seq', name=op.f('uq_room_messages_room_id_seq'))
    )
    op.create_index(op.f('ix_room_messages_author_id'), 'room_messages', ['author_id'])
    op.create_index(op.f('ix_room_messages_created_at'), 'room_messages', ['created_at'])
    op.create_index(op.f('ix_room_messages_room_id_rev'), 'room_messages', ['room_id', 'rev'])


def downgrade() -> None:
    for table in ('room_messages', 'room_members', 'room_invites', 'rooms'):
        op.drop_table(table)
