"""The errors of the domain, one class a cause. `api/contract/problems.py` maps the classes to HTTP statuses.

QuarterturnError
├── Unauthenticated            no credential, or one that is wrong, expired or revoked
├── Forbidden                  the visitor's role or scopes do not allow it
├── NotFound                   no such object in this workspace
│   ├── Foreign                the object belongs to another workspace: same answer, and it is audited
│   └── NoSuchPart             the slide has no such tile, label or macro
├── Invalid                    a value that cannot be used
├── Conflict                   the object's state does not allow it
│   └── Withheld               the results must not be shown
├── Gone                       the object or its file was removed or changed
├── TooLarge                   over a size limit
├── TooMany                    over a rate or a quota
├── NoSpace                    the disk is full
├── Unavailable                no worker or server can do it now
├── ReaderFault                a reader gave no answer. The slide may be fine, so the request may be repeated
│   ├── ReaderEnded            the child process ended. The file may be the cause
│   │   ├── ReaderFailed       it crashed (signal, exit code) or answered out of protocol
│   │   ├── ReaderTimedOut     it used up its wall clock or its CPU time
│   │   └── ReaderStarved      it ended at a failed allocation (also a ReaderOutOfMemory). The file may claim too much
│   └── MachineFault           this machine is the cause; only of a ReaderStarved the file may be
│       ├── ReaderOutOfMemory  the reader needs more memory than it may use
│       │   └── ReaderKilled   the kernel or an operator killed it (SIGKILL)
│       └── StorageFault       the disk or share failed, or the file vanished
└── SlideRejected              the file is the cause: reading it again gives the same error
    ├── SlideUnreadable        damaged, truncated, incomplete, or not the bytes that were declared
    ├── SlideUnsupported       of a format, compression or layout that is not read; not known to be damaged
    └── ArchiveRefused         the zip is damaged, unsafe, or not that of one slide

Errors of one place are defined there: core.work.leases.LeaseLost, worker.compute.bands.NotFinite, and three kinds of
Invalid, core.slides.uploads.ChecksumMismatch and api.contract.problems.UnsupportedVersion and UnsupportedType.
"""

import math
from decimal import Decimal

Scalar = str | int | float
MOST_TEXT = 200  # characters of a parameter


class QuarterturnError(Exception):
    """What is wrong with what, and what to do about it.

    Args:
        code: stable, names the case.
        detail: says what is wrong. action: says what to do.
        parameters: the numbers and names of the sentences, by which a client can write them in another language.
    """

    def __init__(self, code: str, detail: str, action: str, **parameters: Scalar) -> None:
        super().__init__(detail)
        self.code, self.detail, self.action = code, detail, action
        self.parameters = {name: _plain(value) for name, value in parameters.items()}


def _plain(value: Scalar | Decimal) -> Scalar:
    """Returns a value that JSON has: texts are cut, and a database's Decimal or a NaN must not fail the answer."""
    if isinstance(value, str):
        return value[:MOST_TEXT]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


class Unauthenticated(QuarterturnError):
    pass


class Forbidden(QuarterturnError):
    pass


class NotFound(QuarterturnError):
    pass


class Foreign(NotFound):
    pass


class NoSuchPart(NotFound):
    pass


class Invalid(QuarterturnError):
    pass


class Conflict(QuarterturnError):
    pass


class Withheld(Conflict):
    pass


class Gone(QuarterturnError):
    pass


class TooLarge(QuarterturnError):
    pass


class TooMany(QuarterturnError):
    pass


class NoSpace(QuarterturnError):
    pass


class Unavailable(QuarterturnError):
    pass


class ReaderFault(QuarterturnError):
    pass


class ReaderEnded(ReaderFault):
    pass


class ReaderFailed(ReaderEnded):
    pass


class ReaderTimedOut(ReaderEnded):
    pass


class MachineFault(ReaderFault):
    pass


class ReaderOutOfMemory(MachineFault):
    pass


class ReaderKilled(ReaderOutOfMemory):
    pass


class ReaderStarved(ReaderEnded, ReaderOutOfMemory):
    pass


class StorageFault(MachineFault):
    pass


class SlideRejected(QuarterturnError):
    pass


class SlideUnreadable(SlideRejected):
    pass


class SlideUnsupported(SlideRejected):
    pass


class ArchiveRefused(SlideRejected):
    pass
