"""What stands before a tile, without a service: of many who ask the same at one moment, one looks for all."""

import asyncio
import os
import time

import numpy as np
import pytest
from slides import write_pyramid

from api.tiles import app as tile_app
from api.tiles.app import TileApp, TileRequest
from api.tiles.open_files import SlideFiles
from core.errors import Gone, Unauthenticated
from core.pixels.levels import Source

PLACE = object()


@pytest.fixture
def looked(monkeypatch):
    """Who was looked up, and how it ends: `fails` is raised."""
    found = {"times": 0, "fails": None}

    def look(*_):
        found["times"] += 1
        time.sleep(0.1)
        if found["fails"]:
            raise found["fails"]
        return PLACE

    monkeypatch.setattr(tile_app, "_look_up", look)
    return found


def ask(app, count, slide="0" * 32):
    asked = [app._admit({b"authorization": b"Bearer k"}, TileRequest(True, slide, 0, 0, 0), "") for _ in range(count)]
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


def test_what_one_may_see_is_looked_up_for_each_who_asks(looked):
    """Nobody sees a slide, unseen by the audit, because another looks at it just now."""
    app, asked = TileApp(None, SlideFiles()), TileRequest(True, "0" * 32, 0, 0, 0)

    async def two():
        for key in (b"Bearer a", b"Bearer b", b"Bearer a"):
            assert await app._admit({b"authorization": key}, asked, "") is PLACE
        assert looked["times"] == 2

    asyncio.run(two())


def test_another_file_in_the_same_place_has_a_reader_of_its_own(tmp_path):
    """A reader keeps its file open: of one that came to lie there since, it knows nothing."""
    path, files, seen = tmp_path / "slide.tiff", SlideFiles(), []
    for colour in (200, 30):
        fresh = write_pyramid(tmp_path / "fresh.tiff", np.full((300, 400, 3), colour, np.uint8), 0.5)
        os.replace(fresh, path)
        for _ in range(2):
            with files.reader(path) as reader:
                seen.append(int(reader.region(Source(0, 1, 1, 1), 0, 0, 8, 8)[0, 0, 0]))
    files.drop(path)
    assert not files._idle, "nothing of it is held any more"
    assert seen == [200, 200, 30, 30]
    path.unlink()
    with pytest.raises(Gone), files.reader(path):
        pass
    files.close()
