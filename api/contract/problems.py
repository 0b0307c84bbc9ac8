"""Maps the errors of the domain to HTTP, and writes RFC 9457 problem documents for every answer that is no success."""

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
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from api.contract import calls
from api.contract.media import TUS_VERSION
from api.metrics import REFUSED
from core import errors
from core.slides import uploads


class UnsupportedVersion(errors.Invalid):
    """A tus version that is not supported. The answer, 412, names the supported one (tus 1.0.0, Tus-Version)."""


class UnsupportedType(errors.Invalid):
    """A Content-Type that the call does not take."""


STATUS: dict[type[errors.QuarterturnError], int] = {
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.TooLarge: 413,
    errors.TooMany: 429,
    errors.Invalid: 422,
    UnsupportedVersion: 412,
    UnsupportedType: 415,
    errors.SlideRejected: 422,
    errors.ReaderFault: 503,  # the slide may be fine: the client may repeat the request
    uploads.ChecksumMismatch: 460,  # tus 1.0.0, checksum extension
    errors.Unavailable: 503,
    errors.NoSpace: 507,
}
CLIENT_CLOSED_REQUEST = 499  # nginx's: the client left before its answer. For logs and metrics; nobody receives it
HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    412: {"Tus-Version": TUS_VERSION},
    429: {"Retry-After": "1"},
    503: {"Retry-After": "2"},
}
RETRY_AFTER = {"too-many-sign-ins": "60"}  # by code, where the status's own number of seconds does not fit
ACCESS_ERRORS = (errors.Unauthenticated, errors.Forbidden, errors.Foreign)  # audited, not only counted
LIMIT_ERRORS = (errors.TooLarge, errors.TooMany)
ALREADY = re.compile(r"UNIQUE constraint|duplicate key")  # SQLite's words and PostgreSQL's
TITLES = {400: "Bad request", 404: "Not found", 405: "Method not allowed", 412: "Precondition failed"}
log = logging.getLogger(__name__)


def problem(status: int, code: str, detail: str, action: str = "", **more: Any) -> JSONResponse:
    """A problem document (RFC 9457). `type` is stable; `detail` says what is wrong with what, `action` what to do."""
    title = code.replace("-", " ").capitalize()
    content = {"type": f"urn:quarterturn:problem:{code}", "title": title, "status": status, "detail": detail, **more}
    if action:
        content["action"] = action
    headers = dict(HEADERS.get(status, {}))
    if code in RETRY_AFTER:
        headers["Retry-After"] = RETRY_AFTER[code]
    return JSONResponse(content, status, headers, media_type="application/problem+json")


def from_error(error: errors.QuarterturnError) -> JSONResponse:
    """The problem of a domain error. The nearest ancestor in the table gives the status."""
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    parameters = {"parameters": error.parameters} if error.parameters else {}
    return problem(status, error.code, error.detail, error.action, **parameters)


def from_database(error: DBAPIError) -> JSONResponse:
    """The problem of a database error."""
    if isinstance(error, DataError):
        return problem(
            422, "bad-request", "the request has characters or numbers that cannot be stored", "leave them out"
        )
    if isinstance(error, IntegrityError) and ALREADY.search(str(error.orig)):
        return problem(409, "taken", "another request did the same at this moment", "read the current state, try again")
    cause = str(error.orig)
    if "disk is full" in cause or "No space left" in cause:
        return problem(507, "no-space", "the disk is full; acknowledged data is safe", "free space, then try again")
    log.error("database unreachable", extra={"fields": {"error": type(error.orig).__name__}})
    return problem(503, "database-away", "the database does not answer", "try again in a moment")


def pool_exhausted() -> JSONResponse:
    """The problem where no database connection became free in time."""
    return problem(503, "too-crowded", "too many requests wait for the database", "try again in a moment")


def fault(_: Request, __: Exception | None) -> JSONResponse:
    """The problem of an unhandled exception. It says nothing of the cause, which may hold names and paths."""
    return problem(500, "server-fault", "something went wrong in the server", "try again; it was written to the log")


def install(app: FastAPI, record_denied: Callable[[Request, str], None]) -> None:
    """Makes every error of an app answer as a problem document. `record_denied` audits refusals of access."""

    @app.exception_handler(errors.QuarterturnError)
    def _domain(request: Request, error: errors.QuarterturnError) -> JSONResponse:
        if isinstance(error, ACCESS_ERRORS):
            record_denied(request, error.code)
        elif isinstance(error, LIMIT_ERRORS):
            REFUSED.labels(error.code).inc()
        return from_error(error)

    @app.exception_handler(RequestValidationError)
    def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        invalid = [{"where": ".".join(str(part) for part in e["loc"]), "what": e["msg"]} for e in error.errors()]
        detail = "; ".join(f"{e['where']}: {e['what']}" for e in invalid)
        return problem(422, "bad-request", detail, "see /docs for what this call takes", errors=invalid)

    app.add_exception_handler(HTTPException, _from_framework)

    @app.exception_handler(ClientDisconnect)
    def _client_left(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)  # a route that reads its own body met the end of it

    @app.exception_handler(PoolTimeout)
    def _crowded(_: Request, __: PoolTimeout) -> JSONResponse:
        return pool_exhausted()

    @app.exception_handler(DBAPIError)
    def _database(_: Request, error: DBAPIError) -> JSONResponse:
        return from_database(error)

    app.add_exception_handler(500, fault)


def _from_framework(request: Request, error: Exception) -> Response:
    """The answer where no route takes the request. OPTIONS, which no route but those of tus has, lists the methods."""
    assert isinstance(error, HTTPException)
    methods = ", ".join(calls.methods_of(request.scope["path"]))
    if request.method == "OPTIONS" and methods:
        return Response(status_code=204, headers={"Allow": methods})
    code = TITLES.get(error.status_code, "Request refused").lower().replace(" ", "-")
    answer = problem(error.status_code, code, str(error.detail), "see /docs for the calls there are")
    if error.status_code == 405:
        answer.headers["Allow"] = methods
    return answer
