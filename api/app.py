"""The API: `uvicorn api.app:app`, better `python -m api`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp

from api import errors, pages, trail
from api.gate import Gate
from api.middleware import Correlated, SameOriginWrites, SecurityHeaders
from api.routes import analyses, audit, evaluations, keys, people, service, session, slides, uploads
from api.schemas import NOTICE
from api.slide_files import SlideFiles
from api.tile_app import TileApp

PREFIX = "/api/v1"
TILES = {
    "/slides/{slide_id}/tiles/{level}/{col}_{row}.jpeg": "A tile of the slide's own grid, as the file has it.",
    "/slides/{slide_id}_files/{dz_level}/{col}_{row}.jpeg": "A Deep Zoom tile.",
}


def create_api(files: SlideFiles) -> FastAPI:
    """The framework's part."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        files.close()

    api = FastAPI(
        title="Quarterturn", version="1", description=NOTICE, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    api.state.files = files
    errors.install(api, refused=trail.denied_to)
    for part in (session, keys, people, uploads, slides, analyses, evaluations, audit):
        api.include_router(part.router, prefix=PREFIX)
    api.include_router(service.api_router, prefix=PREFIX)
    api.include_router(service.router)
    pages.install(api)
    _describe_tiles(api)
    return api


def _describe_tiles(api: FastAPI) -> None:
    """Tiles are served below the framework; its documentation, made when it is asked for, learns of them by hand."""
    made = api.openapi

    def openapi() -> dict[str, Any]:
        described = made()
        for path, sentence in TILES.items():
            names = [part.split("}")[0] for part in path.split("{")[1:]]
            parameters = [{"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names]
            shown = {"description": "JPEG", "content": {"image/jpeg": {}}}
            answers = {"200": shown, "304": {"description": "unchanged"}}
            asked = {"tags": ["slides"], "summary": sentence, "parameters": parameters, "responses": answers}
            described["paths"][PREFIX + path] = {"get": asked}
        return described

    api.openapi = openapi  # type: ignore[method-assign] # as FastAPI's documentation says


def create_app() -> ASGIApp:
    """All of it: tiles first, since they are many."""
    files = SlideFiles()
    served = TileApp(Correlated(SameOriginWrites(Gate(create_api(files)))), files)
    return SecurityHeaders(ServerErrorMiddleware(served, handler=errors.fault))


app = create_app()
