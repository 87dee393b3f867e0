"""budgets

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op


revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None

IS_OF_USER = sa.text('NOT is_of_key')


def upgrade() -> None:
    op.create_table('budgets',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('is_of_key', sa.Boolean(), nullable=False),
    sa.Column('metric', sa.String(length=9), nullable=False),
    sa.Column('window', sa.String(length=5), nullable=False),
    sa.Column('limit', sa.BigInteger(), nullable=False),
    sa.Column('used', sa.BigInteger(), nullable=False),
    sa.Column('reserved', sa.BigInteger(), nullable=False),
    sa.Column('started_at_ms', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_budgets_user_id_users'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_budgets'))
    )
    op.create_index(op.f('ix_budgets_user_id'), 'budgets', ['user_id'])
    op.create_index('uq_budgets_of_user', 'budgets', ['user_id', 'metric', 'window'], unique=True,
                    sqlite_where=IS_OF_USER, postgresql_where=IS_OF_USER)
    op.create_table('budget_reservations',
    sa.Column('turn_id', sa.Uuid(), nullable=False),
    sa.Column('budget_id', sa.Integer(), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['budget_id'], ['budgets.id'], name=op.f('fk_budget_reservations_budget_id_budgets'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('turn_id', 'budget_id', name=op.f('pk_budget_reservations'))
    )
    op.create_index(op.f('ix_budget_reservations_budget_id'), 'budget_reservations', ['budget_id'])
    op.add_column('api_keys', sa.Column('budget_id', sa.Integer(), nullable=True))
    op.create_index(op.f('ix_api_keys_budget_id'), 'api_keys', ['budget_id'])


def downgrade() -> None:
    op.drop_index(op.f('ix_api_keys_budget_id'), table_name='api_keys')
    with op.batch_alter_table('api_keys') as batch:
        batch.drop_column('budget_id')
    op.drop_table('budget_reservations')
    op.drop_table('budgets')
