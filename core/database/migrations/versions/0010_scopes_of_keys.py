"""a key may be for a part of what its role may do; what was deleted before says nothing any more"""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('credentials', sa.Column('scopes', sa.JSON(none_as_null=True), nullable=True))
    gone = "slide_id IN (SELECT id FROM slides WHERE state = 'deleted')"
    op.execute(f"UPDATE uploads SET upload_metadata = '' WHERE {gone}")
    op.execute("UPDATE slides SET filename = '', identifiers = '{}', reason = NULL WHERE state = 'deleted'")
    op.execute("UPDATE slides SET file = '' WHERE state = 'deleted' AND file LIKE '/%'")
