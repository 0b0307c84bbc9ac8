"""The client of the reader child, the only process that opens slide files.

libopenslide parses hostile bytes; it runs in a child process with resource limits and a wall clock, so that a file
that crashes or stalls it costs one child. The child answers one request at a time over its pipes:

    request:  one line of JSON                      {"op": "region", "level": 0, …}
    answer:   4 bytes (big-endian) length of JSON, the JSON {"ok": …, "bytes": n, …}, n bytes of payload

What the child writes to standard error is drained while a request waits. Its last bytes are stored for the log.
"""

import contextlib
import json
import logging
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

from core import errors
from core.errors import MachineFault, QuarterturnError, ReaderFault, Scalar
from core.pixels.levels import Source
from core.reader.exit_status import Ending
from core.reader.redaction import bounded, paths_of_slide, without_paths

SECRETS = "QUARTERTURN_"  # settings with this prefix include keys and passwords; a reader gets none of them
SANDBOX_SECONDS, SANDBOX_MEMORY, SANDBOX_KEPT_SECONDS = 30.0, 4 << 30, 600.0
MOST_PARAMETERS, LONGEST_NAME, LARGEST_NUMBER = 16, 40, 1e18
RESERVED = {"self", "code", "detail", "action"}  # the errors' own arguments
# Bytes of an answer, and of standard error: what is stored, and what one read takes.
MOST_HEAD, MOST_PAYLOAD = 1 << 20, 1 << 28
MOST_STDERR, MOST_DRAINED_AT_ONCE = 4096, 1 << 16
EXIT_SECONDS = 1.0  # how long a child whose pipe has closed may take to end by itself
# glibc returns freed memory at once and takes it again with the next region: decision 12 has the measurement.
MALLOC_SETTINGS = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 28)}
ANSWERED = {
    kind.__name__: kind
    for kind in (
        errors.ReaderOutOfMemory,
        errors.StorageFault,
        errors.NoSuchPart,
        errors.SlideUnreadable,
        errors.SlideUnsupported,
    )
}  # the classes that a child may name in an answer
log = logging.getLogger(__name__)


def _bounded(count: object, most: int) -> int:
    """Returns a byte count that a child may announce. A child under hostile control must not fill its parent's memory.

    Raises:
        ValueError: it is no count, or over the limit.
    """
    if not isinstance(count, int) or not 0 <= count <= most:
        raise ValueError(f"a reader announced {count!r} bytes")
    return count


def _refusal(answer: dict[str, Any]) -> QuarterturnError:
    """The error of an answer, its texts bounded: a child under hostile control may send any.

    Raises:
        KeyError, TypeError, ValueError: the answer is out of protocol.
    """
    code, detail, action = (bounded(str(answer[name])) for name in ("code", "detail", "action"))
    return ANSWERED[answer["error"]](code, detail, action, **_parameters(answer.get("parameters", {})))


def _parameters(content: object) -> dict[str, Scalar]:
    """Parameters as a child may send them: few, with short names, and no number that JSON cannot carry on.

    Raises:
        ValueError: they are others.
    """
    if not isinstance(content, dict) or len(content) > MOST_PARAMETERS or content.keys() & RESERVED:
        raise ValueError("a reader sent other parameters than a reason has")
    for name, value in content.items():
        number = isinstance(value, int | float) and abs(value) < LARGEST_NUMBER  # false for NaN too
        if len(name) > LONGEST_NAME or not (number or isinstance(value, str)):
            raise ValueError("a reader sent a parameter that no reason has")
    return content


def _log(fault: ReaderFault, op: str, ending: Ending, seconds: float) -> None:
    fields = {"operation": op, "code": fault.code, "child": ending.name, "seconds": round(seconds, 3)}
    log.warning("slide reader failed", extra={"fields": {**fields, "stderr": ending.stderr}})


