"""a session ends with the key it was opened with; keys adopted from the environment are known as such"""

from alembic import op
import sqlalchemy as sa

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('credentials', schema=None) as batch_op:
        batch_op.add_column(sa.Column('parent', sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column('adopted', sa.Boolean(), nullable=False, server_default=sa.false()))
