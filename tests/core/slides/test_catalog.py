"""The list of slides: pages continue after slides were deleted."""

import pytest

from core.access.visitor import Visitor
from core.database import transactions
from core.database.record import DEFAULT_WORKSPACE, Workspace
from core.database.slides import Slide
from core.errors import NotFound
from core.slides import catalog, deletion

pytestmark = pytest.mark.services


def visitor_of(workspace=DEFAULT_WORKSPACE):
    return Visitor("p", workspace, "analyst", "somebody")


@pytest.fixture
def slides(own_database):
    """Ids of five slides, newest first; two are of the same moment."""
    with transactions.writing() as session:
        rows = [
            Slide(
                workspace_id=DEFAULT_WORKSPACE, filename="s.svs", file="x", state="ready", created_at=at, updated_at=at
            )
            for at in (1.0, 2.0, 2.0, 3.0, 4.0)
        ]
        session.add_all(rows)
        session.flush()
        ids = [row.id for row in rows]
    with transactions.reading() as session:
        assert sorted(row.id for row in catalog.listed(session, visitor_of())) == sorted(ids)
        return [row.id for row in catalog.listed(session, visitor_of())]


@pytest.mark.parametrize("last", range(4))
def test_a_page_continues_after_its_last_slide_was_deleted(slides, last):
    with transactions.writing() as session:
        deletion.delete(session, session.get_one(Slide, slides[last]))
    with transactions.reading() as session:
        after = [row.id for row in catalog.listed(session, visitor_of(), cursor=slides[last])]
    assert after == slides[last + 1 :]


def test_a_cursor_that_is_no_slide_of_the_workspace_is_refused(slides):
    with transactions.writing() as session:
        session.add(Workspace(id="other", name="Other"))
    with transactions.reading() as session:
        for visitor, cursor in ((visitor_of(), "0" * 32), (visitor_of("other"), slides[0])):
            with pytest.raises(NotFound):
                catalog.listed(session, visitor, cursor=cursor)
