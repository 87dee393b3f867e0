"""knowledge

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op


revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('embedding_spaces',
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('adapter', sa.String(length=60), nullable=False),
    sa.Column('model', sa.String(length=120), nullable=False),
    sa.Column('dimension', sa.Integer(), nullable=False),
    sa.Column('active', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_embedding_spaces'))
    )
    with op.batch_alter_table('embedding_spaces', schema=None) as batch_op:
        batch_op.create_index('uq_embedding_spaces_active', ['active'], unique=True, sqlite_where=sa.text('active'), postgresql_where=sa.text('active'))

    op.create_table('collections',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('owner_id', sa.Uuid(), nullable=True),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('description', sa.Text(), nullable=False),
    sa.Column('visibility', sa.String(length=8), nullable=False),
    sa.Column('language', sa.String(length=8), nullable=True),
    sa.Column('is_default', sa.Boolean(), nullable=False),
    sa.Column('bytes', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('chunks', sa.Integer(), nullable=False),
    sa.Column('last_change', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['owner_id'], ['users.id'], name=op.f('fk_collections_owner_id_users'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_collections'))
    )
    with op.batch_alter_table('collections', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_collections_owner_id_created_at_id'), ['owner_id', 'created_at', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_collections_visibility'), ['visibility'], unique=False, sqlite_where=sa.text("visibility = 'shared'"), postgresql_where=sa.text("visibility = 'shared'"))
        batch_op.create_index('uq_collections_default', ['owner_id'], unique=True, sqlite_where=sa.text('is_default'), postgresql_where=sa.text('is_default'))

    op.create_table('collection_members',
    sa.Column('collection_id', sa.Uuid(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('role', sa.String(length=8), nullable=False),
    sa.ForeignKeyConstraint(['collection_id'], ['collections.id'], name=op.f('fk_collection_members_collection_id_collections'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_collection_members_user_id_users'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('collection_id', 'user_id', name=op.f('pk_collection_members'))
    )
    with op.batch_alter_table('collection_members', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_collection_members_user_id'), ['user_id'], unique=False)

    op.create_table('documents',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('collection_id', sa.Uuid(), nullable=False),
    sa.Column('external_id', sa.String(length=255), nullable=True),
    sa.Column('title', sa.String(length=255), nullable=False),
    sa.Column('media_type', sa.String(length=100), nullable=False),
    sa.Column('url', sa.Text(), nullable=True),
    sa.Column('bytes', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('content_hash', sa.LargeBinary(length=32), nullable=True),
    sa.Column('metadata', sa.JSON(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('wanted_version', sa.Integer(), nullable=False),
    sa.Column('wanted_title', sa.String(length=255), nullable=True),
    sa.Column('wanted_metadata', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('status', sa.String(length=12), nullable=False),
    sa.Column('progress', sa.Double(), nullable=False),
    sa.Column('chunks', sa.Integer(), nullable=False),
    sa.Column('error', sa.String(length=40), nullable=True),
    sa.Column('reason', sa.String(length=300), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('queued_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('lease_token', sa.Uuid(), nullable=True),
    sa.Column('lease_expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['collection_id'], ['collections.id'], name=op.f('fk_documents_collection_id_collections'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_documents')),
    sa.UniqueConstraint('collection_id', 'external_id', name=op.f('uq_documents_collection_id_external_id'))
    )
    with op.batch_alter_table('documents', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_documents_collection_id_content_hash'), ['collection_id', 'content_hash'], unique=False)
        batch_op.create_index(batch_op.f('ix_documents_collection_id_created_at_id'), ['collection_id', 'created_at', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_documents_queued_at'), ['queued_at'], unique=False, sqlite_where=sa.text("status IN ('queued', 'processing')"), postgresql_where=sa.text("status IN ('queued', 'processing')"))

    op.create_table('knowledge_changes',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('collection_id', sa.Uuid(), nullable=False),
    sa.Column('document_id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['collection_id'], ['collections.id'], name=op.f('fk_knowledge_changes_collection_id_collections'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_knowledge_changes')),
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('knowledge_changes', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_knowledge_changes_collection_id_id'), ['collection_id', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_knowledge_changes_created_at'), ['created_at'], unique=False)

    op.create_table('chunks',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('collection_id', sa.Uuid(), nullable=False),
    sa.Column('document_id', sa.Uuid(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('start', sa.Integer(), nullable=False),
    sa.Column('end', sa.Integer(), nullable=False),
    sa.Column('page', sa.Integer(), nullable=True),
    sa.Column('headings', sa.Text(), nullable=False),
    sa.Column('language', sa.String(length=8), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['collection_id'], ['collections.id'], name=op.f('fk_chunks_collection_id_collections'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['document_id'], ['documents.id'], name=op.f('fk_chunks_document_id_documents'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_chunks')),
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('chunks', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_chunks_collection_id_id'), ['collection_id', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_chunks_document_id_version_position'), ['document_id', 'version', 'position'], unique=False)

    op.create_table('document_facts',
    sa.Column('document_id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('position', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('text', sa.String(length=500), nullable=True),
    sa.Column('number', sa.Double(), nullable=True),
    sa.Column('flag', sa.Boolean(), nullable=True),
    sa.ForeignKeyConstraint(['document_id'], ['documents.id'], name=op.f('fk_document_facts_document_id_documents'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('document_id', 'name', 'position', name=op.f('pk_document_facts'))
    )
    with op.batch_alter_table('document_facts', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_document_facts_name_number'), ['name', 'number'], unique=False)
        batch_op.create_index(batch_op.f('ix_document_facts_name_text'), ['name', 'text'], unique=False)

    op.create_table('document_pieces',
    sa.Column('document_id', sa.Uuid(), nullable=False),
    sa.Column('version', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('position', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('data', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['document_id'], ['documents.id'], name=op.f('fk_document_pieces_document_id_documents'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('document_id', 'version', 'position', name=op.f('pk_document_pieces'))
    )
    op.create_table('turn_traces',
    sa.Column('turn_id', sa.Uuid(), nullable=False),
    sa.Column('facts', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['turn_id'], ['chat_messages.id'], name=op.f('fk_turn_traces_turn_id_chat_messages'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('turn_id', name=op.f('pk_turn_traces'))
    )
    op.create_table('chunk_vectors',
    sa.Column('chunk_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('space', sa.String(length=120), nullable=False),
    sa.Column('vector', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['chunk_id'], ['chunks.id'], name=op.f('fk_chunk_vectors_chunk_id_chunks'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('chunk_id', 'space', name=op.f('pk_chunk_vectors'))
    )
    with op.batch_alter_table('chat_messages', schema=None) as batch_op:
        batch_op.add_column(sa.Column('asked', sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column('retrieval_query', sa.Text(), nullable=True))
        batch_op.add_column(sa.Column('citations', sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column('grounded', sa.Double(), nullable=True))

    with op.batch_alter_table('idempotency_keys', schema=None) as batch_op:
        batch_op.add_column(sa.Column('thing_id', sa.Uuid(), nullable=True))
        batch_op.alter_column('turn_id',
               existing_type=sa.Uuid(),
               nullable=True)



def downgrade() -> None:
    # Keys of what is no turn have no place in the older schema; they are kept for a day anyway.
    op.execute('DELETE FROM idempotency_keys WHERE turn_id IS NULL')
    with op.batch_alter_table('idempotency_keys', schema=None) as batch_op:
        batch_op.alter_column('turn_id',
               existing_type=sa.Uuid(),
               nullable=False)
        batch_op.drop_column('thing_id')

    with op.batch_alter_table('chat_messages', schema=None) as batch_op:
        batch_op.drop_column('grounded')
        batch_op.drop_column('citations')
        batch_op.drop_column('retrieval_query')
        batch_op.drop_column('asked')

    op.drop_table('chunk_vectors')
    op.drop_table('turn_traces')
    op.drop_table('document_pieces')
    with op.batch_alter_table('document_facts', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_document_facts_name_text'))
        batch_op.drop_index(batch_op.f('ix_document_facts_name_number'))

    op.drop_table('document_facts')
    with op.batch_alter_table('chunks', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_chunks_document_id_version_position'))
        batch_op.drop_index(batch_op.f('ix_chunks_collection_id_id'))

    op.drop_table('chunks')
    with op.batch_alter_table('knowledge_changes', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_knowledge_changes_created_at'))
        batch_op.drop_index(batch_op.f('ix_knowledge_changes_collection_id_id'))

    op.drop_table('knowledge_changes')
    with op.batch_alter_table('documents', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_documents_queued_at'), sqlite_where=sa.text("status IN ('queued', 'processing')"), postgresql_where=sa.text("status IN ('queued', 'processing')"))
        batch_op.drop_index(batch_op.f('ix_documents_collection_id_created_at_id'))
        batch_op.drop_index(batch_op.f('ix_documents_collection_id_content_hash'))

    op.drop_table('documents')
    with op.batch_alter_table('collection_members', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_collection_members_user_id'))

    op.drop_table('collection_members')
    with op.batch_alter_table('collections', schema=None) as batch_op:
        batch_op.drop_index('uq_collections_default', sqlite_where=sa.text('is_default'), postgresql_where=sa.text('is_default'))
        batch_op.drop_index(batch_op.f('ix_collections_visibility'), sqlite_where=sa.text("visibility = 'shared'"), postgresql_where=sa.text("visibility = 'shared'"))
        batch_op.drop_index(batch_op.f('ix_collections_owner_id_created_at_id'))

    op.drop_table('collections')
    with op.batch_alter_table('embedding_spaces', schema=None) as batch_op:
        batch_op.drop_index('uq_embedding_spaces_active', sqlite_where=sa.text('active'), postgresql_where=sa.text('active'))

    op.drop_table('embedding_spaces')
