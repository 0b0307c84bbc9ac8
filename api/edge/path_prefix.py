"""Removes the path prefix of a proxy on the way in, and adds it to addresses in headers on the way out.

Everything between the two middlewares sees and writes the service's own paths. A proxy may strip the prefix or pass it
on: both are answered. `X-Forwarded-Prefix` is not read, since any client could send it; the setting alone decides.
"""

import re
from urllib.parse import quote, urlsplit

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ADDRESSES = (b"location", b"location-slide")
SLASHES = re.compile("/{2,}")


class StripPrefix:
    """Strips `prefix` from paths, and merges repeated slashes as most proxies do.

    Args:
        prefix: decoded, "" or "/one/two".
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self.app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = self._inner(scope["path"])
        if not path:  # the pages' addresses are relative, so the first page needs its slash
            query = b"?" + scope["query_string"] if scope["query_string"] else b""
            first = quote(self._prefix).encode() + b"/" + query
            await RedirectResponse(first.decode("latin-1"))(scope, receive, send)
            return
        if path != scope["path"]:
            scope = {**scope, "path": path, "raw_path": quote(path).encode()}
        await self.app(scope, receive, send)

    def _inner(self, path: str) -> str:
        """The service's own path; "" for the bare prefix."""
        if "//" in path:
            path = SLASHES.sub("/", path)
        is_under = self._prefix and (path + "/").startswith(f"{self._prefix}/")
        return path[len(self._prefix) :] if is_under else path


class PrefixedAddresses:
    """Adds `prefix` to the addresses that answers name. Tiles name none, so it stands behind them."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self.app, self._outer = app, quote(prefix).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_outward(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    (name, self._address(value) if name in ADDRESSES else value) for name, value in message["headers"]
                ]
            await send(message)

        await self.app(scope, receive, send_outward if scope["type"] == "http" else send)

    def _address(self, value: bytes) -> bytes:
        """A path with the prefix. The framework's redirects name scheme and host as the proxy's request had them,
        which need not be those of the client's; a path alone holds in both."""
        parts = urlsplit(value.decode("latin-1"))
        path = "/" + parts.path.lstrip("/")  # "//host" would lead to another site
        return self._outer + path.encode("latin-1") + (f"?{parts.query}".encode("latin-1") if parts.query else b"")
