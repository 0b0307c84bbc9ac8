"""Inspect a slide: open it in a reader child and record what it is, or why it is rejected."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from core.access import audit
from core.access.visitor import Visitor
from core.database.slides import Slide
from core.database.transactions import writing
from core.errors import Gone, Invalid, ReaderEnded, SlideRejected, SlideUnreadable
from core.pixels.levels import SlideInfo
from core.reader.client import Reader
from core.settings import get_settings
from core.slides import durable, inspection, opening, storage
from core.slides.opening import SlideFile
from core.work import leases
from worker.kinds.records import slide_of
from worker.life.lease import Lease
from worker.offers import Served
from worker.readers import close_readers

THUMBNAIL_PX = 400
READER_TRIES = 3


def inspect(claim: leases.Claim, lease: Lease, _: Served) -> None:
    """Open the slide in a child and write down what it is, or why it is none."""
    slide = slide_of(claim)
    path = storage.absolute(slide.file)
    try:
        stamp = opening.stamp(path) if Path(slide.file).is_absolute() else None
        sha256 = durable.sha256(path, lease.advance)
        if slide.sha256 not in (None, sha256):
            raise Gone("slide-file-changed", "the slide's file was changed since it was looked at", "send it anew")
        if slide.declared_sha256 not in (None, sha256):
            detail = f"the file's sha256 is {sha256}, not {slide.declared_sha256} as declared"
            raise SlideUnreadable("checksum-mismatch", detail, "send the file again")
        info, tissue = _look(
            slide, opening.file_to_inspect(slide.id, slide.file, lease.advance), claim.payload.get("mpp"), lease
        )
    except (ReaderEnded, SlideRejected) as error:
        if isinstance(error, ReaderEnded) and claim.attempts < READER_TRIES:
            raise  # this machine may be the cause: once more, later; a MachineFault is never the file's
        if slide.sha256 is not None or durable.sha256(path, lease.advance) != sha256:
            raise  # these very bytes were a slide before, or are read otherwise by now: no judgement over them
        _reject(claim, {"code": error.code, "detail": error.detail, "action": error.action})
        return
    with writing() as session:
        locked = session.get_one(Slide, slide.id, with_for_update={"key_share": True})
        leases.complete(session, claim)
        inspection.accept(session, locked, replace(info, stamp=stamp), sha256, tissue)


def _look(slide: Slide, file: SlideFile, mpp: float | None, lease: Lease) -> tuple[SlideInfo, bytes | None]:
    settings = get_settings()
    limits = settings.inspect_seconds, settings.reader_memory_bytes
    with Reader(file.path, *limits, file.readable) as reader:
        answer, index = reader.call("inspect")
        known = answer["info"]
        if mpp is not None:
            known = {**known, "mpp_x": mpp, "mpp_y": mpp, "mpp_source": "user"}
        info = SlideInfo.from_dict(known)
        lease.advance()
        folder = storage.folder(slide.id)
        durable.write(folder / storage.TILE_INDEX, index)
        durable.write(folder / storage.THUMBNAIL, reader.call("thumbnail", most_px=THUMBNAIL_PX)[1])
        lease.advance()
        if info.mpp_x is None or not _fine_enough(info):
            return info, None
        return info, reader.call("tissue", mpp_x=info.mpp_x, mpp_y=info.mpp_y, scaled=settings.reading == "scaled")[1]


def _fine_enough(info: SlideInfo) -> bool:
    """Coarser slides can be looked at; only their analysis is refused."""
    try:
        info.frame()
    except Invalid:
        return False
    return True


def _reject(claim: leases.Claim, reason: dict[str, Any]) -> None:
    with writing() as session:
        slide = session.get_one(Slide, claim.slide_id, with_for_update={"key_share": True})
        leases.complete(session, claim, {"rejected": reason})
        inspection.reject(session, slide, reason)
        inspector = Visitor.internal(slide.workspace_id, "inspection")
        audit.write(session, inspector, "slide.reject", slide.id, "", code=reason["code"])
    close_readers()
    storage.remove(claim.slide_id)
