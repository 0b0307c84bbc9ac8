"""Tiles as a bare ASGI application: no framework stands between a request and the slide file's bytes.

    /api/v1/slides/{id}/tiles/{level}/{col}_{row}.jpeg     the slide's own grid; native bytes where the file has them
    /api/v1/slides/{id}_files/{dz_level}/{col}_{row}.jpeg  Deep Zoom, through a reader child

What is at hand is answered at once: who asks and where the slide lies are remembered for a second (a revocation or
deletion may lag by that), and a native tile whose bytes are in memory takes one read. All else goes to a thread: the
database, a disk that must be waited for, a tile that must be made. Made tiles are kept, up to a number of bytes.
"""

import asyncio
import re
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread
from cachetools import LRUCache, TTLCache
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from api.contract.problems import KEPT_OUT, from_database, from_error, too_crowded
from api.metrics import TILES
from api.request import trail
from api.request.visitor import cookie_name, secret_of
from api.tiles.open_files import SlideFiles, TileFile
from core.access import credentials
from core.access.visitor import Visitor
from core.database.transactions import reading
from core.errors import Conflict, Gone, NotFound, QuarterturnError, ReaderFault, SlideRejected
from core.pixels.levels import SlideInfo
from core.slides import catalog, opening, storage

NATIVE = re.compile(r"^/api/v1/slides/([0-9a-f]{32})/tiles/(\d{1,2})/(\d{1,7})_(\d{1,7})\.jpe?g$")
DEEP_ZOOM = re.compile(r"^/api/v1/slides/([0-9a-f]{32})_files/(\d{1,2})/(\d{1,7})_(\d{1,7})\.jpe?g$")
REMEMBER_SECONDS = 1.0
KEPT_BYTES = 64 << 20
THREADS = 8
Proof = tuple[bytes, bytes]  # the headers that say who asks, as they came


@dataclass(frozen=True)
class Place:
    """Where a slide's tiles lie; `version` changes with the file's content."""

    path: Path
    index: Path
    version: str
    info: SlideInfo


@dataclass(frozen=True)
class Asked:
    """A tile: of which grid, and where in it."""

    native: bool
    slide_id: str
    level: int
    col: int
    row: int

    @classmethod
    def of(cls, path: str) -> "Asked | None":
        for pattern in (NATIVE, DEEP_ZOOM):
            found = pattern.match(path)
            if found:
                return cls(pattern is NATIVE, found[1], int(found[2]), int(found[3]), int(found[4]))
        return None

    def tag(self, version: str) -> bytes:
        return f'"{version}-{"n" if self.native else "d"}-{self.level}-{self.col}-{self.row}"'.encode()


class TileApp:
    """Answers tile requests, passes all others on. What it remembers is touched by the event loop alone."""

    def __init__(self, app: ASGIApp, files: SlideFiles) -> None:
        self.app, self.files = app, files
        self._admitted: TTLCache[tuple[Proof, str], Place] = TTLCache(1024, REMEMBER_SECONDS)
        self._made: LRUCache[tuple[str, bytes], bytes] = LRUCache(KEPT_BYTES, getsizeof=len)
        self._looking: dict[tuple[Proof, str], asyncio.Future[Place]] = {}
        self._limiters: tuple[CapacityLimiter, CapacityLimiter] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Asked.of(scope["path"]) if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") else None
        if asked is None:
            await self.app(scope, receive, send)
            return
        headers, origin = dict(scope["headers"]), (scope["client"] or ("",))[0]
        try:
            place = await self._admit(headers, asked, origin)
            tag = asked.tag(place.version)
            if headers.get(b"if-none-match") == tag:
                await _answer(send, 304, b"", tag)
                return
            content = self._at_hand(place, asked, tag) or await self._unless_gone(
                self._fetched(place, asked, tag), _proof(headers), asked.slide_id, origin
            )
        except QuarterturnError as error:
            await from_error(error)(scope, receive, send)
        except DBAPIError as error:
            await from_database(error)(scope, receive, send)
        except PoolTimeout:
            await too_crowded()(scope, receive, send)
        else:
            TILES.inc()
            await _answer(send, 200, content, tag)

    async def _admit(self, headers: dict[bytes, bytes], asked: Asked, origin: str) -> Place:
        """Who asks, and where the slide's tiles lie. Raises Unauthenticated, NotFound or Conflict."""
        proof = _proof(headers)
        place = self._admitted.get((proof, asked.slide_id))
        if place is None:
            place = await self._look_up(proof, asked.slide_id, origin)
            self._admitted[proof, asked.slide_id] = place
        return place

    async def _look_up(self, proof: Proof, slide_id: str, origin: str) -> Place:
        """Of many who ask the same at the same moment one looks, for all: when what is remembered ends, all do."""
        known = (proof, slide_id)
        looking = self._looking.get(known)
        if looking is None:
            found = self._in_thread(_looked_up, proof, slide_id, origin, at_once=True)
            looking = self._looking[known] = asyncio.ensure_future(found)
            looking.add_done_callback(lambda _: self._looking.pop(known))
        return await asyncio.shield(looking)  # one who leaves takes nothing from the others

    async def _unless_gone(self, fetched: Awaitable[bytes], proof: Proof, slide_id: str, origin: str) -> bytes:
        """A file that cannot be read may be one whose slide was deleted since it was looked up: then that is said."""
        try:
            return await fetched
        except (ReaderFault, SlideRejected, Gone, Conflict):
            await self._look_up(proof, slide_id, origin)
            raise

    def _at_hand(self, place: Place, asked: Asked, tag: bytes) -> bytes | None:
        """What needs no waiting: a native tile in memory, or a tile made before."""
        if asked.native:
            file = self.files.known(place.path, place.version)
            content = file.tile_at_once(asked.level, asked.col, asked.row) if file else None
            if content is not None:
                return content
        return self._made.get((asked.slide_id, tag))

    async def _fetched(self, place: Place, asked: Asked, tag: bytes) -> bytes:
        content: bytes | None = None
        if asked.native:
            file = await self._in_thread(self.files.opened, place.path, place.index, place.version)
            content = await self._in_thread(_native, file, place.info, asked)
        if content is None:
            content = await self._in_thread(self._rendered, place, asked)
            if len(content) < KEPT_BYTES:
                self._made[(asked.slide_id, tag)] = content
        return content

    def _rendered(self, place: Place, asked: Asked) -> bytes:
        """A tile that must be decoded, or made of others."""
        op, where = ("render", _box(place.info, asked)) if asked.native else ("dz", _zoomed(asked))
        with self.files.reader(place.path) as reader:
            return reader.call(op, **where)[1]

    async def _in_thread(self, function: Any, *arguments: Any, at_once: bool = False) -> Any:
        """`at_once`: not behind tiles that are being made."""
        self._limiters = self._limiters or (CapacityLimiter(THREADS), CapacityLimiter(THREADS))
        return await to_thread.run_sync(function, *arguments, limiter=self._limiters[at_once])


