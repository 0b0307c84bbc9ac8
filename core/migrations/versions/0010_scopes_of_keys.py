"""a key may be for a part of what its role may do"""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('credentials', sa.Column('scopes', sa.JSON(none_as_null=True), nullable=True))
