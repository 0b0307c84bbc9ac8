"""Analyses: request, follow, cancel, retry; and the profiles of single cells."""

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session
from sse_starlette import EventSourceResponse

from api.contract.analyses import AnalysisOut, AnalysisRequest, ProfileOut, ProfileRequest
from api.request.change import Change
from api.request.streams import AnalysisEvents
from api.request.transactions import Read
from api.request.visitor import Visitor, is_still_authenticated
from core.analyses import requests, states
from core.analyses.parts import progress
from core.database.analyses import Analysis, Work
from core.database.slides import Slide
from core.database.transactions import reading
from core.errors import NotFound
from core.slides import catalog

router = APIRouter(tags=["analyses"])
RINGS = 4  # an analysis has work for several workers


def _out(session: Session, analysis: Analysis) -> AnalysisOut:
    return AnalysisOut.from_records(analysis, session.get_one(Slide, analysis.slide_id), progress(session, analysis))


@router.post("/slides/{slide_id}/analyses", status_code=201)
def create_analysis(change: Change, slide_id: str, request: AnalysisRequest) -> AnalysisOut:
    """Requests an analysis of a slide. Answers at once; follow it by GET or by its events."""
    change.begin(request)
    slide = catalog.find(change.session, change.visitor, slide_id)
    settings = request.model_dump(exclude={"model"})
    analysis = requests.create(change.session, slide, request.model, settings, change.visitor.principal_id)
    change.audit(analysis.id, slide=slide.id)
    change.ring(RINGS)
    return change.answer(_out(change.session, analysis))


@router.get("/slides/{slide_id}/analyses")
def list_analyses(session: Read, visitor: Visitor, slide_id: str) -> list[AnalysisOut]:
    """Returns all analyses of a slide, newest first."""
    slide = catalog.find(session, visitor, slide_id)
    return [_out(session, analysis) for analysis in requests.of_slide(session, slide)]


@router.get("/analyses/{analysis_id}")
def get_analysis(session: Read, visitor: Visitor, analysis_id: str) -> AnalysisOut:
    """Returns an analysis: its state, its progress and, once it has succeeded, its results without the regions."""
    return _out(session, requests.find(session, visitor, analysis_id))


@router.post("/analyses/{analysis_id}/cancel")
def cancel_analysis(change: Change, analysis_id: str) -> AnalysisOut:
    """Cancels an analysis before this answers. Workers stop within two seconds and write nothing more."""
    change.begin()
    requests.find(change.session, change.visitor, analysis_id)
    was_active = states.lock(change.session, analysis_id).state in states.ACTIVE
    analysis = states.cancel(change.session, analysis_id)
    if was_active:
        change.audit(analysis_id)
    return change.answer(_out(change.session, analysis))


@router.post("/analyses/{analysis_id}/retry")
def retry_analysis(change: Change, analysis_id: str) -> AnalysisOut:
    """Starts a failed or cancelled analysis again. Bands that are done stay done."""
    change.begin()
    requests.find(change.session, change.visitor, analysis_id)
    analysis = states.retry(change.session, analysis_id)
    change.audit(analysis_id)
    change.ring(RINGS)
    return change.answer(_out(change.session, analysis))


@router.get("/analyses/{analysis_id}/events", response_class=EventSourceResponse)
def follow_analysis(visitor: Visitor, analysis_id: str, request: Request) -> EventSourceResponse:
    """Server-sent events: `analysis` with the analysis as JSON at every change. The stream ends with the analysis."""
    with reading() as session:
        requests.find(session, visitor, analysis_id)

    def read() -> AnalysisOut | None:
        """None ends the stream: the key was revoked, or the session has ended."""
        if not is_still_authenticated(request):
            return None
        with reading() as session:
            return _out(session, requests.find(session, visitor, analysis_id))

    return AnalysisEvents(visitor.principal_id, read)


@router.post("/analyses/{analysis_id}/profiles", status_code=202)
def request_profile(change: Change, analysis_id: str, request: ProfileRequest) -> ProfileOut:
    """Requests the score against the angle at a cell. Fetch it from profiles/{id}; the same cell is computed once."""
    change.begin(request)
    analysis = requests.find(change.session, change.visitor, analysis_id)
    row = requests.add_profile(change.session, analysis, request.row, request.col)
    change.audit(analysis.id, row=request.row, col=request.col)
    change.ring()
    return change.answer(ProfileOut.from_row(row))


@router.get("/analyses/{analysis_id}/profiles/{profile_id}")
def get_profile(session: Read, visitor: Visitor, analysis_id: str, profile_id: str) -> ProfileOut:
    """Returns a profile: its state and, once it is done, its result."""
    analysis = requests.find(session, visitor, analysis_id)
    row = session.get(Work, profile_id)
    if row is None or row.analysis_id != analysis.id or row.kind != "profile":
        raise NotFound("no-such-profile", "the analysis has no such profile", "POST to profiles first")
    return ProfileOut.from_row(row)
