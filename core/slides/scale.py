"""What people state of a slide: its identifiers, and its scale in µm per pixel, which they may correct.

The frame of an analysis (the lattice of cells on the slide) follows from the scale. So each analysis has the scale that
it was made at, and a correction changes none:

* While an analysis of the slide is queued or runs, a correction is refused. Both lock the slide's row first, so neither
  can begin between the other's check and its commit.
* Analyses stored before they had a scale of their own get the slide's, in the transaction that changes it.
* `info_of_analysis` is the slide as an analysis read it. Heat maps, regions and profiles are placed by it.
* A failed or cancelled analysis of another scale is not retried: its bands are cut from another grid.
"""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.access.quotas import UNDER_WAY
from core.database.analyses import Analysis
from core.database.slides import Slide
from core.database.transactions import clock
from core.errors import Conflict, Invalid
from core.pixels import scale
from core.pixels.levels import SlideInfo
from core.slides.catalog import info_of, lock
from core.slides.opening import require_unaltered
from core.work import leases

SCALE = "scale"  # key in Analysis.settings: mpp_x, mpp_y, mpp_source
NO_REASON = "send mpp with a reason, for example: the export wrote the print resolution"


@dataclass(frozen=True)
class Correction:
    """A change of a slide's scale, as `stored` gives it, for the audit."""

    before: dict[str, Any]
    after: dict[str, Any]
    reason: str


def amend(
    session: Session,
    slide: Slide,
    mpp: scale.Pair | None = None,
    identifiers: dict[str, Any] | None = None,
    reason: str = "",
) -> Correction | None:
    """Records what a person states of a slide, and opens the inspection that another scale needs.

    Returns None where the scale stays as it is.

    Args:
        mpp: µm per pixel along x and y. reason: why it differs from the file's, or from that of analyses.

    Raises:
        Conflict: the slide is not inspected, or is being analysed. Gone: its file was changed since its inspection.
        Invalid: the scale is no scanner's, or it is corrected without a reason.
    """
    lock(session, slide)
    slide.updated_at = clock(session)
    if identifiers is not None:
        slide.identifiers = {**slide.identifiers, **identifiers}
    if mpp is None:
        return None
    require_unaltered(slide)
    info = info_of(slide)
    if slide.state == "ready" and is_scale(info, mpp) and _is_certain(info):
        return None
    return _correct(session, slide, info, mpp, reason)


def clean_reason(text: str | None) -> str:
    """Returns the reason of a correction. Raises Invalid for one that is not printable."""
    reason = (text or "").strip()
    if not reason.isprintable():
        raise Invalid("bad-reason", "the reason is not a printable text", "send one line of text")
    return reason


def _correct(session: Session, slide: Slide, info: SlideInfo, mpp: scale.Pair, reason: str) -> Correction:
    _require_possible(mpp)
    analyses = session.scalars(select(Analysis).where(Analysis.slide_id == slide.id)).all()
    _require_idle(analyses)
    if not reason and (info.mpp_source == "file" or analyses):
        source = "the file states" if info.mpp_source == "file" else "analyses were made at"
        detail = f"{source} {info.mpp_x:g} µm per pixel, so a correction needs a reason"
        raise Invalid("mpp-reason-missing", detail, NO_REASON)
    keep_scale_of_analyses(session, slide)
    corrected = replace(info, mpp_x=mpp[0], mpp_y=mpp[1], mpp_source="user", scale_reason=None)
    slide.info = corrected.to_dict()
    slide.state, slide.reason, slide.tissue = "inspecting", None, None  # the mask is of the former scale
    leases.add(session, "inspect", slide.workspace_id, slide.id, payload=scale_of_person(corrected))
    return Correction(stored(info), stored(corrected), reason)


def keep_scale_of_analyses(session: Session, slide: Slide) -> None:
    """Gives each analysis without a scale of its own that of the slide, which is about to change."""
    if slide.info is None:
        return
    info = SlideInfo.from_dict(slide.info)
    for analysis in session.scalars(select(Analysis).where(Analysis.slide_id == slide.id)):
        analysis.settings = {SCALE: stored(info), **analysis.settings}


