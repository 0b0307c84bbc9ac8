"""No spelling of an address opens a call to a visitor whose role or scopes do not cover it.

The server decodes a path before the application sees it, so a line break (`%0A`) or a slash may stand in it.
"""

from contextlib import nullcontext

import pytest
from asgi import call, sample

from api.app import create_api
from api.contract.calls import CALLS
from api.edge.conditional import ConditionalReads
from api.edge.gate import Gate
from api.edge.head_requests import HeadRequests
from api.edge.method_override import MethodOverride
from api.edge.path_prefix import StripPrefix
from api.request import idempotency, trail, transactions
from api.request import visitor as request_visitor
from api.tiles.app import TileApp
from api.tiles.open_files import SlideFiles
from core.access.visitor import SCOPES, Visitor

VISITORS = {
    "viewer": Visitor("v", "default", "viewer", "a viewer"),
    "reader": Visitor("r", "default", "admin", "an administrator's key for reading", ("read",)),
    "admin": Visitor("a", "default", "admin", "an administrator"),
}
SPELLINGS = {
    "itself": lambda path: path,
    "%0A": lambda path: path + "\n",
    "%0D%0A": lambda path: path + "\r\n",
    "%0A%0A": lambda path: path + "\n\n",
    "%00": lambda path: path + "\0",
    "%2F": lambda path: path + "/",
    "//": lambda path: path + "//",
    "/%0A": lambda path: path + "/\n",
    "/lab": lambda path: "/lab" + path,
    "//lab//": lambda path: "//lab/" + path,
    "//api": lambda path: "/" + path,
    "api//v1": lambda path: path.replace("/", "//")[1:],
    "upper case": lambda path: path.upper(),
    "%20": lambda path: path + " ",
    "..": lambda path: path + "/../" + path.rsplit("/", 1)[1],
}


class NoSession:
    """Any use of the database means that a route runs."""

    def __getattr__(self, name):
        raise AssertionError(f"the route runs: {name}")


@pytest.fixture(scope="module")
def api():
    files = SlideFiles()
    reads = HeadRequests(ConditionalReads(create_api(files)))
    return StripPrefix(TileApp(MethodOverride(Gate(reads)), files), "/lab")


@pytest.fixture(autouse=True)
def visitors(monkeypatch):
    for module in (request_visitor, transactions):
        monkeypatch.setattr(module, "reading", lambda: nullcontext(NoSession()))
    monkeypatch.setattr(transactions, "writing", lambda: nullcontext(NoSession()))
    monkeypatch.setattr(request_visitor.credentials, "authenticate", lambda _, secret, __: VISITORS[secret])
    monkeypatch.setattr(request_visitor, "_record_use", lambda _: None)
    monkeypatch.setattr("api.tiles.app.reading", lambda: nullcontext(NoSession()))
    for function in ("record_denial", "record_denied_request"):
        monkeypatch.setattr(trail, function, lambda *_: None)
    monkeypatch.setattr(Gate, "_limit", lambda *_: None)
    monkeypatch.setattr(idempotency.idempotency, "replay", lambda *_: pytest.fail("the route runs"))


def is_open_to(row, principal):
    return row.public or (principal.may(row.role) and principal.scopes is None) or (
        principal.may(row.role) and row.scope in (None, *(principal.scopes or SCOPES))
    )  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", ["viewer", "reader"])
def test_no_spelling_of_an_address_opens_a_call(name, spelling, api):
    closed = [row for row in CALLS if not is_open_to(row, VISITORS[name])]
    assert len(closed) > 20
    for row in closed:
        path = SPELLINGS[spelling](sample(row))
        answer = call(api, row.method, path, {"Authorization": f"Bearer {name}"}, b"{}")
        refusals = (403,) if spelling == "itself" else (307, 403, 404, 405)
        assert answer.status in refusals, f"{row.method} {path!r}: {answer.status} {answer.body!r}"


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_an_address_opens_a_call_without_a_credential(spelling, api):
    for row in (row for row in CALLS if not row.public):
        path = SPELLINGS[spelling](sample(row))
        answer = call(api, row.method, path, {}, b"{}")
        assert answer.status in (307, 401, 404, 405), f"{row.method} {path!r}: {answer.status}"


def test_a_line_break_leads_to_the_rules_of_the_route_that_answers(api):
    """The framework runs the route of /keys for /keys%0A, so the role of /keys is needed, not that of any read."""
    for path in ("/api/v1/keys", "/api/v1/keys\n", "/api/v1/people\n", "/api/v1/audit/check\n"):
        refused = call(api, "GET", path, {"Authorization": "Bearer viewer"})
        assert (refused.status, refused.json()["type"].rpartition(":")[2]) == (403, "role-needed")
        with pytest.raises(AssertionError, match="the route runs"):
            call(api, "GET", path, {"Authorization": "Bearer admin"})


def test_metrics_need_a_key_for_reading_however_they_are_spelled(api, monkeypatch):
    monkeypatch.setitem(VISITORS, "uploader", Visitor("u", "default", "admin", "for uploads", ("upload",)))
    for spelling in ("itself", "%0A"):
        answer = call(api, "GET", SPELLINGS[spelling]("/metrics"), {"Authorization": "Bearer uploader"})
        assert answer.status == 403