def _proof(headers: dict[bytes, bytes]) -> Proof:
    return headers.get(b"authorization", b""), headers.get(b"cookie", b"")


def _looked_up(proof: Proof, slide_id: str, origin: str) -> Place:
    authorization = proof[0].decode("latin-1") or None
    cookies = cookie_parser(proof[1].decode("latin-1"))
    visitor: Visitor | None = None
    try:
        with reading() as session:
            visitor = credentials.authenticate(session, *secret_of(authorization, cookies.get(cookie_name())))
            visitor.require_scope("read")
            slide = catalog.find(session, visitor, slide_id)
            index, version = storage.folder(slide.id) / storage.TILE_INDEX, (slide.sha256 or "")[:16]
            info = catalog.info_of(slide)
            trail.Trail(visitor, origin).viewed(session, "slide.view", slide_id)  # of who asked for no manifest
    except KEPT_OUT as error:
        if visitor or proof[0]:
            trail.denied(visitor, error.code, f"GET tiles of {slide_id}", origin)
        raise
    return Place(opening.slide_file(slide).path, index, version, info)  # may unpack: no transaction stays open for it


def _native(file: TileFile, info: SlideInfo, asked: Asked) -> bytes | None:
    """The file's own tile; None where it must be made. Raises NotFound beyond the slide's grid."""
    _box(info, asked)
    return file.tile(asked.level, asked.col, asked.row)


def _box(info: SlideInfo, asked: Asked) -> dict[str, Any]:
    """The level-0 rectangle of a tile of the slide's own grid, and its size. Raises NotFound."""
    if asked.level >= len(info.levels):
        raise NotFound("no-such-tile", "the slide has no such level", "see GET /api/v1/slides/ID/tiles")
    level = info.levels[asked.level]
    left, top = asked.col * level.tile_width, asked.row * level.tile_height
    width, height = min(level.tile_width, level.width - left), min(level.tile_height, level.height - top)
    if width <= 0 or height <= 0:
        raise NotFound("no-such-tile", "the level has no such tile", "see GET /api/v1/slides/ID/tiles")
    x, y = level.downsample_x, level.downsample_y
    return {"x": left * x, "y": top * y, "width": width * x, "height": height * y, "out": [width, height]}


def _zoomed(asked: Asked) -> dict[str, Any]:
    return {"level": asked.level, "col": asked.col, "row": asked.row}


async def _answer(send: Send, status: int, content: bytes, tag: bytes) -> None:
    headers = [
        (b"content-type", b"image/jpeg"),
        (b"content-length", str(len(content)).encode()),
        (b"etag", tag),
        (b"cache-control", b"private, max-age=31536000, immutable"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers if status == 200 else headers[2:]})
    await send({"type": "http.response.body", "body": content})
