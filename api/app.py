"""The API as `python -m api` runs it."""

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp

from api import pages
from api.contract import openapi, problems
from api.contract.calls import PREFIX
from api.contract.values import NOTICE
from api.edge.conditional import ConditionalReads
from api.edge.correlated import Correlated
from api.edge.cross_origin import CrossOrigin
from api.edge.gate import Gate
from api.edge.head_requests import HeadRequests
from api.edge.headers import SecurityHeaders
from api.edge.method_override import MethodOverride
from api.edge.path_prefix import PrefixedAddresses, StripPrefix
from api.edge.same_origin import SameOriginWrites
from api.readiness import ReadinessProbe
from api.request import trail
from api.request.idempotency import Replayed, replay
from api.request.strict_query import reject_unknown_parameters
from api.routes import analyses, audit, evaluations, keys, people, results, service, session, slides, uploads
from api.tiles.app import TileApp
from api.tiles.open_files import SWEEP_SECONDS, SlideFiles
from core.settings import get_settings

log = logging.getLogger(__name__)
READS = (
    "HEAD is answered wherever GET is. Answers to GET carry an ETag; If-None-Match with it answers 304. A POST below "
    "/api/v1/uploads with X-HTTP-Method-Override is treated as the method that it names."
)


def _sweep(files: SlideFiles, stop: threading.Event) -> None:
    """Lets go of deleted slides' files, again and again, until `stop`."""
    while not stop.wait(SWEEP_SECONDS):
        try:
            files.sweep()
        except Exception:  # the edge of a thread: logged here, once, and the next sweep tries again
            log.exception("sweep of open slide files failed")


def create_api(files: SlideFiles) -> FastAPI:
    """The routes, without the middleware and the tiles."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        stop = threading.Event()
        # A daemon, since a share that hangs would keep its thread, and with it the process, from ending.
        threading.Thread(target=_sweep, args=(files, stop), name="sweep", daemon=True).start()
        yield
        stop.set()
        files.close()

    api = FastAPI(
        title="Quarterturn",
        version="1",
        description=f"{NOTICE} {READS}",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(reject_unknown_parameters)],
    )
    api.state.files, api.state.readiness = files, ReadinessProbe()
    problems.install(api, record_denied=trail.record_denied_request)
    api.add_exception_handler(Replayed, replay)
    for part in (session, keys, people, uploads, slides, analyses, results, evaluations, audit):
        api.include_router(part.router, prefix=PREFIX)
    api.include_router(service.api_router, prefix=PREFIX)
    api.include_router(service.router)
    pages.install(api)
    openapi.install(api)
    return api


def create_app() -> ASGIApp:
    """The whole API. Tiles come first: they are most of the requests, and need none of what follows."""
    files, settings = SlideFiles(), get_settings()
    reads = HeadRequests(ConditionalReads(create_api(files)))
    checked = Gate(SameOriginWrites(reads, trail.record_denied_request))
    prefixed = PrefixedAddresses(Correlated(MethodOverride(checked)), settings.prefix())
    served: ASGIApp = TileApp(prefixed, files)
    served = ServerErrorMiddleware(served, handler=problems.fault)
    if origins := settings.origins():
        served = CrossOrigin(served, origins)
    return SecurityHeaders(StripPrefix(served, settings.prefix()))


app = create_app()