def _require_possible(mpp: scale.Pair) -> None:
    # Pixels that are not square are not refused here: somebody who states both axes knows.
    if not all(scale.is_plausible(value) for value in mpp):
        detail = f"{mpp[0]:g} µm per pixel is no scanner's: they have {scale.FINEST_MPP} to {scale.COARSEST_MPP}"
        raise Invalid("mpp-implausible", detail, scale.STATE_IT, finest=scale.FINEST_MPP, coarsest=scale.COARSEST_MPP)


def _require_idle(analyses: Any) -> None:
    active = [analysis.id for analysis in analyses if analysis.state in UNDER_WAY]
    if active:
        # Its bands that are done lie on the frame of the former scale, and the others would lie on another.
        detail = f"the analysis {active[0]} of this slide is under way, at its present micrometres per pixel"
        raise Conflict("analysis-under-way", detail, "wait until it has ended, or cancel it: POST /analyses/ID/cancel")


def _is_certain(info: SlideInfo) -> bool:
    """Whether to state the slide's present scale says nothing new: it is no guess and not in doubt."""
    return info.mpp_source != "objective" and _doubt(info) is None


def _doubt(info: SlideInfo) -> dict[str, Any] | None:
    if info.mpp_source != "file" or info.mpp_x is None or info.mpp_y is None:
        return None
    return scale.doubt((info.mpp_x, info.mpp_y), scale.objective_power(info.properties))


def require_plausible(info: SlideInfo) -> None:
    """Refuses a scale of the file that an earlier version accepted and this one asks about. Raises Conflict."""
    reason = _doubt(info)
    if reason is not None:
        raise Conflict(reason["code"], reason["detail"], f"PATCH the slide: {reason['action']}", **reason["parameters"])


def stored(info: SlideInfo) -> dict[str, Any]:
    """Returns the scale of a slide as an analysis stores it in its settings."""
    return {"mpp_x": info.mpp_x, "mpp_y": info.mpp_y, "mpp_source": info.mpp_source}


def scale_of_analysis(analysis: Analysis, info: SlideInfo) -> dict[str, Any]:
    """Returns the scale that an analysis was made at. `info`: of its slide now."""
    return dict(analysis.settings.get(SCALE) or stored(info))


def is_current(analysis: Analysis, slide: Slide) -> bool:
    """Whether the slide still has the scale that the analysis was made at. A slide without a scale has another."""
    own, info = analysis.settings.get(SCALE), slide.info
    return own is None or info is None or is_scale(SlideInfo.from_dict(info), (own["mpp_x"], own["mpp_y"]))


def info_of_analysis(analysis: Analysis, slide: Slide) -> SlideInfo:
    """Returns the slide as the analysis read it, at its own scale. Raises Conflict: the slide is not inspected."""
    info = info_of(slide)
    return replace(info, **scale_of_analysis(analysis, info))


def is_scale(info: SlideInfo, mpp: scale.Pair) -> bool:
    """Whether a slide has this scale."""
    return scale.same(info.mpp_x, mpp[0]) and scale.same(info.mpp_y, mpp[1])


def require_own_scale(analysis: Analysis, slide: Slide) -> None:
    """Refuses to go on with an analysis whose slide has another scale now. Raises Conflict."""
    if not is_current(analysis, slide):
        detail = (
            f"the analysis was made at {analysis.settings[SCALE]['mpp_x']:g} µm per pixel, the slide has others now"
        )
        raise Conflict("made-at-another-mpp", detail, "request a new analysis of the slide")


def scale_of_person(info: SlideInfo) -> dict[str, Any]:
    """Returns the payload of an inspection at a scale that a person stated; "mpp_y" where pixels are not square."""
    return {"mpp": info.mpp_x, **({} if info.mpp_x == info.mpp_y else {"mpp_y": info.mpp_y})}


def from_payload(payload: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields of SlideInfo that the payload of an inspection sets: none where nobody stated a scale."""
    if payload.get("mpp") is None:
        return {}
    pair = {"mpp_x": payload["mpp"], "mpp_y": payload.get("mpp_y", payload["mpp"])}
    return {**pair, "mpp_source": "user", "scale_reason": None}
