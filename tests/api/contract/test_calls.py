"""The table of calls matches the application's routes, and everything derived from a call fits it."""

import re
from types import SimpleNamespace

import pytest
from asgi import ID, sample
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from api.app import create_api
from api.contract import calls
from api.contract.calls import CALLS, NATIVE_TILE, TILES, UNLISTED, WORDS, find, methods_of, of_route, plain
from api.tiles.open_files import SlideFiles
from api.tiles.tile_request import TileRequest
from core.access.visitor import ROLES, SCOPES
from core.errors import NotFound

TABLE = {(call.method, call.path) for call in CALLS}


@pytest.fixture(scope="module")
def api():
    return create_api(SlideFiles())


def routes_of(api):
    """(method, address) of every route and mounted folder."""
    for route in iter_route_contexts(api.routes):
        methods = {"GET"} if isinstance(route.original_route, Mount) else route.methods
        suffix = "/{file}" if isinstance(route.original_route, Mount) else ""
        yield from ((method, f"{route.path}{suffix}") for method in methods)


def test_the_table_names_every_route_and_no_other(api):
    routes = set(routes_of(api))
    tiles = {(call.method, call.path) for call in TILES}
    assert len(TABLE) == len(CALLS), "no call twice"
    assert TABLE - tiles == routes
    assert not tiles & routes


def test_the_document_names_every_call_below_the_prefix(api):
    document = {(method.upper(), path) for path, item in api.openapi()["paths"].items() for method in item}
    assert document >= {(call.method, call.path) for call in CALLS if call.path.startswith(calls.PREFIX)}
    assert document <= TABLE


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_an_address_leads_to_its_own_call(call):
    assert find(call.method, sample(call)) is call
    assert call.method in methods_of(sample(call))
    assert call.role in ROLES
    assert call.scope in (*SCOPES, None)
    assert call.bare == (call in TILES)


@pytest.mark.parametrize("call", TILES, ids=lambda call: call.path)
def test_the_tile_application_answers_the_table_s_tile_addresses(call):
    request = TileRequest.from_path(sample(call))
    assert (request.call, request.slide_id, request.col, request.row) == (call, ID, 12, 3)
    assert TileRequest.from_path(sample(call).replace("jpeg", "jpg")) == request
    assert TileRequest.from_path(f"{sample(call)}x") is None


def test_every_write_below_the_prefix_is_audited_and_needs_more_than_reading():
    writes = [call for call in CALLS if call.method not in calls.SAFE_METHODS]
    assert all(call.change for call in writes)
    assert all(call.scope != "read" for call in writes)
    assert {call.path for call in writes if call.public} == {"/api/v1/session"}


def test_every_public_call_below_the_prefix_is_known():
    public = {f"{call.method} {call.path}" for call in CALLS if call.public and call.path.startswith(calls.PREFIX)}
    session, uploads = "/api/v1/session", "/api/v1/uploads"
    assert public == {
        f"POST {session}", f"DELETE {session}", f"OPTIONS {uploads}", f"OPTIONS {uploads}/{{upload_id}}",
    }  # fmt: skip


def test_a_call_that_the_table_does_not_name_needs_the_highest_scope_and_role():
    assert find("POST", "/api/v1/anything") is None
    assert find("GET", "/api/v1/anything") is None
    assert (UNLISTED.scope, UNLISTED.role, UNLISTED.public) == (SCOPES[-1], ROLES[-1], False)
    assert find("HEAD", f"/api/v1/slides/{ID}/label").scope == "manage", "HEAD needs what GET needs"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_route_that_the_table_does_not_name_is_closed_to_everybody(method):
    scope = {"method": method, "path": "/api/v1/anything", "route": SimpleNamespace(path="/anything")}
    with pytest.raises(NotFound):
        of_route(scope)


def test_words_of_the_table_are_logged():
    for call in CALLS:
        assert {part for part in call.path.split("/") if part and "{" not in part} <= WORDS, call.path
    path = sample(NATIVE_TILE)
    assert plain(path) == path
    assert re.fullmatch(r"/api/v1/slides/…/…", plain("/api/v1/slides/x/y"))


@pytest.mark.parametrize(
    "name", ["doe_john.svs", "DOE^JOHN.svs", "john.doe", "doe-john", "abba", "1955-03-02", "a" * 45]
)
def test_names_are_not_logged(name):
    for path in (f"/api/v1/slides/{name}", f"/{name}", f"/api/v1/slides/{name}/tiles/0/0_0.jpeg"):
        assert name not in plain(path)
