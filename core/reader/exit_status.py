"""How a reader child ended, and the error that says so.

A child ends by a signal (a crash in libopenslide, the kernel's limits), by its own exit, or because its client ends it:
at the wall clock, or when it answers out of protocol.
"""

import re
import signal
from dataclasses import dataclass

from core.errors import (
    ReaderFailed,
    ReaderFault,
    ReaderKilled,
    ReaderOutOfMemory,
    ReaderStarved,
    ReaderTimedOut,
    StorageFault,
)

# The messages of Python, GLib (which aborts), C++, libc, OpenSlide, libjpeg, libtiff and OpenJPEG. They stand in
# standard error before a process ends, and in OpenSlide's reasons.
OUT_OF_MEMORY = re.compile(
    r"MemoryError|bad_alloc|(failed to|cannot|could(n't| not)) allocate|(insufficient|not enough|out of) memory",
    re.IGNORECASE,
)
MORE_TIME = "QUARTERTURN_READER_SECONDS, in inspection QUARTERTURN_INSPECT_SECONDS"


@dataclass(frozen=True)
class Ending:
    """How a child ended.

    Attributes:
        status: as of `Popen.returncode`, before its client kills it; None while it runs.
        stderr: the last that it wrote, without paths.
        closed: its client ended it on purpose.
    """

    status: int | None
    stderr: str
    timed_out: bool = False
    closed: bool = False

    @property
    def name(self) -> str:
        """A signal's name (`SIGSEGV`), `exit code N` or `running`."""
        if self.status is None:
            return "running"
        if self.status >= 0:
            return f"exit code {self.status}"
        try:
            return signal.Signals(-self.status).name
        except ValueError:
            return f"signal {-self.status}"

    def error(self, seconds: float) -> ReaderFault:
        """`seconds`: of wall clock that the request had."""
        if self.timed_out or self.status == -signal.SIGXCPU:  # the limit of CPU time, of about as many seconds
            return timed_out(seconds)
        if OUT_OF_MEMORY.search(self.stderr):
            return out_of_memory(ReaderStarved)
        if self.status == -signal.SIGKILL and not self.closed:
            return killed()
        return crashed(self.name)


def timed_out(seconds: float) -> ReaderTimedOut:
    detail = f"the slide reader took longer than {seconds:g} s on this file"
    action = f"try again, or give readers more time ({MORE_TIME})"
    return ReaderTimedOut("reader-timeout", detail, action, seconds=seconds)


def out_of_memory(kind: type[ReaderOutOfMemory] = ReaderOutOfMemory) -> ReaderOutOfMemory:
    action = "try again, or give readers more memory (QUARTERTURN_READER_MEMORY_BYTES)"
    return kind("too-much-memory", "the machine ran out of memory for reading this slide", action)


def killed() -> ReaderKilled:
    """No file makes a process receive SIGKILL: the kernel sends it when machine or container are out of memory."""
    detail = "the slide reader was killed (SIGKILL), as the kernel does when the machine's memory is used up"
    return ReaderKilled("reader-killed", detail, "try again, or give the machine more memory or fewer workers")


def storage_fault(cause: str) -> StorageFault:
    """`cause`: the words of the operating system or of OpenSlide."""
    detail = f"the slide's file cannot be read now: {cause}"
    action = "check the disk or share that holds it, then try again"
    return StorageFault("disk-fault", detail, action, cause=cause)


def crashed(ending: str) -> ReaderFailed:
    detail = f"the slide reader crashed on this file ({ending})"
    return ReaderFailed("reader-crashed", detail, "try again; if it crashes again, check the file", ending=ending)
