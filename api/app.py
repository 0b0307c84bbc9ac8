"""The API, as `python -m api` runs it: with its heads bounded, and nowhere that it must not listen."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp

from api import pages
from api.contract import openapi, problems
from api.contract.values import NOTICE
from api.edge.correlated import Correlated
from api.edge.gate import Gate
from api.edge.headers import SecurityHeaders
from api.edge.same_origin import SameOriginWrites
from api.request import trail
from api.routes import analyses, audit, evaluations, keys, people, service, session, slides, uploads
from api.tiles.app import TileApp
from api.tiles.open_files import SlideFiles


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
    problems.install(api, refused=trail.denied_to)
    for part in (session, keys, people, uploads, slides, analyses, evaluations, audit):
        api.include_router(part.router, prefix=openapi.PREFIX)
    api.include_router(service.api_router, prefix=openapi.PREFIX)
    api.include_router(service.router)
    pages.install(api)
    openapi.install(api)
    return api


def create_app() -> ASGIApp:
    """All of it: tiles first, since they are many."""
    files = SlideFiles()
    served = TileApp(Correlated(Gate(SameOriginWrites(create_api(files), trail.denied_to))), files)
    return SecurityHeaders(ServerErrorMiddleware(served, handler=problems.fault))


app = create_app()
