"""Serves tiles as a bare ASGI application: no framework between a request and the bytes of the slide file.

    /api/v1/slides/{id}/tiles/{level}/{col}_{row}.jpeg     the slide's own grid; native bytes where the file has them
    /api/v1/slides/{id}_files/{dz_level}/{col}_{row}.jpeg  Deep Zoom, through a reader child

Three costs are avoided. The credential and the slide's place are cached for a second (a revocation or deletion may lag
by that). A native tile in the page cache is read on the event loop, without a thread. Rendered tiles are cached, up to
a number of bytes. Everything else runs in a thread: the database, a disk that makes a read wait, a tile to be rendered.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from anyio import CapacityLimiter, to_thread
from cachetools import LRUCache, TTLCache
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from api.contract.entity_tags import matches
from api.contract.problems import ACCESS_ERRORS, from_database, from_error, pool_exhausted
from api.metrics import TILES
from api.request import trail
from api.request.correlation import correlation_of
from api.request.strict_query import reject_others
from api.request.visitor import cookie_name, secret_of
from api.tiles.open_files import SlideFiles, TileFile
from api.tiles.tile_request import TileRequest
from core import logs
from core.access import credentials
from core.access.visitor import Visitor
from core.database.slides import Slide
from core.database.transactions import reading
from core.errors import Conflict, Gone, NotFound, QuarterturnError, ReaderFault, SlideRejected
from core.pixels.levels import SlideInfo
from core.slides import catalog, opening, storage
from core.slides.opening import SlideFile

CACHE_SECONDS = 1.0
CACHE_BYTES = 64 << 20
THREADS = {"tiles": 8, "urgent": 8, "unpacking": 2}
Credential = tuple[bytes, bytes]  # the Authorization and Cookie headers, as they came


@dataclass(frozen=True)
class Place:
    """The files of a slide's tiles. `version` changes with the slide file's content."""

    file: SlideFile
    index: Path
    version: str
    info: SlideInfo


@dataclass(frozen=True)
class Packed:
    """The place of a slide whose zip has to be unpacked first."""

    slide: Slide
    index: Path
    version: str
    info: SlideInfo

    def unpack(self) -> Place:
        """Takes minutes. Raises what opening.slide_file does."""
        return Place(opening.slide_file(self.slide), self.index, self.version, self.info)


class TileApp:
    """Answers tile requests and passes all others on. Its caches are touched by the event loop alone."""

    def __init__(self, app: ASGIApp, files: SlideFiles) -> None:
        self.app, self.files = app, files
        self._places: TTLCache[tuple[Credential, str], Place] = TTLCache(1024, CACHE_SECONDS)
        self._rendered: LRUCache[tuple[str, bytes], bytes] = LRUCache(CACHE_BYTES, getsizeof=len)
        self._lookups: dict[tuple[Credential, str], asyncio.Future[Place]] = {}
        self._limiters: dict[str, CapacityLimiter] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_read = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        request = TileRequest.from_path(scope["path"]) if is_read else None
        if request is None:
            await self.app(scope, receive, send)
            return
        headers, origin = dict(scope["headers"]), (scope["client"] or ("",))[0]
        correlation = ""
        try:
            reject_others(scope["query_string"], ["v"])  # the slide's version, which lets browsers keep the tile
            place = await self._admit(headers, request, origin)
            tag = request.tag(place.version)
            condition = headers.get(b"if-none-match", b"").decode("latin-1")
            if condition not in ("", "*") and matches(condition, tag.decode()):
                await _answer(send, 304, b"", tag)
                return
            content = self._cached(place, request, tag)
            if content is None:  # only a tile that takes work has a correlation: a reader may fail, and logs why
                correlation = correlation_of(headers)
                with logs.correlated(correlation):
                    fetched = self._fetch(place, request, tag)
                    content = await self._unless_gone(fetched, _credential(headers), request, origin)
        except QuarterturnError as error:
            answer = from_error(error)
            if correlation:
                answer.headers["X-Request-Id"] = correlation
            await answer(scope, receive, send)
        except DBAPIError as error:
            await from_database(error)(scope, receive, send)
        except PoolTimeout:
            await pool_exhausted()(scope, receive, send)
        else:
            TILES.inc()
            await _answer(send, 304 if condition == "*" else 200, content, tag)

    async def _admit(self, headers: dict[bytes, bytes], request: TileRequest, origin: str) -> Place:
        """Authenticates, and finds the slide. Raises Unauthenticated, Forbidden, NotFound, Gone or Conflict."""
        credential = _credential(headers)
        place = self._places.get((credential, request.slide_id))
        if place is None:
            place = await self._look_up(credential, request, origin)
            self._places[credential, request.slide_id] = place
        return place

    async def _look_up(self, credential: Credential, request: TileRequest, origin: str) -> Place:
        """Coalesces concurrent lookups of the same slide and credential.

        All cached places of a page's tiles expire at the same moment: without this each tile would take a thread and a
        database connection.
        """
        key = (credential, request.slide_id)
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = self._lookups[key] = asyncio.ensure_future(self._find_place(credential, request, origin))
            lookup.add_done_callback(lambda _: self._lookups.pop(key))
        return await asyncio.shield(lookup)  # a client that leaves must not cancel it for the others

    async def _find_place(self, credential: Credential, request: TileRequest, origin: str) -> Place:
        """Looks a slide up, and unpacks its zip where that is needed: apart, so that other lookups need not wait."""
        place: Place | Packed = await self._in_thread(_look_up, credential, request, origin, pool="urgent")
        if isinstance(place, Packed):
            return cast(Place, await self._in_thread(place.unpack, pool="unpacking"))
        return place

    async def _unless_gone(
        self, fetched: Awaitable[bytes], credential: Credential, request: TileRequest, origin: str
    ) -> bytes:
        """Where a file cannot be read: looks up again, since the slide may have been deleted within the second."""
        try:
            return await fetched
        except (ReaderFault, SlideRejected, Gone, Conflict):
            await self._look_up(credential, request, origin)
            raise

    def _cached(self, place: Place, request: TileRequest, tag: bytes) -> bytes | None:
        """A tile that needs no thread: a native one in the page cache, or one rendered before."""
        if request.native:
            file = self.files.cached(place.file.path, place.version)
            content = file.tile_in_memory(request.level, request.col, request.row) if file else None
            if content is not None:
                return content
        return self._rendered.get((request.slide_id, tag))

    async def _fetch(self, place: Place, request: TileRequest, tag: bytes) -> bytes:
        """Reads or renders a tile in a thread. Raises NotFound beyond the grid, Gone, Conflict or ReaderFault."""
        content: bytes | None = None
        if request.native:
            file = await self._in_thread(self.files.open, place.file.path, place.index, place.version)
            content = await self._in_thread(_native, file, place.info, request)
        if content is None:
            content = await self._in_thread(self._render, place, request)
            if len(content) < CACHE_BYTES:
                self._rendered[(request.slide_id, tag)] = content
        return content

    def _render(self, place: Place, request: TileRequest) -> bytes:
        """A tile that must be decoded or put together, by a reader child."""
        if request.native:
            operation, fields = "render", _box(place.info, request)
        else:
            operation, fields = "dz", {"level": request.level, "col": request.col, "row": request.row}
        with self.files.reader(place.file) as reader:
            return reader.call(operation, **fields)[1]

    async def _in_thread(self, function: Any, *arguments: Any, pool: str = "tiles") -> Any:
        """`pool`: each has threads of its own, so that lookups queue neither behind rendered tiles nor behind zips."""
        limiter = self._limiters.setdefault(pool, CapacityLimiter(THREADS[pool]))
        return await to_thread.run_sync(function, *arguments, limiter=limiter)


def _credential(headers: dict[bytes, bytes]) -> Credential:
    return headers.get(b"authorization", b""), headers.get(b"cookie", b"")


def _look_up(credential: Credential, request: TileRequest, origin: str) -> Place | Packed:
    """The place of a slide. The view is recorded once the file is known to be there, and before a tile leaves."""
    visitor, slide = _authorized(credential, request, origin)
    index, version = storage.folder(slide.id) / storage.TILE_INDEX, (slide.sha256 or "")[:16]
    fields = index, version, catalog.viewable_info(slide)
    opening.require_unaltered(slide)
    # The disk may be slow, so no transaction is open meanwhile.
    place = Packed(slide, *fields) if opening.needs_unpacking(slide) else Place(opening.slide_file(slide), *fields)
    with reading() as session:
        # A client may fetch tiles without their description, whose request records the view otherwise.
        trail.AuditTrail(visitor, origin, request.call).viewed(session, slide.id)
    return place


def _authorized(credential: Credential, request: TileRequest, origin: str) -> tuple[Visitor, Slide]:
    """The visitor and the slide. Raises Unauthenticated, Forbidden or NotFound, and records the refusal."""
    authorization = credential[0].decode("latin-1") or None
    cookies = cookie_parser(credential[1].decode("latin-1"))
    visitor: Visitor | None = None
    call, slide_id = request.call, request.slide_id
    try:
        with reading() as session:
            visitor = credentials.authenticate(session, *secret_of(authorization, cookies.get(cookie_name())))
            visitor.require_scope(call.scope)
            visitor.require(call.role)
            return visitor, catalog.find(session, visitor, slide_id)
    except ACCESS_ERRORS as error:
        if visitor or credential[0]:
            trail.record_denial(visitor, error.code, f"GET tiles of {slide_id}", origin)
        raise


def _native(file: TileFile, info: SlideInfo, request: TileRequest) -> bytes | None:
    """The file's own tile; None where it must be rendered. Raises NotFound beyond the slide's grid."""
    _box(info, request)
    return file.tile(request.level, request.col, request.row)


def _box(info: SlideInfo, request: TileRequest) -> dict[str, Any]:
    """The level-0 rectangle of a tile of the slide's own grid, and its size in pixels. Raises NotFound."""
    if request.level >= len(info.levels):
        raise NotFound("no-such-tile", "the slide has no such level", "see GET /api/v1/slides/ID/tiles")
    level = info.levels[request.level]
    left, top = request.col * level.tile_width, request.row * level.tile_height
    width, height = min(level.tile_width, level.width - left), min(level.tile_height, level.height - top)
    if width <= 0 or height <= 0:
        raise NotFound("no-such-tile", "the level has no such tile", "see GET /api/v1/slides/ID/tiles")
    x, y = level.downsample_x, level.downsample_y
    return {"x": left * x, "y": top * y, "width": width * x, "height": height * y, "out": [width, height]}


async def _answer(send: Send, status: int, content: bytes, tag: bytes) -> None:
    headers = [
        (b"content-type", b"image/jpeg"),
        (b"content-length", str(len(content)).encode()),
        (b"etag", tag),
        (b"cache-control", b"private, max-age=31536000, immutable"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers if status == 200 else headers[2:]})
    await send({"type": "http.response.body", "body": content if status == 200 else b""})
