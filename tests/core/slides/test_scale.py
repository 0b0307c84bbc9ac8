"""A person corrects a slide's scale: with a reason, never under a running analysis; older analyses keep theirs."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from core.analyses import requests, states
from core.database import transactions
from core.database.analyses import Analysis, Work, Worker
from core.database.record import DEFAULT_WORKSPACE
from core.database.slides import Slide
from core.errors import Conflict, Invalid
from core.heatmap.grid import affine_to_l0, grid_shape
from core.pixels.frame import COARSEST_MPP
from core.pixels.levels import Level, SlideInfo
from core.slides import catalog, inspection, scale

pytestmark = pytest.mark.services
CARD = {"threshold": 0.5, "scope": {}, "digest": "0" * 64}
REQUEST = {"tissue": "all", "threshold": None, "rotation_check": False}
SIDE_PX = 1100
WHY = "the export wrote half the value"


def info_at(mpp, source="file", mpp_y=None):
    return SlideInfo("x", SIDE_PX, SIDE_PX, [Level(SIDE_PX, SIDE_PX, 1.0, 1.0)], mpp, mpp_y or mpp, source)


def mask_of(info):
    if info.mpp_x > COARSEST_MPP:
        return None
    rows, cols = grid_shape(info.frame())
    return np.ones((rows - 1, cols - 1), np.uint8).tobytes()


def slide(info, **fields):
    row = Slide(id="s", workspace_id=DEFAULT_WORKSPACE, filename="s", file="s", state="ready", sha256="0" * 64)
    row.info, row.tissue, row.created_at, row.updated_at = info.to_dict(), mask_of(info), 0.0, 0.0
    for name, value in fields.items():
        setattr(row, name, value)
    with transactions.writing() as session:
        session.merge(Worker(id="w", model="m", fingerprint="f", provenance={}, card=CARD, seen_at=1e12))
        session.add(row)


def do(action, *arguments):
    """One call in a transaction of its own, with the slide's record."""
    with transactions.writing() as session:
        return action(session, session.get_one(Slide, "s"), *arguments)


def correct(mpp, reason=WHY):
    return do(scale.amend, mpp if isinstance(mpp, tuple) else (mpp, mpp), None, reason)


def analyse(state=None):
    identity = do(requests.create, "m", REQUEST).id
    if state is not None:
        with transactions.writing() as session:
            session.get_one(Analysis, identity).state = state
    return identity


def inspected(mpp):
    """The end of the inspection that a correction opened."""
    with transactions.reading() as session:
        payload = session.query(Work).filter_by(kind="inspect").order_by(Work.created_at.desc()).first().payload
    info = replace(info_at(0.5), **scale.from_payload(payload))
    assert info.mpp_x == mpp
    do(inspection.accept, info, "0" * 64, mask_of(info))


def as_read(analysis_id):
    with transactions.reading() as session:
        return scale.info_of_analysis(session.get_one(Analysis, analysis_id), session.get_one(Slide, "s"))


def test_a_correction_needs_a_reason_and_opens_an_inspection(own_database):
    slide(info_at(2.525))
    with pytest.raises(Invalid, match=r"2\.525") as refused:
        correct(0.25, "")
    assert refused.value.code == "mpp-reason-missing"
    correction = correct(0.25)
    assert (correction.before["mpp_x"], correction.after["mpp_x"], correction.reason) == (2.525, 0.25, WHY)
    assert (correction.before["mpp_source"], correction.after["mpp_source"]) == ("file", "user")
    json.dumps(correction.__dict__)  # it goes into the audit
    inspected(0.25)
    with transactions.reading() as session:
        assert catalog.info_of(session.get_one(Slide, "s")).mpp_source == "user"


@pytest.mark.parametrize("source", ["objective", "user"])
def test_a_guess_and_a_slip_of_the_pen_need_no_reason_before_anything_stands_on_them(own_database, source):
    slide(info_at(0.25, source))
    assert correct(0.5, "").before["mpp_source"] == source


def test_what_is_so_already_changes_nothing(own_database):
    slide(info_at(0.25))
    assert correct(0.25, "") is None
    with transactions.reading() as session:
        assert (session.get_one(Slide, "s").state, session.query(Work).count()) == ("ready", 0)


@pytest.mark.parametrize("mpp", [0.0, -1.0, 0.025, 1e9, float("nan"), float("inf"), (0.25, 0.0), (0.25, float("nan"))])
def test_nobody_can_state_a_scale_that_no_scanner_has(own_database, mpp):
    slide(info_at(0.5))
    with pytest.raises(Invalid) as refused:
        correct(mpp)
    assert refused.value.code == "mpp-implausible"


