"""work knows the request that asked for it"""

from alembic import op
import sqlalchemy as sa

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('work', sa.Column('correlation', sa.String(64), nullable=False, server_default=''))
