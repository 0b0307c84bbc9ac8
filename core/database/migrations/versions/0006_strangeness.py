"""a band's second plane: how unlike the training patches its cells are"""

from alembic import op
import sqlalchemy as sa

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('work', sa.Column('strangeness', sa.LargeBinary(), nullable=True))