def test_no_analysis_changes_its_frame_while_it_runs(own_database):
    slide(info_at(0.5))
    for state in (None, "running"):
        identity = analyse(state)
        with pytest.raises(Conflict, match=identity) as refused:
            correct(0.25)
        assert refused.value.code == "analysis-under-way"
        assert "cancel" in refused.value.action
        with transactions.writing() as session:
            states.cancel(session, identity)
    assert correct(0.25) is not None


@pytest.mark.parametrize("has_own", [True, False])
def test_an_analysis_of_before_keeps_its_geometry(own_database, has_own):
    """Also one that was stored before analyses had a scale of their own."""
    slide(info_at(0.5))
    identity = analyse("succeeded")
    if not has_own:
        with transactions.writing() as session:
            analysis = session.get_one(Analysis, identity)
            analysis.settings = {name: value for name, value in analysis.settings.items() if name != scale.SCALE}
    before = affine_to_l0(as_read(identity).frame())
    correct(0.25)
    inspected(0.25)
    correct(0.972, "the objective was 10×")
    inspected(0.972)
    newer = analyse("succeeded")
    assert affine_to_l0(as_read(identity).frame()) == before == affine_to_l0(info_at(0.5).frame())
    with transactions.reading() as session:
        analysis, row = session.get_one(Analysis, identity), session.get_one(Slide, "s")
        assert not scale.is_current(analysis, row)
        assert scale.is_current(session.get_one(Analysis, newer), row)
    correct(0.5, "it was right")
    inspected(0.5)
    with transactions.reading() as session:
        assert scale.is_current(session.get_one(Analysis, identity), session.get_one(Slide, "s"))


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_an_analysis_of_another_scale_is_not_retried(own_database, state):
    slide(info_at(0.5))
    identity = analyse(state)
    correct(0.25)
    for finish in (lambda: None, lambda: inspected(0.25)):
        finish()
        with transactions.writing() as session, pytest.raises(Conflict) as refused:
            states.retry(session, identity)
        assert refused.value.code == "made-at-another-mpp"
    correct(0.5, "it was right")
    inspected(0.5)
    with transactions.writing() as session:
        assert states.retry(session, identity).state == "queued"


def test_of_two_people_at_once_one_is_refused(own_database):
    slide(info_at(0.5))

    def attempt(mpp):
        try:
            return correct(mpp).after["mpp_x"]
        except Conflict as refused:
            return refused.code

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(attempt, (0.25, 0.3)))
    assert answers.count("slide-not-ready") == 1
    with transactions.reading() as session:
        assert SlideInfo.from_dict(session.get_one(Slide, "s").info).mpp_x in answers
        assert session.query(Work).filter_by(kind="inspect").count() == 1


def test_a_correction_and_an_analysis_at_once_are_in_some_order(own_database):
    slide(info_at(0.5))
    actions = (lambda: correct(0.25), analyse)
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(action) for action in actions]
    assert sum(isinstance(answer.exception(), Conflict) for answer in answers) == 1


def test_an_implausible_scale_of_an_earlier_version_is_not_analysed(own_database):
    slide(info_at(0.25, mpp_y=0.5))
    with pytest.raises(Conflict) as refused:
        analyse()
    assert (refused.value.code, "PATCH" in refused.value.action) == ("mpp-not-square", True)
    correct((0.25, 0.5), "a line scanner, measured with a stage micrometer")
    with transactions.reading() as session:
        assert session.query(Work).filter_by(kind="inspect").one().payload == {"mpp": 0.25, "mpp_y": 0.5}


def test_an_inspection_that_finds_the_scale_in_doubt_keeps_that_of_analyses(own_database):
    slide(info_at(0.25, mpp_y=0.5))
    with transactions.writing() as session:
        old = Analysis(id="a", workspace_id=DEFAULT_WORKSPACE, slide_id="s", model="m", settings={}, created_at=0.0)
        old.state = "succeeded"
        session.add(old)
    reason = {"code": "mpp-not-square", "detail": "d", "action": "a", "parameters": {}}
    unscaled = replace(info_at(0.25), mpp_x=None, mpp_y=None, mpp_source=None, scale_reason=reason)
    do(inspection.accept, unscaled, "0" * 64, None)
    with transactions.reading() as session:
        row = session.get_one(Slide, "s")
        assert (row.state, row.reason) == ("needs_input", reason)
    assert (as_read("a").mpp_x, as_read("a").mpp_y) == (0.25, 0.5)


def test_the_inspection_uses_the_scale_of_the_person():
    assert scale.from_payload({}) == {}
    stated = scale.from_payload({"mpp": 0.25})
    assert (stated["mpp_x"], stated["mpp_y"], stated["mpp_source"]) == (0.25, 0.25, "user")
