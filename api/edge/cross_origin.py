"""Lets pages of named other sites call the API (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol).

Credentials are not allowed: no cookie comes with such a call, and a page of another site sends an API key in
Authorization. So SameOriginWrites needs no exception, and a page that only rides on a browser's session stays refused.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.contract.calls import PREFIX

METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
REQUEST_HEADERS = (
    b"Authorization, Content-Type, Idempotency-Key, If-Modified-Since, If-None-Match, Range, Tus-Resumable, "
    b"Upload-Checksum, Upload-Length, Upload-Metadata, Upload-Offset, X-HTTP-Method-Override, X-Request-Id"
)
ANSWER_HEADERS = (
    b"Accept-Ranges, Allow, Content-Disposition, Content-Length, Content-Range, ETag, "
    b"Last-Modified, Location, Location-Slide, Quarterturn-Affine, Retry-After, Tus-Checksum-Algorithm, "
    b"Tus-Extension, Tus-Max-Size, Tus-Resumable, Tus-Version, Upload-Expires, Upload-Length, Upload-Offset, "
    b"X-Request-Id"
)
PREFLIGHT_SECONDS = b"600"
Header = tuple[bytes, bytes]


class CrossOrigin:
    """Adds the CORS headers to answers for an origin of the list, and answers its preflight requests.

    Args:
        origins: as browsers send them. An origin that is not here gets the answers that it gets without this.
    """

    def __init__(self, app: ASGIApp, origins: frozenset[str]) -> None:
        self.app, self._origins = app, {origin.encode() for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(f"{PREFIX}/"):
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"")
        is_allowed = origin in self._origins
        if is_allowed and scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await send({"type": "http.response.start", "status": 204, "headers": _preflight(origin)})
            await send({"type": "http.response.body", "body": b""})
            return
        added = _exposed(origin) if is_allowed else [(b"vary", b"Origin")]  # a cache must tell both answers apart

        async def send_exposed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self.app(scope, receive, send_exposed)


def _exposed(origin: bytes) -> list[Header]:
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", ANSWER_HEADERS),
        (b"vary", b"Origin"),
    ]


def _preflight(origin: bytes) -> list[Header]:
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", REQUEST_HEADERS),
        (b"access-control-max-age", PREFLIGHT_SECONDS),
        (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    ]
