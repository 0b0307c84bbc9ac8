"""The table from the domain's errors to HTTP, and RFC 9457 problem documents for every answer that is not a success."""

import logging
import re
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from api.contract import openapi
from api.metrics import REFUSED
from core import errors
from core.slides import uploads


class UnsupportedVersion(errors.Invalid):
    """Another protocol version than is known: 412, and tus wants to be told which one is."""


class UnsupportedType(errors.Invalid):
    """Another Content-Type than is taken."""


STATUS: dict[type[errors.QuarterturnError], int] = {
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Withheld: 409,
    errors.Gone: 410,
    errors.TooLarge: 413,
    errors.TooMany: 429,
    errors.Invalid: 422,
    UnsupportedVersion: 412,
    UnsupportedType: 415,
    errors.SlideRejected: 422,
    errors.ReaderFault: 503,
    uploads.ChecksumMismatch: 460,  # tus 1.0.0, checksum extension
    errors.Unavailable: 503,
    errors.NoSpace: 507,
}
HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    412: {"Tus-Version": "1.0.0"},
    429: {"Retry-After": "1"},
    503: {"Retry-After": "2"},
}
KEPT_OUT = (errors.Unauthenticated, errors.Forbidden, errors.Foreign)
OVER_A_LIMIT = (errors.TooLarge, errors.TooMany)
ALREADY = re.compile(r"UNIQUE constraint|duplicate key")  # SQLite's words and PostgreSQL's
TITLES = {400: "Bad request", 404: "Not found", 405: "Method not allowed", 412: "Precondition failed"}
log = logging.getLogger(__name__)


def problem(status: int, code: str, detail: str, action: str = "", **more: Any) -> JSONResponse:
    """A problem document; `type` is stable, `detail` says what is wrong, `action` what to do."""
    title = code.replace("-", " ").capitalize()
    content = {"type": f"urn:quarterturn:problem:{code}", "title": title, "status": status, "detail": detail, **more}
    if action:
        content["action"] = action
    return JSONResponse(content, status, HEADERS.get(status, {}), media_type="application/problem+json")


def from_error(error: errors.QuarterturnError) -> JSONResponse:
    """The nearest ancestor in the table gives the status."""
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    return problem(status, error.code, error.detail, error.action)


def from_database(error: DBAPIError) -> JSONResponse:
    """What a database's own error means to a caller."""
    if isinstance(error, DataError):
        return problem(
            422, "bad-request", "the request holds characters or numbers that cannot be kept", "leave them out"
        )
    if isinstance(error, IntegrityError) and ALREADY.search(str(error.orig)):
        return problem(409, "taken", "somebody else did the same at this moment", "look what is there, and ask again")
    cause = str(error.orig)
    if "disk is full" in cause or "No space left" in cause:
        return problem(507, "no-space", "the disk is full; what was acknowledged is safe", "free space, then go on")
    log.error("the database is away: %s", type(error.orig).__name__)
    return problem(503, "database-away", "the database does not answer", "try again in a moment")


def too_crowded() -> JSONResponse:
    """Every connection to the database is in use, and stayed so."""
    return problem(503, "too-crowded", "too many requests wait for the database", "try again in a moment")


def fault(_: Request, __: Exception) -> JSONResponse:
    """What nobody foresaw; the server's log has it."""
    return problem(500, "server-fault", "something went wrong in the server", "try again; it was written to the log")


def install(app: FastAPI, refused: Callable[[Request, str], None]) -> None:
    """All errors of an app answer as problem documents; `refused` is told of those that keep somebody out."""

    @app.exception_handler(errors.QuarterturnError)
    def _domain(request: Request, error: errors.QuarterturnError) -> JSONResponse:
        if isinstance(error, KEPT_OUT):
            refused(request, error.code)
        elif isinstance(error, OVER_A_LIMIT):
            REFUSED.labels(error.code).inc()
        return from_error(error)

    @app.exception_handler(RequestValidationError)
    def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        found = [{"where": ".".join(str(part) for part in e["loc"]), "what": e["msg"]} for e in error.errors()]
        detail = "; ".join(f"{e['where']}: {e['what']}" for e in found)
        return problem(422, "bad-request", detail, "see /docs for what this takes", errors=found)

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> JSONResponse:
        code = TITLES.get(error.status_code, "Request refused").lower().replace(" ", "-")
        answer = problem(error.status_code, code, str(error.detail), "see /docs for what there is")
        if error.status_code == 405:
            methods = openapi.methods_of(app.openapi(), request.scope["path"])
            answer.headers["Allow"] = ", ".join(methods) or (error.headers or {}).get("Allow", "")
        return answer

    @app.exception_handler(PoolTimeout)
    def _crowded(_: Request, __: PoolTimeout) -> JSONResponse:
        return too_crowded()

    @app.exception_handler(DBAPIError)
    def _database(_: Request, error: DBAPIError) -> JSONResponse:
        return from_database(error)

    app.add_exception_handler(500, fault)
