"""Tiles as a bare ASGI application: no framework stands between a request and the slide file's bytes.

    /api/v1/slides/{id}/tiles/{level}/{col}_{row}.jpeg     the slide's own grid; native bytes where the file has them
    /api/v1/slides/{id}_files/{dz_level}/{col}_{row}.jpeg  Deep Zoom, through a reader child

Whom a secret proves and where a slide's tiles lie is remembered for a second: a revocation or deletion may lag by that.
"""

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread
from cachetools import TTLCache
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from api.dependencies import cookie_name, secret_of
from api.errors import from_database, from_error
from core import access, catalog, native_tiles, storage
from core.access import Visitor
from core.database import reading
from core.errors import Conflict, Gone, NotFound, QuarterturnError, SlideRejected
from core.settings import get_settings
from core.slide import Reader, SlideInfo

NATIVE = re.compile(r"^/api/v1/slides/([0-9a-f]{32})/tiles/(\d{1,2})/(\d{1,7})_(\d{1,7})\.jpe?g$")
DEEP_ZOOM = re.compile(r"^/api/v1/slides/([0-9a-f]{32})_files/(\d{1,2})/(\d{1,7})_(\d{1,7})\.jpe?g$")
REMEMBER_SECONDS = 1.0
MOST_READERS = 4
THREADS = 8


@dataclass(frozen=True)
class Tiles:
    """Where a slide's tiles lie."""

    path: Path
    version: str
    info: SlideInfo
    native: dict[int, native_tiles.NativeLevel]


