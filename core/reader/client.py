"""What is known of a slide's pixels, and the client of the reader child that alone opens slide files.

libopenslide parses hostile bytes; it runs in a child process with resource limits and a wall clock, so that a file
that crashes or stalls it costs one child. The child answers one request at a time over its pipes:

    request:  one line of JSON                      {"op": "region", "level": 0, …}
    answer:   4 bytes (big-endian) length of JSON, the JSON {"ok": …, "bytes": n, …}, n bytes of payload
"""

import contextlib
import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from cachetools import TTLCache, cached
from numpy.typing import NDArray

from core.errors import SlideRejected
from core.pixels.levels import Source

SECRETS = "QUARTERTURN_"  # settings, keys and passwords among them: a hostile file must find none
SANDBOX_SECONDS, SANDBOX_MEMORY, SANDBOX_KEPT_SECONDS = 30.0, 4 << 30, 600.0
MOST_HEAD, MOST_PAYLOAD = 1 << 20, 1 << 28
KEEP_FREED = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 28)}  # decision 12


def _bounded(count: object, most: int) -> int:
    """A number of bytes that a child may send: whatever took it over must not fill its parent. Raises ValueError."""
    if not isinstance(count, int) or not 0 <= count <= most:
        raise ValueError(f"a reader announced {count!r} bytes")
    return count


class Reader:
    """One reader child with one slide open. Safe to share between threads: calls take turns.

    `readable`: the files and folders that the child may read besides Python's own; the slide's file unless said.
    """

    def __init__(self, path: Path, seconds: float, memory_bytes: int, readable: Sequence[Path] = ()) -> None:
        seen = json.dumps([str(one) for one in readable or (path,)])
        self._seconds, self._lock = seconds, threading.Lock()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(SECRETS)},
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2",
            **KEEP_FREED,
        }
        self._child = subprocess.Popen(
            [sys.executable, "-m", "core.reader.child", str(path), seen, str(memory_bytes), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).resolve().parents[2],
            env=environment,
            start_new_session=True,
        )

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    def call(self, op: str, seconds: float | None = None, **arguments: Any) -> tuple[dict[str, Any], bytes]:
        """One request and its answer.

        Raises:
            SlideRejected: the child says why, crashed (`reader-crashed`) or stalled (`reader-timeout`).
        """
        with self._lock:
            deadline = time.monotonic() + (seconds or self._seconds)
            request = json.dumps({"op": op, "seconds": seconds or self._seconds, **arguments}).encode() + b"\n"
            try:
                assert self._child.stdin is not None
                self._child.stdin.write(request)
                self._child.stdin.flush()
                (length,) = struct.unpack(">I", self._receive(4, deadline))
                answer = json.loads(self._receive(_bounded(length, MOST_HEAD), deadline))
                payload = self._receive(_bounded(answer["bytes"] if answer["ok"] else 0, MOST_PAYLOAD), deadline)
                if not answer["ok"]:
                    refusal = SlideRejected(str(answer["code"]), str(answer["detail"]), str(answer.get("action", "")))
            except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
                self.close()
                raise SlideRejected(
                    "reader-crashed", "the slide reader crashed on this file", "check the file"
                ) from error
        if not answer["ok"]:
            raise refusal
        return answer, payload

    def _receive(self, count: int, deadline: float) -> bytes:
        assert self._child.stdout is not None
        parts, fd = [], self._child.stdout.fileno()
        readable = select.poll()  # select() takes no descriptor above 1,023, as many connections bring about
        readable.register(fd, select.POLLIN)
        while count:
            if not readable.poll(1000 * max(0.0, deadline - time.monotonic())):
                self.close()
                raise SlideRejected("reader-timeout", "the slide reader took too long on this file", "check the file")
            part = os.read(fd, min(count, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def region(self, source: Source, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """uint8 (height, width, 3) at the source's own pixels; outside the slide, where nothing was scanned, white."""
        _, payload = self.call("region", source=asdict(source), x=x, y=y, width=width, height=height)
        return np.frombuffer(payload, np.uint8).reshape(height, width, 3)

    def held_by(self) -> list[str]:
        """What keeps the child in: rlimits, and of core.reader.sandbox what this kernel has."""
        return list(self.call("sandbox")[0]["held"])

    def close(self) -> None:
        """End the child; nothing of it is needed any more."""
        with contextlib.suppress(OSError):
            self._child.kill()
        for stream in (self._child.stdin, self._child.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
        self._child.wait()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@cached(TTLCache(1, SANDBOX_KEPT_SECONDS), lock=threading.Lock())
def reader_held_by() -> tuple[str, ...]:
    """What keeps a reader child in on this machine, asked of one that has nothing to read; nothing when none starts."""
    try:
        with Reader(Path(os.devnull), SANDBOX_SECONDS, SANDBOX_MEMORY) as reader:
            return tuple(reader.held_by())
    except (SlideRejected, OSError):
        return ()
