"""/readyz, when its probes take long or fail: many requests share one probe, and each waits a bounded time."""

import asyncio
import logging
import threading
from contextlib import nullcontext

import pytest
from sqlalchemy.exc import OperationalError

from api import readiness
from api.contract.service import Checks, Readers, Readiness
from api.readiness import ReadinessProbe
from core.errors import Unavailable

READY = Readiness(ready=True, checks=Checks(database=True, broker=True, disk=True), workers=0, readers=Readers(here=[]))


@pytest.fixture
def probes(monkeypatch):
    """Probes that wait until they are let go; `begun` counts them."""
    state = {"begun": 0, "go": threading.Event(), "fails": False}

    def probe():
        state["begun"] += 1
        assert state["go"].wait(30)
        if state["fails"]:
            raise OSError("no probe")
        return READY

    monkeypatch.setattr(readiness, "probe", probe)
    monkeypatch.setattr(readiness, "WAIT_SECONDS", 60.0)
    yield state
    state["go"].set()


@pytest.fixture
def impatient(probes, monkeypatch):
    """Requests that give up at once, for tests of a probe that does not end."""
    monkeypatch.setattr(readiness, "WAIT_SECONDS", 0.01)


async def begun(probes, count=1):
    """Waits until so many probes have begun."""
    while probes["begun"] < count:
        await asyncio.sleep(0.001)


def test_many_who_ask_share_one_probe_and_no_thread(probes):
    async def crowd():
        probe = ReadinessProbe()
        asking = [asyncio.ensure_future(probe.get()) for _ in range(500)]
        await begun(probes)  # by the first request; tasks start in order, so the others wait for it by now
        assert probes["begun"] == 1
        assert threading.active_count() < 20
        probes["go"].set()
        assert await asyncio.gather(*asking) == [READY] * 500
        assert await probe.get() is READY
        assert probes["begun"] == 1, "and it is a second old at most"

    asyncio.run(crowd())


@pytest.mark.usefixtures("impatient")
def test_a_probe_that_does_not_end_keeps_nobody_waiting(probes, monkeypatch):
    async def ask():
        probe = ReadinessProbe()
        with pytest.raises(Unavailable, match="has not ended"):
            await probe.get()
        with pytest.raises(Unavailable):
            await probe.get()
        await begun(probes)
        assert probes["begun"] == 1, "one probe at a time"
        monkeypatch.setattr(readiness, "WAIT_SECONDS", 60.0)
        probes["go"].set()
        assert await probe.get() is READY

    asyncio.run(ask())


def test_the_last_answer_stands_while_a_probe_takes_long_and_not_for_ever(probes, monkeypatch):
    async def ask():
        probe = ReadinessProbe()
        probes["go"].set()
        await probe.get()
        probes["go"].clear()
        monkeypatch.setattr(readiness, "WAIT_SECONDS", 0.01)
        monkeypatch.setattr(readiness, "FRESH_SECONDS", 0.0)
        assert await probe.get() is READY
        monkeypatch.setattr(readiness, "STALE_SECONDS", 0.0)
        with pytest.raises(Unavailable):
            await probe.get()
        probes["go"].set()

    asyncio.run(ask())


def test_one_who_leaves_ends_no_probe(probes):
    async def ask():
        probe = ReadinessProbe()
        first = asyncio.ensure_future(probe.get())
        await begun(probes)
        first.cancel()
        second = asyncio.ensure_future(probe.get())
        await asyncio.gather(first, return_exceptions=True)
        assert first.cancelled()
        probes["go"].set()
        assert await second is READY
        assert probes["begun"] == 1

    asyncio.run(ask())


def test_a_probe_that_fails_is_logged_once_and_tried_again(probes, caplog):
    async def ask():
        probe = ReadinessProbe()
        probes["fails"] = True
        asking = [asyncio.ensure_future(probe.get()) for _ in range(10)]
        await begun(probes)
        probes["go"].set()
        errors = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(error) for error in errors} == {Unavailable}
        assert all("failed" in error.detail for error in errors)
        (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert isinstance(record.exc_info[1], OSError)
        probes["fails"] = False
        assert await probe.get() is READY

    asyncio.run(ask())


def test_a_database_without_the_tables_of_this_version_is_not_ready(monkeypatch, caplog):
    def no_table(_):
        raise OperationalError("SELECT", {}, Exception("no such table: workers"))

    monkeypatch.setattr(readiness, "reading", nullcontext)
    monkeypatch.setattr(readiness.cards, "live_workers", no_table)
    monkeypatch.setattr(readiness.doorbell, "is_reachable", lambda: True)
    monkeypatch.setattr(readiness, "reader_confinement", tuple)
    answer = readiness.probe()
    assert (answer.ready, answer.checks.database, answer.workers) == (False, False, None)
    assert [record.message for record in caplog.records] == ["database not usable"]
