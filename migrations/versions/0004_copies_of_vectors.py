"""copies of vectors

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op


revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('vector_copies',
    sa.Column('collection_id', sa.Uuid(), nullable=False),
    sa.Column('store', sa.String(length=60), nullable=False),
    sa.Column('space', sa.String(length=120), nullable=True),
    sa.Column('change', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('followed_at', sa.Float(), nullable=False),
    sa.Column('token', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['collection_id'], ['collections.id'], name=op.f('fk_vector_copies_collection_id_collections'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('collection_id', 'store', name=op.f('pk_vector_copies'))
    )


def downgrade() -> None:
    op.drop_table('vector_copies')
