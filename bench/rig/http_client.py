"""Many clients at once on raw connections: a walk over paths, with the time that each answer took."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Walk:
    """The results of a walk. `answers`: the bodies by path, where they are kept."""

    seconds: float
    taken_ms: list[float]
    answers: dict[str, bytes]

    @property
    def per_second(self) -> float:
        return len(self.taken_ms) / self.seconds

    def percentile_ms(self, share: float) -> float:
        return float(np.percentile(self.taken_ms, share))


async def _get(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, headers: str
) -> tuple[bytes, bool]:
    """The body, and whether the server keeps the connection open."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    status, _, rest = head.partition(b"\r\n")
    if b" 200 " not in status + b" ":
        raise RuntimeError(f"{path} answered {status.decode()}")
    length = next(
        int(line.split(b":")[1]) for line in rest.split(b"\r\n") if line.lower().startswith(b"content-length:")
    )
    return await reader.readexactly(length), b"connection: close" not in rest.lower()


async def _client(port: int, paths: Iterator[str], headers: str, keep: bool, into: Walk) -> None:
    alive = False
    for path in paths:
        began = time.perf_counter()
        if not alive:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        content, alive = await _get(reader, writer, path, headers)
        if not alive:
            writer.close()
        into.taken_ms.append(1000 * (time.perf_counter() - began))
        if keep:
            into.answers[path] = content
    if alive:
        writer.close()


def walk(port: int, paths: list[str], headers: str = "", clients: int = 8, keep: bool = False) -> Walk:
    """Requests every path once, by `clients` at a time, each on a connection that it reuses if the server allows.

    Raises:
        RuntimeError: an answer was not 200.
    """

    async def all_of_them() -> Walk:
        shared, results = iter(paths), Walk(0.0, [], {})
        began = time.perf_counter()
        await asyncio.gather(*(_client(port, shared, headers, keep, results) for _ in range(clients)))
        return Walk(time.perf_counter() - began, results.taken_ms, results.answers)

    return asyncio.run(all_of_them())
