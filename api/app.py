"""The API, as `python -m api` runs it: with its heads bounded, and nowhere that it must not listen."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp

from api import description, errors, pages, trail
from api.gate import Gate
from api.middleware import Correlated, SameOriginWrites, SecurityHeaders
from api.routes import analyses, audit, evaluations, keys, people, service, session, slides, uploads
from api.schemas import NOTICE
from api.slide_files import SlideFiles
from api.tile_app import TileApp


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
        api.include_router(part.router, prefix=description.PREFIX)
    api.include_router(service.api_router, prefix=description.PREFIX)
    api.include_router(service.router)
    pages.install(api)
    description.install(api)
    return api


def create_app() -> ASGIApp:
    """All of it: tiles first, since they are many."""
    files = SlideFiles()
    served = TileApp(Correlated(Gate(SameOriginWrites(create_api(files), trail.denied_to))), files)
    return SecurityHeaders(ServerErrorMiddleware(served, handler=errors.fault))


app = create_app()
