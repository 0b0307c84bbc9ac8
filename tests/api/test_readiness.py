"""/readyz, when its probes take long: anybody may ask, so many who ask cost no more than one."""

import asyncio
import threading

import pytest

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
    monkeypatch.setattr(readiness, "WAIT_SECONDS", 0.2)
    yield state
    state["go"].set()


def test_many_who_ask_share_one_probe_and_no_thread(probes):
    async def crowd():
        probe = ReadinessProbe()
        asking = [asyncio.ensure_future(probe.get()) for _ in range(500)]
        await asyncio.sleep(0.05)
        assert probes["begun"] == 1
        assert threading.active_count() < 20
        probes["go"].set()
        assert await asyncio.gather(*asking) == [READY] * 500
        assert await probe.get() is READY
        assert probes["begun"] == 1, "and it is a second old at most"

    asyncio.run(crowd())


def test_a_probe_that_does_not_end_keeps_nobody_waiting(probes):
    async def ask():
        probe = ReadinessProbe()
        with pytest.raises(Unavailable, match="do not end"):
            await probe.get()
        with pytest.raises(Unavailable):
            await probe.get()
        assert probes["begun"] == 1, "one probe at a time"
        probes["go"].set()
        assert await probe.get() is READY

    asyncio.run(ask())


def test_the_last_answer_stands_while_a_probe_takes_long_and_not_for_ever(probes, monkeypatch):
    async def ask():
        probe = ReadinessProbe()
        probes["go"].set()
        await probe.get()
        probes["go"].clear()
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
        await asyncio.sleep(0.02)
        first.cancel()
        second = asyncio.ensure_future(probe.get())
        await asyncio.sleep(0.02)
        probes["go"].set()
        assert await second is READY
        assert probes["begun"] == 1

    asyncio.run(ask())


def test_a_probe_that_fails_is_tried_again(probes):
    async def ask():
        probe = ReadinessProbe()
        probes["go"].set()
        probes["fails"] = True
        with pytest.raises(Unavailable):
            await probe.get()
        probes["fails"] = False
        assert await probe.get() is READY

    asyncio.run(ask())
