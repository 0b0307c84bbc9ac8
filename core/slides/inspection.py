"""Inspection of slides: from an upload or a reference to ready or rejected."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.access import quotas
from core.access.visitor import Visitor
from core.database.analyses import Analysis, Work
from core.database.slides import KEPT, NOT_INSPECTED, Slide
from core.database.transactions import clock
from core.errors import Conflict, Gone
from core.pixels.levels import SlideInfo
from core.pixels.scale import MISSING
from core.pixels.tissue import MASK_VERSION
from core.slides import storage
from core.slides.catalog import clean_filename, lock
from core.slides.opening import stamp
from core.slides.scale import keep_scale_of_analyses, scale_of_person
from core.work import leases

INSPECTED = ("ready", "needs_input")


def register(session: Session, visitor: Visitor, path: Path, sha256: str | None, identifiers: dict[str, str]) -> Slide:
    """Registers a slide by reference and opens its inspection. Raises TooMany: over the principal's quota."""
    quotas.require_slide_quota(session, visitor, 0)
    created = clock(session)
    slide = Slide(
        workspace_id=visitor.workspace_id,
        filename=clean_filename(path.name),
        file=str(path),
        declared_sha256=sha256,
        created_by=visitor.principal_id,
        identifiers=identifiers,
        created_at=created,
        updated_at=created,
    )
    session.add(slide)
    session.flush()
    begin(session, slide, path.stat().st_size)
    return slide


def begin(session: Session, slide: Slide, size_bytes: int) -> Work:
    """Opens the inspection of a slide whose bytes are complete."""
    slide.state, slide.size_bytes, slide.updated_at = "inspecting", size_bytes, clock(session)
    return leases.add(session, "inspect", slide.workspace_id, slide.id)


def accept(session: Session, slide: Slide, info: SlideInfo, sha256: str, tissue: bytes | None) -> None:
    """Records the result of an inspection. Without a plausible mpp in the file the slide waits for a person's."""
    keep_scale_of_analyses(session, slide)  # an earlier version may have accepted another scale of this file
    if slide.tissue is not None and tissue is not None and _is_under_analysis(session, slide):
        # Bands that are done have scores by the stored mask, and the finish counts cells by it.
        info, tissue = replace(info, mask_version=(slide.info or {}).get("mask_version", 1)), slide.tissue
    slide.info, slide.sha256, slide.tissue = info.to_dict(), sha256, tissue
    slide.updated_at = clock(session)
    if info.mpp_x is None:
        slide.state, slide.reason = "needs_input", info.scale_reason or MISSING
    else:
        slide.state, slide.reason = "ready", None


def record_failure(session: Session, slide: Slide, reason: dict[str, Any]) -> None:
    """Records an inspection that failed for no known fault of the file: its bytes stay, to be inspected again.

    A slide that was inspected before returns to its former state, so its results stay readable. The reason stays with
    it, and `accept` removes it.
    """
    slide.state = "rejected" if slide.sha256 is None else _state_before(slide)
    slide.reason, slide.updated_at = {**reason, "code": NOT_INSPECTED}, clock(session)


def _state_before(slide: Slide) -> str:
    """The state of an inspected slide before its next inspection began: `ready`, or `needs_input` without a scale."""
    info = SlideInfo.from_dict(slide.info or {})
    # A correction removes the mask of the former scale. Without the new mask the person's scale does not count yet.
    unscaled = info.mpp_x is None or (info.mpp_source == "user" and slide.tissue is None)
    return "needs_input" if unscaled else "ready"


def is_outdated(slide: Slide) -> bool:
    """Whether an inspected slide lacks what its inspection derived, or its file was written to since.

    Both happen when a backup is loaded on another machine: a slide by reference has another date there, and the files
    that a zip by reference was unpacked into are not saved. A slide whose file is not there is not outdated: nothing
    could be derived from it.
    """
    path, folder = storage.absolute(slide.file), storage.folder(slide.id)
    if slide.state not in INSPECTED or not path.is_file():
        return False
    if not (folder / storage.TILE_INDEX).is_file() or not (folder / storage.THUMBNAIL).is_file():
        return True
    stamp_at_inspection = (slide.info or {}).get("stamp")
    return stamp_at_inspection is not None and stamp_at_inspection != stamp(path)


def has_outdated_mask(slide: Slide) -> bool:
    """Whether an earlier version made the slide's tissue mask, by rules that could leave out pale tissue."""
    return slide.tissue is not None and (slide.info or {}).get("mask_version", 1) < MASK_VERSION


def inspect_again(session: Session, slide: Slide) -> Work:
    """Opens a new inspection of a slide whose last one failed in the worker, found it unsupported, or is outdated.

    The same for a slide whose mask an earlier version made, unless an analysis is under way.

    The worker compares the file's sha256 with that of the first inspection, so another file is never taken for it.

    Raises:
        Conflict: neither is so, or its mask would change under an analysis.
        Gone: the slide's file is not there.
    """
    lock(session, slide)  # two requests at once must not open two inspections
    failed = slide.state != "inspecting" and (slide.reason or {}).get("code") in KEPT
    if not failed and not is_outdated(slide):
        _require_outdated_mask(session, slide)
    if not storage.absolute(slide.file).exists():
        raise Gone("slide-file-gone", "the slide's bytes are not here", "send it again")
    info = SlideInfo.from_dict(slide.info) if slide.info else None
    slide.state, slide.reason, slide.updated_at = "inspecting", None, clock(session)
    payload = scale_of_person(info) if info and info.mpp_source == "user" else {}
    return leases.add(session, "inspect", slide.workspace_id, slide.id, payload=payload)


def _require_outdated_mask(session: Session, slide: Slide) -> None:
    if slide.state not in INSPECTED or not has_outdated_mask(slide):
        raise Conflict("nothing-to-inspect", "the inspection of this slide did not fail", "see the slide's state")
    if _is_under_analysis(session, slide):
        raise Conflict("analysis-under-way", "the slide is being analysed", "wait for the analysis, or cancel it")


def _is_under_analysis(session: Session, slide: Slide) -> bool:
    query = select(Analysis.id).where(Analysis.slide_id == slide.id, Analysis.state.in_(quotas.UNDER_WAY))
    return session.scalars(query).first() is not None


def reject(session: Session, slide: Slide, reason: dict[str, Any]) -> None:
    """Records that the file is not a usable slide, and why. Its bytes stay for reasons in KEPT; else they go."""
    slide.state, slide.reason, slide.updated_at = "rejected", reason, clock(session)
