"""The process that opens a slide file: `python -m core.reader.child PATH READABLE MEMORY PARENT`, never imported.

`core.reader.client.Reader` starts one child for each slide. Its requests name the `do_*` operations of
core.reader.operations. Before it opens the slide it gives up all rights that it does not need (core.reader.sandbox).
"""

import json
import os
import resource
import struct
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import openslide
from PIL import Image

from core.errors import QuarterturnError
from core.reader import sandbox
from core.reader.operations import MOST_REGION_PX, Answer, OpenedSlide
from core.reader.reasons import domain_error

MOST_FILES = 256


def limit(memory_bytes: int) -> None:
    """Limits memory and open files; forbids core dumps (they contain pixels) and writing to files."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_FILES, MOST_FILES))


def limit_cpu(seconds: float) -> None:
    """Limits CPU time from now on; over it the kernel sends SIGXCPU, which ends the process.

    The limit is a process's total, so the time used up to now is added.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))


def answer(out: BinaryIO, head: dict[str, Any], payload: bytes = b"") -> None:
    text = json.dumps({"ok": True, **head, "bytes": len(payload)}).encode()
    out.write(struct.pack(">I", len(text)) + text + payload)
    out.flush()


def refusal(error: QuarterturnError) -> dict[str, Any]:
    """An error as an answer; the client knows the classes of core.errors by name."""
    reason = {"code": error.code, "detail": error.detail, "action": error.action, "parameters": error.parameters}
    return {"ok": False, "error": type(error).__name__, **reason}


def end_with(parent: int) -> None:
    """Ends this process when its parent has ended, even in the middle of a read.

    Runs in a thread, since libopenslide may hold the main one for long.
    """
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def serve(path: Path, confinement: list[str], requests: BinaryIO, out: BinaryIO) -> None:
    """Answers requests until the pipe closes. The slide is opened with the first that needs it."""
    slide: OpenedSlide | None = None
    for line in requests:
        request = json.loads(line)
        limit_cpu(request.pop("seconds"))
        if request["op"] == "sandbox":
            answer(out, {"confinement": confinement})
            continue
        try:
            slide = slide or OpenedSlide(path)
            operation: Callable[..., Answer] = getattr(slide, f"do_{request.pop('op')}")
            answer(out, *operation(**request))
        except Exception as error:  # noqa: BLE001 - the process's edge: whatever a file causes is an answer
            if isinstance(error, openslide.OpenSlideError) or isinstance(error.__cause__, openslide.OpenSlideError):
                slide = None  # an OpenSlide handle stays in its error state, so the next request opens the slide again
            answer(out, refusal(domain_error(error, path)))


def main() -> None:
    path, readable, memory, parent = sys.argv[1:]
    limit(int(memory))
    files = [Path(name) for name in json.loads(readable)]
    confinement = ["rlimits", *sandbox.enter([*files, *sandbox.program_files()])]
    threading.Thread(target=end_with, args=(int(parent),), daemon=True).start()
    Image.MAX_IMAGE_PIXELS = MOST_REGION_PX
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    serve(Path(path), confinement, sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
