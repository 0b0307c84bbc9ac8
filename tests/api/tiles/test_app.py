"""The tile application without a service: concurrent lookups of the same slide are coalesced."""

import asyncio
import contextlib
import os
import threading
import time
from io import FileIO

import numpy as np
import pytest
from asgi import call
from slides import write_pyramid

from api.tiles import app as tile_app
from api.tiles.app import Place, TileApp
from api.tiles.open_files import SlideFiles, TileFile
from api.tiles.tile_request import TileRequest
from core.database.slides import Slide
from core.errors import Gone, ReaderFailed, ReaderOutOfMemory, SlideUnreadable, StorageFault, Unauthenticated
from core.pixels.levels import Level, SlideInfo, Source
from core.slides import opening
from core.slides.opening import SlideFile

PLACE = object()


@pytest.fixture
def lookups(monkeypatch):
    """Counts lookups; raises `fails` where it is set."""
    state = {"times": 0, "fails": None, "may_end": threading.Event()}
    state["may_end"].set()

    def read_slide(*_):
        state["times"] += 1
        time.sleep(0.1)
        state["may_end"].wait()
        if state["fails"]:
            raise state["fails"]
        return PLACE

    monkeypatch.setattr(tile_app, "_look_up", read_slide)
    return state


def ask(app, count, slide="0" * 32):
    requests = [
        app._admit({b"authorization": b"Bearer k"}, TileRequest(True, slide, 0, 0, 0), "") for _ in range(count)
    ]
    return asyncio.gather(*requests, return_exceptions=True)


def test_concurrent_lookups_are_coalesced(lookups):
    app = TileApp(None, SlideFiles())

    async def crowd():
        assert await ask(app, 200) == [PLACE] * 200
        await ask(app, 10)
        assert lookups["times"] == 1, "and it is remembered"
        await ask(app, 10, "1" * 32)
        assert lookups["times"] == 2

    asyncio.run(crowd())


def test_coalesced_refusal_is_not_cached(lookups):
    app = TileApp(None, SlideFiles())

    async def crowd():
        lookups["fails"] = Unauthenticated("not-signed-in", "no", "sign in")
        assert {type(state) for state in await ask(app, 20)} == {Unauthenticated}
        lookups["fails"] = None
        assert await ask(app, 3) == [PLACE] * 3
        assert lookups["times"] == 2

    asyncio.run(crowd())


def test_cancelled_client_does_not_cancel_a_shared_lookup(lookups):
    app = TileApp(None, SlideFiles())

    async def crowd():
        lookups["may_end"].clear()
        first = asyncio.ensure_future(ask(app, 1))
        while not lookups["times"]:
            await asyncio.sleep(0.01)
        others = asyncio.ensure_future(ask(app, 5))
        await asyncio.sleep(0.02)
        first.cancel()
        lookups["may_end"].set()
        assert await others == [PLACE] * 5
        assert lookups["times"] == 1

    asyncio.run(crowd())


def test_lookups_are_made_per_credential(lookups):
    """Lookups are shared per credential, so that each principal's view has its own audit row."""
    app, request = TileApp(None, SlideFiles()), TileRequest(True, "0" * 32, 0, 0, 0)

    async def two():
        for key in (b"Bearer a", b"Bearer b", b"Bearer a"):
            assert await app._admit({b"authorization": key}, request, "") is PLACE
        assert lookups["times"] == 2

    asyncio.run(two())


def test_replaced_file_gets_a_new_reader(tmp_path):
    """A reader keeps its file open and would not see a file that replaced it."""
    path, files, stamps = tmp_path / "slide.tiff", SlideFiles(), []
    for colour in (200, 30):
        fresh = write_pyramid(tmp_path / "fresh.tiff", np.full((300, 400, 3), colour, np.uint8), 0.5)
        os.replace(fresh, path)
        for _ in range(2):
            with files.reader(SlideFile(path, (path,), opening.stamp(path))) as reader:
                stamps.append(int(reader.region(Source(0, 1, 1, 1), 0, 0, 8, 8)[0, 0, 0]))
    files.drop(path)
    assert not files._idle, "no reader of the old file is left"
    assert stamps == [200, 200, 30, 30]
    path.unlink()
    with pytest.raises(Gone):
        opening.file_to_inspect("0" * 32, str(path))
    with pytest.raises(StorageFault), files.reader(SlideFile(path, (path,), "")) as reader:
        reader.call("inspect")
    files.close()


