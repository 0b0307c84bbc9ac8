"""people with passwords; when a credential was last used; whose slides and analyses are"""

from alembic import op
import sqlalchemy as sa

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('passwords',
    sa.Column('principal_id', sa.String(length=32), nullable=False),
    sa.Column('login', sa.String(length=100), nullable=False),
    sa.Column('hash', sa.String(length=200), nullable=False),
    sa.Column('created_at', sa.Float(), nullable=False),
    sa.ForeignKeyConstraint(['principal_id'], ['principals.id'], ),
    sa.PrimaryKeyConstraint('principal_id'),
    sa.UniqueConstraint('login')
    )
    op.add_column('credentials', sa.Column('used_at', sa.Float(), nullable=True))
    for table in ('slides', 'analyses'):
        op.add_column(table, sa.Column('created_by', sa.String(32), nullable=False, server_default=''))
