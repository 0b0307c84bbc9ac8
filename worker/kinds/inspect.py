"""Inspects a slide: opens it in a reader child and records what it is, or why it is rejected."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from core.access import audit
from core.access.visitor import Visitor
from core.analyses.results import to_stored
from core.analyses.statements import Reason, reason
from core.database.slides import KEPT, Slide
from core.database.transactions import writing
from core.errors import Gone, Invalid, ReaderEnded, ReaderFailed, SlideRejected, SlideUnreadable
from core.pixels.levels import SlideInfo
from core.pixels.tissue import MASK_VERSION
from core.reader.client import Reader
from core.settings import get_settings
from core.slides import archives, durable, inspection, opening, scale, storage
from core.slides.opening import SlideFile
from core.work import leases
from worker.kinds.records import slide_of
from worker.life.lease_keeper import LeaseKeeper
from worker.offers import Served
from worker.readers import close_readers

THUMBNAIL_PX = 400
READER_TRIES = 3
AFTER_CRASHES = "check that the file opens in another program, or export it again, then upload it again"


def inspect(claim: leases.Claim, lease: LeaseKeeper, _: Served) -> None:
    """Open the slide in a reader child and record what it is, or reject it with the reason.

    A reader that ends is tried READER_TRIES times. A slide whose reader crashes each time is rejected. Where the time
    or the memory does not suffice, the inspection fails and the slide's bytes stay: an operator can raise the limits.

    Raises:
        ReaderEnded, MachineFault: this machine may be the cause, so the row is tried again.
        SlideRejected: the file was a slide before, or changes while it is read; it is not judged.
    """
    slide = slide_of(claim)
    path = storage.absolute(slide.file)
    stamp = opening.stamp(path) if Path(slide.file).is_absolute() else None  # first: a change while hashing shows later
    sha256 = durable.sha256(path, lease.advance)
    try:
        _require_declared(slide, sha256)
        file = opening.file_to_inspect(slide.id, slide.file, lease.advance)
        info, tissue = _read(slide, file, scale.from_payload(claim.payload), lease)
    except (ReaderEnded, SlideRejected) as error:
        if isinstance(error, ReaderEnded) and claim.attempts < READER_TRIES:
            raise  # the next try may succeed, perhaps on another machine
        if isinstance(error, ReaderEnded) and not isinstance(error, ReaderFailed):
            _give_up(claim, error)
            return
        if slide.sha256 is not None or durable.sha256(path, lease.advance) != sha256:
            raise  # these bytes were accepted before, or are still being written: retry instead of rejecting
        action = AFTER_CRASHES if isinstance(error, ReaderFailed) else error.action
        _reject(claim, to_stored(Reason.from_error(error).model_copy(update={"action": action})))
        return
    with writing() as session:
        locked = session.get_one(Slide, slide.id, with_for_update={"key_share": True})
        leases.complete(session, claim)
        inspection.accept(session, locked, replace(info, stamp=stamp), sha256, tissue)


def _require_declared(slide: Slide, sha256: str) -> None:
    """Compare the file's digest with that of its last inspection and with the one declared at its upload.

    Raises:
        Gone: another file lies there now. SlideUnreadable: it is not the declared one.
    """
    if slide.sha256 not in (None, sha256):
        raise Gone("slide-file-changed", "the slide's file changed after its inspection", "send it again")
    if slide.declared_sha256 not in (None, sha256):
        detail = f"the file's sha256 is {sha256}, not {slide.declared_sha256} as declared"
        digests = {"sha256": sha256, "declared_sha256": slide.declared_sha256}
        raise SlideUnreadable("checksum-mismatch", detail, "send the file again", **digests)


def _read(slide: Slide, file: SlideFile, stated: dict[str, Any], lease: LeaseKeeper) -> tuple[SlideInfo, bytes | None]:
    """The slide's properties and tissue mask; its tile index and thumbnail are written beside it.

    `stated`: the scale that a person stated, in place of the file's. Without any scale there is no tissue mask.
    """
    settings = get_settings()
    limits = settings.inspect_seconds, settings.reader_memory_bytes
    with Reader(file.path, *limits, file.readable) as reader:
        answer, index = reader.call("inspect")
        folder = storage.folder(slide.id)
        info = SlideInfo.from_dict({**answer["info"], **stated, "left_out_files": archives.left_out(folder)})
        lease.advance()
        durable.write(folder / storage.TILE_INDEX, index)
        durable.write(folder / storage.THUMBNAIL, reader.call("thumbnail", most_px=THUMBNAIL_PX)[1])
        lease.advance()
        if info.mpp_x is None or not _is_fine_enough(info):
            return info, None
        scaled = settings.reading == "scaled"
        _, kinds = reader.call("tissue", mpp_x=info.mpp_x, mpp_y=info.mpp_y, scaled=scaled)
        return replace(info, mask_version=MASK_VERSION), kinds


def _is_fine_enough(info: SlideInfo) -> bool:
    """Whether the network can read the slide. A coarser one can be viewed; only its analysis is refused."""
    try:
        info.frame()
    except Invalid:
        return False
    return True


def _give_up(claim: leases.Claim, error: ReaderEnded) -> None:
    """Record an inspection that needs more time or memory than a reader may use. The bytes stay."""
    cause = {"cause": error.detail, "cause_code": error.code}
    failed = reason("inspect-failed", kind=claim.kind, attempts=claim.attempts, **cause)
    why = to_stored(failed.model_copy(update={"action": error.action}))
    with writing() as session:
        slide = session.get_one(Slide, claim.slide_id, with_for_update={"key_share": True})
        leases.complete(session, claim, {"failed": why})
        inspection.record_failure(session, slide, why)
    close_readers()


def _reject(claim: leases.Claim, reason: dict[str, Any]) -> None:
    """Record the reason and remove the files, in this order: a crash between the two leaves files for the sweep.

    The bytes of a slide of a kind that is not read stay: a later version may read it.
    """
    with writing() as session:
        slide = session.get_one(Slide, claim.slide_id, with_for_update={"key_share": True})
        leases.complete(session, claim, {"rejected": reason})
        inspection.reject(session, slide, reason)
        inspector = Visitor.internal(slide.workspace_id, "inspection")
        audit.write(session, inspector, "slide.reject", slide.id, "", code=reason["code"])
    close_readers()
    if reason["code"] in KEPT:
        storage.remove_parts(claim.slide_id)  # the zip is what was sent
    else:
        storage.remove(claim.slide_id)
