"""The only code that opens slide files: `python -m core.reader.child PATH READABLE MEMORY PARENT`, imported by nobody.

Started by core.reader.client.Reader, one slide a child; what it can be asked is `do_*` of core.reader.operations.
Before it opens the slide it gives up whatever it does not need for that (core.reader.sandbox).
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
    """Memory, no core dumps, no files written, no more files open than a slide needs."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_FILES, MOST_FILES))


def limit_cpu(seconds: float) -> None:
    """So much CPU from now on, whatever was used before; over it the process ends."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))


def answer(out: BinaryIO, head: dict[str, Any], payload: bytes = b"") -> None:
    text = json.dumps({"ok": True, **head, "bytes": len(payload)}).encode()
    out.write(struct.pack(">I", len(text)) + text + payload)
    out.flush()


def refusal(error: QuarterturnError) -> dict[str, Any]:
    """An error as an answer; the client knows the classes of core.errors by name."""
    reason = {"code": error.code, "detail": error.detail, "action": error.action}
    return {"ok": False, "error": type(error).__name__, **reason}


def end_with(parent: int) -> None:
    """End when the parent is gone, whatever this process is in the middle of."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def serve(path: Path, held: list[str], requests: BinaryIO, out: BinaryIO) -> None:
    """Answer requests until the pipe closes; the slide is opened with the first."""
    slide: OpenedSlide | None = None
    for line in requests:
        request = json.loads(line)
        limit_cpu(request.pop("seconds"))
        if request["op"] == "sandbox":
            answer(out, {"held": held})
            continue
        try:
            slide = slide or OpenedSlide(path)
            operation: Callable[..., Answer] = getattr(slide, f"do_{request.pop('op')}")
            answer(out, *operation(**request))
        except Exception as error:  # noqa: BLE001 - the process's edge: whatever a file brings about is an answer
            if isinstance(error, openslide.OpenSlideError) or isinstance(error.__cause__, openslide.OpenSlideError):
                slide = None  # OpenSlide's errors stick to their handle: opened anew for the next request
            answer(out, refusal(domain_error(error, path)))


def main() -> None:
    path, readable, memory, parent = sys.argv[1:]
    limit(int(memory))
    seen = [Path(name) for name in json.loads(readable)]
    held = ["rlimits", *sandbox.enter([*seen, *sandbox.program_files()])]
    threading.Thread(target=end_with, args=(int(parent),), daemon=True).start()
    Image.MAX_IMAGE_PIXELS = MOST_REGION_PX
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    serve(Path(path), held, sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
