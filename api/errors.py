"""The table from the domain's errors to HTTP, and RFC 9457 problem documents for every answer that is not a success."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from core import errors, uploads

STATUS: dict[type[errors.QuarterturnError], int] = {
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Withheld: 409,
    errors.Gone: 410,
    errors.TooLarge: 413,
    errors.Invalid: 422,
    errors.SlideRejected: 422,
    uploads.ChecksumMismatch: 460,  # tus 1.0.0, checksum extension
    errors.Unavailable: 503,
    errors.NoSpace: 507,
}
TITLES = {400: "Bad request", 404: "Not found", 405: "Method not allowed", 412: "Precondition failed"}
log = logging.getLogger(__name__)


def problem(status: int, code: str, detail: str, action: str = "", **more: Any) -> JSONResponse:
    """A problem document; `type` is stable, `detail` says what is wrong, `action` what to do."""
    title = code.replace("-", " ").capitalize()
    content = {"type": f"urn:quarterturn:problem:{code}", "title": title, "status": status, "detail": detail, **more}
    if action:
        content["action"] = action
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return JSONResponse(content, status, headers, media_type="application/problem+json")


def from_error(error: errors.QuarterturnError) -> JSONResponse:
    """The nearest ancestor in the table gives the status."""
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    return problem(status, error.code, error.detail, error.action)


def install(app: FastAPI) -> None:
    """All errors of an app answer as problem documents."""

    @app.exception_handler(errors.QuarterturnError)
    def _domain(_: Request, error: errors.QuarterturnError) -> JSONResponse:
        return from_error(error)

    @app.exception_handler(RequestValidationError)
    def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        found = [{"where": ".".join(str(part) for part in e["loc"]), "what": e["msg"]} for e in error.errors()]
        detail = "; ".join(f"{e['where']}: {e['what']}" for e in found)
        return problem(422, "bad-request", detail, "see /docs for what this takes", errors=found)

    @app.exception_handler(HTTPException)
    def _http(_: Request, error: HTTPException) -> JSONResponse:
        code = TITLES.get(error.status_code, "Request refused").lower().replace(" ", "-")
        return problem(error.status_code, code, str(error.detail), "see /docs for what there is")

    @app.exception_handler(OperationalError)
    def _database(_: Request, error: OperationalError) -> JSONResponse:
        log.error("the database is away: %s", type(error.orig).__name__)
        return problem(503, "database-away", "the database does not answer", "try again in a moment")

    @app.exception_handler(500)
    def _fault(_: Request, error: Exception) -> JSONResponse:
        return problem(
            500, "server-fault", "something went wrong in the server", "try again; it was written to the log"
        )