def _start(arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Starts a reader child.

    Raises:
        MachineFault: the machine has no process, memory or descriptor left for it. It is logged here.
    """
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "core.reader.child", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[2],
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        log.warning("slide reader not started", extra={"fields": {"error": error.strerror}})
        detail = f"a slide reader could not be started: {error.strerror}"
        action = "try again, or give the machine more memory or processes"
        raise MachineFault("reader-not-started", detail, action) from error


class Reader:
    """One reader child with one slide open. Threads may share it: a lock serialises their calls.

    `readable`: the files and folders that the child may read besides Python's own; by default the slide's file.

    Raises:
        MachineFault: the child cannot be started.
    """

    def __init__(self, path: Path, seconds: float, memory_bytes: int, readable: Sequence[Path] = ()) -> None:
        files = json.dumps([str(one) for one in readable or (path,)])
        self._seconds, self._lock = seconds, threading.Lock()
        self._paths = [*paths_of_slide(path), *readable]
        self._stderr, self._closed = b"", False
        self._ended: tuple[Ending, float] | None = None  # how the child ended, and the limit of the call that saw it
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(SECRETS)},
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2",
            **MALLOC_SETTINGS,
        }
        self._child = _start([str(path), files, str(memory_bytes), str(os.getpid())], environment)
        assert self._child.stderr is not None
        os.set_blocking(self._child.stderr.fileno(), False)

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    def call(self, op: str, seconds: float | None = None, **arguments: Any) -> tuple[dict[str, Any], bytes]:
        """Sends one request and returns the head and the payload of its answer.

        Raises:
            ReaderFault: the reader or this machine failed. It is logged here, once, so callers do not log it. Calls
                that waited while the reader ended raise the same error.
            SlideRejected: the slide cannot be read. NoSuchPart: it has no such tile or picture.
        """
        limit = seconds or self._seconds
        with self._lock:
            if self._ended is not None:  # this client killed the child: its status says nothing of the cause any more
                raise self._ended[0].error(self._ended[1])
            began, self._stderr = time.monotonic(), b""  # what earlier calls left there is no cause of this one's end
            try:
                answer, payload = self._exchange({"op": op, "seconds": limit, **arguments}, began + limit)
                if answer["ok"]:
                    self._drain()  # it was written during this call
                    return answer, payload
                refusal, ending, cause = _refusal(answer), Ending(None, self._error_output()), None
            except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
                ending = self._end(error)
                refusal, cause = ending.error(limit), error
                self._ended = ending, limit
        if isinstance(refusal, ReaderFault) and not self._closed:
            _log(refusal, op, ending, time.monotonic() - began)
        raise refusal from cause

    def _exchange(self, request: dict[str, Any], deadline: float) -> tuple[dict[str, Any], bytes]:
        """Sends a request and receives its answer.

        Raises:
            TimeoutError: the deadline passed. EOFError, OSError: the child ended. ValueError: out of protocol.
        """
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(request).encode() + b"\n")
        self._child.stdin.flush()
        (length,) = struct.unpack(">I", self._receive(4, deadline))
        answer = json.loads(self._receive(_bounded(length, MOST_HEAD), deadline))
        return answer, self._receive(_bounded(answer["bytes"] if answer["ok"] else 0, MOST_PAYLOAD), deadline)

    def _receive(self, count: int, deadline: float) -> bytes:
        """Reads `count` bytes of the answer. Standard error is drained meanwhile: a full pipe would stall the child."""
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        parts, out, err = [], self._child.stdout.fileno(), self._child.stderr.fileno()
        readable = select.poll()  # select() refuses descriptors above 1,023, which an API with many connections has
        for descriptor in (out, err):
            readable.register(descriptor, select.POLLIN)
        while count:
            left = deadline - time.monotonic()
            ready = dict(readable.poll(1000 * left)) if left > 0 else {}
            if not ready:
                raise TimeoutError
            if err in ready and not self._drain():
                readable.unregister(err)
            if out in ready:
                part = os.read(out, min(count, 1 << 20))
                if not part:
                    raise EOFError
                parts.append(part)
                count -= len(part)
        return b"".join(parts)

    def _drain(self) -> bool:
        """Reads what the child wrote to standard error and stores the last of it. False at the end of the pipe."""
        assert self._child.stderr is not None
        try:
            part = os.read(self._child.stderr.fileno(), MOST_DRAINED_AT_ONCE)
        except (OSError, ValueError):  # nothing there now, or closed
            return True
        self._stderr = (self._stderr + part)[-MOST_STDERR:]
        return bool(part)

    def _end(self, error: Exception) -> Ending:
        """Kills a child that gave no answer; returns how it ended.

        A child that closed its pipe is about to exit. It gets EXIT_SECONDS for that, since its own exit status names
        the cause and the status of a killed child does not.
        """
        if isinstance(error, EOFError | BrokenPipeError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(EXIT_SECONDS)
        status = self._child.poll()
        ending = Ending(status, self._error_output(), isinstance(error, TimeoutError), self._closed)
        self._kill()
        return ending

    def _error_output(self) -> str:
        """The last of what the child wrote to standard error, without paths."""
        self._drain()
        return without_paths(self._stderr.decode(errors="replace"), self._paths).strip()

    def region(self, source: Source, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """uint8 (height, width, 3) in the source's own pixels; white where nothing was scanned."""
        _, payload = self.call("region", source=asdict(source), x=x, y=y, width=width, height=height)
        return np.frombuffer(payload, np.uint8).reshape(height, width, 3)

    def confinement(self) -> list[str]:
        """Names what confines the child: rlimits, and the parts of core.reader.sandbox that this kernel supports."""
        return list(self.call("sandbox")[0]["confinement"])

    def close(self) -> None:
        """Ends the child. A call that waits for it in another thread raises ReaderFailed."""
        self._closed = True
        self._kill()

    def _kill(self) -> None:
        with contextlib.suppress(OSError):
            self._child.kill()
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
        self._child.wait()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@cached(TTLCache(1, SANDBOX_KEPT_SECONDS), lock=threading.Lock())
def reader_confinement() -> tuple[str, ...]:
    """Names what confines readers on this machine, as a child with nothing to read reports it; () when none starts."""
    try:
        with Reader(Path(os.devnull), SANDBOX_SECONDS, SANDBOX_MEMORY) as reader:
            return tuple(reader.confinement())
    except (QuarterturnError, OSError):
        return ()
