"""What stands before a tile, without a service: of many who ask the same at one moment, one looks for all."""

import asyncio
import time

import pytest

from api import tile_app
from api.slide_files import SlideFiles
from api.tile_app import Asked, TileApp
from core.access import Visitor
from core.errors import Unauthenticated

VISITOR, PLACE = Visitor("p", "w", "viewer", "x"), object()


@pytest.fixture
def looked(monkeypatch):
    """Who was looked up, and how it ends: `fails` is raised."""
    found = {"times": 0, "fails": None}

    def look(*_):
        found["times"] += 1
        time.sleep(0.1)
        if found["fails"]:
            raise found["fails"]
        return VISITOR, PLACE

    monkeypatch.setattr(tile_app, "_looked_up", look)
    return found


def ask(app, count, slide="0" * 32):
    asked = [app._admit({b"authorization": b"Bearer k"}, Asked(True, slide, 0, 0, 0), "") for _ in range(count)]
    return asyncio.gather(*asked, return_exceptions=True)


def test_one_looks_for_all_who_ask_at_once(looked):
    app = TileApp(None, SlideFiles())

    async def crowd():
        assert await ask(app, 200) == [PLACE] * 200
        await ask(app, 10)
        assert looked["times"] == 1, "and it is remembered"
        await ask(app, 10, "1" * 32)
        assert looked["times"] == 2

    asyncio.run(crowd())


def test_a_refusal_is_for_all_who_asked_and_for_no_one_later(looked):
    app = TileApp(None, SlideFiles())

    async def crowd():
        looked["fails"] = Unauthenticated("not-signed-in", "no", "sign in")
        assert {type(found) for found in await ask(app, 20)} == {Unauthenticated}
        looked["fails"] = None
        assert await ask(app, 3) == [PLACE] * 3
        assert looked["times"] == 2

    asyncio.run(crowd())


def test_one_who_leaves_takes_nothing_from_the_others(looked):
    app = TileApp(None, SlideFiles())

    async def crowd():
        first = asyncio.ensure_future(ask(app, 1))
        await asyncio.sleep(0.02)
        others = asyncio.ensure_future(ask(app, 5))
        await asyncio.sleep(0.02)
        first.cancel()
        assert await others == [PLACE] * 5
        assert looked["times"] == 1

    asyncio.run(crowd())
