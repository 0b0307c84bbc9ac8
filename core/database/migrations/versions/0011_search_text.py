"""slides are found by what the laboratory calls them, in one folded text that both databases compare alike"""

import sqlalchemy as sa
from alembic import op

from core.database.search import compose, searchable

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('slides', sa.Column('search_text', sa.Text(), nullable=False, server_default=''))
    slides = sa.table(
        'slides',
        sa.column('id', sa.String),
        sa.column('filename', sa.String),
        sa.column('identifiers', sa.JSON),
        sa.column('search_text', sa.Text),
    )
    connection = op.get_bind()
    for slide_id, filename, identifiers in connection.execute(sa.select(*list(slides.c)[:3])).all():
        composed = {name: compose(value) for name, value in (identifiers or {}).items()}
        text = searchable([filename, *composed.values()])
        values = {'filename': compose(filename), 'identifiers': composed, 'search_text': text}
        connection.execute(sa.update(slides).where(slides.c.id == slide_id).values(values))
