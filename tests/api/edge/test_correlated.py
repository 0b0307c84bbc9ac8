"""Every request is counted and logged by its outcome: an answer, a fault, or a client that left."""

import asyncio
import logging

import pytest
from asgi import call
from starlette.requests import Request

from api.app import create_api
from api.edge.correlated import Correlated
from api.edge.gate import Gate
from api.metrics import REQUESTS
from api.tiles.open_files import SlideFiles

SIGN_IN = "/api/v1/session"


def count(method, status):
    return REQUESTS.labels(method, str(status))._value.get()


@pytest.fixture
def counts():
    """How many requests of a method were counted with a status since the test began."""
    before = {status: count("POST", status) for status in (200, 499, 500)}
    return lambda status: count("POST", status) - before[status]


async def never(*_):
    raise AssertionError("the request goes no further")


def test_a_client_that_leaves_mid_body_is_no_fault(counts, caplog):
    """The gate receives half a body, then the client disconnects."""
    caplog.set_level(logging.INFO)
    answer = call(Correlated(Gate(never)), "POST", SIGN_IN, body=b'{"key": ', leaves=True)
    assert answer.status == 0, "the client has left"
    assert (counts(499), counts(500)) == (1, 0)
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_a_client_that_leaves_a_streamed_body_is_no_fault(counts, caplog):
    """A route that reads its own body sees the disconnect inside the framework."""
    api = create_api(SlideFiles())

    @api.post("/streamed")
    async def streamed(request: Request) -> None:
        async for _ in request.stream():
            pass

    call(Correlated(api), "POST", "/streamed", body=b"half", leaves=True)
    assert (counts(499), counts(500)) == (1, 0)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_fault_is_answered_and_logged_once(counts, caplog):
    async def broken(*_):
        raise RuntimeError("a cause with a name in it")

    answer = call(Correlated(broken), "POST", "/x", headers={"X-Request-Id": "12345678"})
    assert (answer.status, answer.headers["x-request-id"]) == (500, "12345678")
    assert b"a cause" not in answer.body
    assert counts(500) == 1
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        "unhandled exception"
    ]


def test_a_fault_in_a_route_is_logged_once_with_its_correlation(counts, caplog):
    api = create_api(SlideFiles())

    @api.post("/broken")
    def broken() -> None:
        raise RuntimeError("in a route")

    assert call(Correlated(api), "POST", "/broken").status == 500
    assert counts(500) == 1
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        "unhandled exception"
    ]


def test_a_server_that_stops_counts_its_requests_as_left(counts):
    async def waits(*_):
        await asyncio.sleep(60)

    async def stopped():
        running = asyncio.ensure_future(Correlated(waits)({**_scope()}, None, None))
        await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait((running,))

    asyncio.run(stopped())
    assert (counts(499), counts(500)) == (1, 0)


def _scope():
    return {"type": "http", "method": "POST", "path": "/x", "headers": []}
