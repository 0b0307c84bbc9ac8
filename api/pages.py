"""Serves the viewer: its pages and modules, and the libraries as npm installed them."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

FRONTEND = Path(__file__).resolve().parent.parent / "frontend"
MODULES = FRONTEND / "node_modules"
LIBRARIES = {
    "openseadragon": MODULES / "openseadragon" / "build" / "openseadragon",
    "tus": MODULES / "tus-js-client" / "dist",
    "hashes": MODULES / "@noble" / "hashes",
    "swagger": MODULES / "swagger-ui-dist",
}
router = APIRouter(include_in_schema=False)
FRESH = {"Cache-Control": "no-cache"}


class RevalidatedFiles(StaticFiles):
    """Static files that a browser revalidates on each load.

    Without Cache-Control a browser guesses how long a module is fresh, and mixes old and new modules after an upgrade.
    The ETag makes an unchanged file cost one 304.
    """

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(FRESH)
        return response


def _page(name: str) -> FileResponse:
    return FileResponse(FRONTEND / "pages" / name, media_type="text/html", headers=FRESH)


@router.get("/")
def slides() -> FileResponse:
    return _page("slides.html")


@router.get("/slides/{slide_id}")
def viewer(slide_id: str) -> FileResponse:
    return _page("viewer.html")


@router.get("/people")
def people() -> FileResponse:
    return _page("people.html")


@router.get("/docs")
def docs() -> FileResponse:
    return _page("docs.html")


@router.get("/favicon.ico")
def icon() -> FileResponse:
    return FileResponse(FRONTEND / "static" / "shared" / "icon.svg", media_type="image/svg+xml")


def install(app: FastAPI) -> None:
    """Adds the pages, the viewer's modules under /static, and the libraries under /libraries."""
    app.include_router(router)
    app.mount("/static", RevalidatedFiles(directory=FRONTEND / "static"))
    for name, directory in LIBRARIES.items():
        app.mount(f"/libraries/{name}", StaticFiles(directory=directory, check_dir=False))
