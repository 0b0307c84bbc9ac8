"""Calls an ASGI application in this process: no server, no socket."""

import asyncio
import json
from dataclasses import dataclass, field

from api.contract import calls

ID = "0a" * 16


@dataclass
class Answer:
    """What the application sent. `status` is 0 where it sent nothing."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self):
        return json.loads(self.body)


def sample(row):
    """An address of a call of the table."""
    values = {"level": "1", "dz_level": "9", "col": "12", "row": "3", "file": "viewer/main.js"}
    return calls.PLACEHOLDER.sub(lambda match: values.get(match[1], ID), row.path)


def scope_of(method, path, headers=()):
    """The scope of an HTTP request from this machine."""
    pairs = [(name.lower().encode(), value.encode()) for name, value in dict(headers).items()]
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path.partition("?")[0], "raw_path": path.partition("?")[0].encode(), "root_path": "",
        "query_string": path.partition("?")[2].encode(), "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        "headers": [(b"host", b"127.0.0.1"), *pairs],
    }  # fmt: skip


async def request(app, method, path, headers=(), body=b"", leaves=False, on_start=None):
    """The application's answer.

    Args:
        leaves: the client disconnects after `body`, which is not all of it.
        on_start: called when the answer begins, before its body.
    """
    answer, messages = Answer(), [{"type": "http.request", "body": body, "more_body": leaves}]
    stays = asyncio.Event()

    async def receive():
        if messages:
            return messages.pop(0)
        if not leaves:
            await stays.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
            if on_start:
                on_start()
        else:
            answer.body += message.get("body", b"")

    await app(scope_of(method, path, headers), receive, send)
    return answer


def call(app, *arguments, **more):
    """`request`, for tests that are not asynchronous."""
    return asyncio.run(request(app, *arguments, **more))