@pytest.mark.parametrize(
    ("error", "status"), [(ReaderFailed, 503), (ReaderOutOfMemory, 503), (StorageFault, 503), (SlideUnreadable, 422)]
)
@pytest.mark.parametrize("grid", ["_files/9/0_0.jpeg", "/tiles/0/0_0.jpeg"])
def test_a_tile_whose_reader_failed_may_be_requested_again(error, status, grid, monkeypatch):
    """A viewer retries after 503. 422 means that a retry gives the same answer."""

    class Failing(SlideFiles):
        @contextlib.contextmanager
        def reader(self, _):
            raise error("a-code", "what is wrong", "what to do")
            yield

        def open(self, *_):
            return TileFile(None, "v", {})

    levels = [Level(500, 400, 1.0, 1.0)]
    place = Place(SlideFile(None, (), ""), None, "v", SlideInfo("generic-tiff", 500, 400, levels, 0.5, 0.5, "file"))
    monkeypatch.setattr(tile_app, "_look_up", lambda *_: place)
    answer = call(TileApp(None, Failing()), "GET", f"/api/v1/slides/{'0' * 32}{grid}")
    assert (answer.status, answer.headers.get("retry-after")) == (status, "2" if status == 503 else None)
    assert answer.json()["type"] == "urn:quarterturn:problem:a-code"
    assert "etag" not in answer.headers


def test_a_disk_fault_under_a_native_tile_answers_503_and_a_short_file_gives_no_partial_tile(tmp_path):
    class Native:
        def span(self, *_):
            return 0, 100

        def splice(self, stream):
            return stream

    path = tmp_path / "slide.tiff"
    path.write_bytes(bytes(40))
    file = TileFile(FileIO(path), "v", {0: Native()})
    assert file.tile(0, 0, 0) is None
    os.truncate(path, 100)
    assert file.tile(0, 0, 0) == bytes(100)

    class Folder:
        """Raises the error of a failing disk."""

        number = os.open(tmp_path, os.O_RDONLY)

        def fileno(self):
            return self.number

    with pytest.raises(StorageFault, match="cannot be read now"):
        TileFile(Folder(), "v", {0: Native()}).tile(0, 0, 0)
    os.close(Folder.number)


SLIDE = Slide(id="0" * 32, file="/import/slide.zip", sha256="ab" * 32, info={})
INFO = SlideInfo("generic-tiff", 500, 400, [Level(500, 400, 1.0, 1.0)], 0.5, 0.5, "file")


@pytest.fixture
def views(monkeypatch):
    """The views that a lookup records, of a slide that everybody may see."""
    recorded = []
    session = contextlib.nullcontext(None)
    monkeypatch.setattr(tile_app, "reading", lambda: session)
    monkeypatch.setattr(tile_app, "_authorized", lambda *_: (None, SLIDE))
    monkeypatch.setattr(tile_app.catalog, "info_of", lambda _: INFO)
    monkeypatch.setattr(tile_app.trail.AuditTrail, "viewed", lambda *_: recorded.append(1))
    return recorded


@pytest.mark.parametrize("kind", [Gone, StorageFault])
def test_a_slide_whose_file_is_not_there_is_not_viewed(kind, views, monkeypatch):
    def refuse(_):
        raise kind("a-code", "what is wrong", "what to do")

    monkeypatch.setattr(opening, "require_unaltered", refuse)
    with pytest.raises(kind):
        tile_app._look_up((b"", b""), TileRequest(True, SLIDE.id, 0, 0, 0), "")
    assert not views


def test_zips_that_are_unpacked_keep_no_other_lookup_waiting(views, monkeypatch):
    """Each takes minutes: they have threads of their own."""
    packed, unpacking, go_on = set(), [], threading.Event()

    def unpack(slide):
        unpacking.append(slide)
        assert go_on.wait(30)
        return SlideFile(None, (), "")

    monkeypatch.setattr(opening, "require_unaltered", lambda _: None)
    monkeypatch.setattr(opening, "needs_unpacking", lambda slide: slide in packed)
    monkeypatch.setattr(opening, "slide_file", lambda slide: unpack(slide) if slide in packed else PLACE)
    app = TileApp(None, SlideFiles())

    async def crowd():
        zips = [Slide(id=f"{number:032x}", file="/import/a.zip", sha256="", info={}) for number in range(30)]
        packed.update(zips)
        slides = {slide.id: slide for slide in zips}
        monkeypatch.setattr(tile_app, "_authorized", lambda _, request, __: (None, slides.get(request.slide_id, SLIDE)))
        waiting = [asyncio.ensure_future(ask(app, 1, slide.id)) for slide in zips]
        while not unpacking:
            await asyncio.sleep(0.01)
        (place,) = await asyncio.wait_for(ask(app, 1, "f" * 32), 20)
        assert place.file is PLACE
        go_on.set()
        for lookup in waiting:
            assert isinstance((await lookup)[0], Place)

    asyncio.run(crowd())
