"""client tokens

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op


revision = '0019'
down_revision = '0018'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('external_identities',
    sa.Column('issuer', sa.String(length=255), nullable=False),
    sa.Column('subject', sa.String(length=255), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('login_key_id', sa.Uuid(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_external_identities_user_id_users'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('issuer', 'subject', name=op.f('pk_external_identities')),
    sa.UniqueConstraint('user_id', name=op.f('uq_external_identities_user_id'))
    )
    op.add_column('api_keys', sa.Column('is_hidden', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('api_keys', sa.Column('granted_by', sa.Uuid(), nullable=True))
    op.add_column('api_keys', sa.Column('granted_ids', sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table('api_keys') as batch:
        batch.drop_column('granted_ids')
        batch.drop_column('granted_by')
        batch.drop_column('is_hidden')
    op.drop_table('external_identities')
