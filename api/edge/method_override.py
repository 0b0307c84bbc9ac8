"""Reads X-HTTP-Method-Override, by which a tus client sends PATCH or DELETE through a proxy that knows POST alone.

https://tus.io/protocols/resumable-upload#x-http-method-override. It stands before the gate, so that the limits, scopes
and origins of the overriding method apply. It is refused where it does not fit rather than ignored: a client that
meant DELETE must not have its POST carried out.
"""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from api.contract.calls import PREFIX
from api.contract.problems import from_error
from core.errors import Invalid

HEADER = b"x-http-method-override"
METHODS = ("OPTIONS", "HEAD", "POST", "PATCH", "DELETE")  # those of tus
UPLOADS = re.compile(rf"{PREFIX}/uploads(/.*)?", re.DOTALL)


class MethodOverride:
    """Replaces the method of a POST below /uploads by the one that its header names."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(f"{PREFIX}/"):
            methods = {value.decode("latin-1").strip() for name, value in scope["headers"] if name == HEADER}
            try:
                scope = _overridden(scope, methods) if methods - {scope["method"]} else scope
            except Invalid as error:
                answer = from_error(error)
                answer.headers["Connection"] = "close"  # the body is not read
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _overridden(scope: Scope, methods: set[str]) -> Scope:
    """The scope with the other method. Raises Invalid."""
    if scope["method"] != "POST" or not UPLOADS.fullmatch(scope["path"]):
        detail = "X-HTTP-Method-Override is for POST requests of tus, below /api/v1/uploads"
        raise Invalid("method-override-misplaced", detail, "send the method itself")
    if len(methods) > 1 or not methods <= set(METHODS):
        detail = f"X-HTTP-Method-Override must name one of {', '.join(METHODS)}"
        raise Invalid("bad-method-override", detail, "send one of these, in capitals")
    return {**scope, "method": methods.pop()}
