"""The limit on open event streams: never exceeded, and only open streams are counted."""

import asyncio

import pytest
from asgi import scope_of

from api.request import streams
from api.request.streams import MOST_STREAMS, AnalysisEvents
from core.errors import TooMany


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(streams, "EVENT_SECONDS", 0.01)
    yield
    assert not streams._open, "no stream is counted any more"


class Running:
    def __init__(self):
        self.state = "running"

    def model_dump(self, **_):
        return {"state": self.state}

    def model_dump_json(self):
        return "{}"


async def receive():
    await asyncio.sleep(60)


async def send(_):
    pass


def stream(read, sends=send, receives=receive):
    return AnalysisEvents("somebody", read)(scope_of("GET", "/x"), receives, sends)


def test_concurrent_streams_stay_within_the_limit():
    analysis = Running()

    async def crowd():
        opened = [asyncio.ensure_future(stream(lambda: analysis)) for _ in range(4 * MOST_STREAMS)]
        await asyncio.sleep(0.1)
        assert streams._open["somebody"] == MOST_STREAMS
        analysis.state = "succeeded"
        ends = await asyncio.gather(*opened, return_exceptions=True)
        assert [type(end) for end in ends].count(TooMany) == 3 * MOST_STREAMS

    asyncio.run(crowd())


def test_a_client_that_leaves_before_the_first_event_is_not_counted():
    async def left():
        return {"type": "http.disconnect"}

    asyncio.run(asyncio.wait_for(stream(Running, receives=left), 10))


def test_an_answer_that_cannot_begin_is_not_counted():
    async def refuses(_):
        raise OSError("the connection is closed")

    async def begin():
        with pytest.raises((OSError, ExceptionGroup)):
            await stream(Running, sends=refuses)

    asyncio.run(begin())


def test_a_stream_ends_when_its_credential_ends():
    asyncio.run(asyncio.wait_for(stream(lambda: None), 10))