class Readers:
    """Reader children, one a slide: of those that nobody uses, the least recently used are closed first."""

    def __init__(self) -> None:
        self._idle: OrderedDict[Path, Reader] = OrderedDict()
        self._used: dict[Path, tuple[Reader, int]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def of(self, path: Path) -> Iterator[Reader]:
        """The slide's reader, which stays open at least as long as somebody is in here."""
        with self._lock:
            reader, users = self._used.get(path) or (self._resting(path), 0)
            self._used[path] = (reader, users + 1)
        try:
            yield reader
        finally:
            with self._lock:
                closing = self._left(path)
            for one in closing:
                one.close()

    def _resting(self, path: Path) -> Reader:
        """The reader that rests, or a new one."""
        kept = self._idle.pop(path) if path in self._idle else None
        if kept is not None and kept.alive:
            return kept
        settings = get_settings()
        return Reader(path, settings.reader_seconds, settings.reader_memory_bytes)

    def _left(self, path: Path) -> list[Reader]:
        """One user fewer; the readers that are to be closed now."""
        reader, users = self._used.pop(path)
        if users > 1:
            self._used[path] = (reader, users - 1)
            return []
        if not reader.alive:
            return [reader]
        self._idle[path] = reader
        return [self._idle.popitem(last=False)[1] for _ in range(len(self._idle) - MOST_READERS)]

    def drop(self, path: Path) -> None:
        """Nobody will ask for this slide again: its file's space shall be free."""
        with self._lock:
            reader = self._idle.pop(path) if path in self._idle else None
        if reader is not None:
            reader.close()

    def close(self) -> None:
        with self._lock:
            while self._idle:
                self._idle.popitem()[1].close()
            for reader, _ in self._used.values():
                reader.close()


class TileApp:
    """Answers tile requests, passes all others on."""

    def __init__(self, app: ASGIApp, readers: Readers) -> None:
        self.app, self.readers = app, readers
        self._visitors: TTLCache[tuple[str, str], Visitor] = TTLCache(1024, REMEMBER_SECONDS)
        self._slides: TTLCache[tuple[str, str], Tiles] = TTLCache(64, REMEMBER_SECONDS)
        self._limiter: CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        native, zoom = NATIVE.match(path), DEEP_ZOOM.match(path)
        found = native or zoom
        if scope["type"] != "http" or found is None or scope["method"] not in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        self._limiter = self._limiter or CapacityLimiter(THREADS)
        headers = dict(scope["headers"])
        numbers = (int(found[2]), int(found[3]), int(found[4]))
        try:
            tiles = await to_thread.run_sync(self._admit, headers, found[1], limiter=self._limiter)
            tag = f'"{tiles.version}-{"n" if native else "d"}-{numbers[0]}-{numbers[1]}-{numbers[2]}"'.encode()
            if headers.get(b"if-none-match") == tag:
                await _answer(send, 304, b"", tag)
                return
            make = self._native_tile if native else self._zoom_tile
            content = await to_thread.run_sync(make, tiles, *numbers, limiter=self._limiter)
        except QuarterturnError as error:
            await from_error(error)(scope, receive, send)
            return
        except DBAPIError as error:
            await from_database(error)(scope, receive, send)
            return
        await _answer(send, 200, content, tag)

    def _admit(self, headers: dict[bytes, bytes], slide_id: str) -> Tiles:
        """Who asks, and where the slide's tiles lie. Raises Unauthenticated, NotFound or Conflict."""
        authorization = headers[b"authorization"].decode("latin-1") if b"authorization" in headers else None
        cookies = cookie_parser(headers.get(b"cookie", b"").decode("latin-1"))
        proof = secret_of(authorization, cookies.get(cookie_name()))
        visitor = self._visitors.get(proof)
        key = (visitor.workspace_id if visitor else "", slide_id)
        tiles = self._slides.get(key)
        if visitor is None or tiles is None:
            with reading() as session:
                visitor = self._visitors[proof] = access.recognise(session, *proof)
                tiles = self._slides[(visitor.workspace_id, slide_id)] = _tiles_of(session, visitor, slide_id)
        return tiles

    def _native_tile(self, tiles: Tiles, level: int, col: int, row: int) -> bytes:
        if level >= len(tiles.info.levels):
            raise NotFound("no-such-tile", "the slide has no such level")
        shape = tiles.info.levels[level]
        left, top = col * shape.tile_width, row * shape.tile_height
        width, height = min(shape.tile_width, shape.width - left), min(shape.tile_height, shape.height - top)
        if width <= 0 or height <= 0:
            raise NotFound("no-such-tile", "the level has no such tile")
        whole = self._passed_through(tiles, level, col, row)
        if whole is not None:
            return whole
        x, y = shape.downsample_x, shape.downsample_y
        place = {"x": left * x, "y": top * y, "width": width * x, "height": height * y, "out": [width, height]}
        return self._render(tiles, "render", **place)

    def _passed_through(self, tiles: Tiles, level: int, col: int, row: int) -> bytes | None:
        """The file's own JPEG, completed; None where it has none for this place."""
        native = tiles.native.get(level)
        span = native.span(col, row) if native else None
        if native is None or span is None:
            return None
        try:
            file = os.open(tiles.path, os.O_RDONLY)
        except OSError as error:
            raise Gone(
                "slide-file-gone", f"the slide's file cannot be opened: {error.strerror}", "restore it"
            ) from None
        try:
            return native.splice(os.pread(file, span[1], span[0]))
        finally:
            os.close(file)

    def _zoom_tile(self, tiles: Tiles, level: int, col: int, row: int) -> bytes:
        return self._render(tiles, "dz", level=level, col=col, row=row)

    def _render(self, tiles: Tiles, op: str, **place: Any) -> bytes:
        try:
            with self.readers.of(tiles.path) as reader:
                return reader.call(op, **place)[1]
        except SlideRejected as error:
            if error.code == "no-such-tile":
                raise NotFound(error.code, error.detail) from None
            raise


def _tiles_of(session: Session, visitor: Visitor, slide_id: str) -> Tiles:
    slide = catalog.find(session, visitor, slide_id)
    info = catalog.info_of(slide)
    index = storage.folder(slide.id) / "tiles.npz"
    if not index.exists():
        raise Conflict("slide-not-ready", f"the slide is {slide.state}", "wait for its inspection")
    native = native_tiles.restore(index.read_bytes())
    return Tiles(storage.absolute(slide.file), (slide.sha256 or "")[:16], info, native)


async def _answer(send: Send, status: int, content: bytes, tag: bytes) -> None:
    headers = [
        (b"content-type", b"image/jpeg"),
        (b"content-length", str(len(content)).encode()),
        (b"etag", tag),
        (b"cache-control", b"private, max-age=31536000, immutable"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers if status == 200 else headers[2:]})
    await send({"type": "http.response.body", "body": content})
