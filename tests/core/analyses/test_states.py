"""An analysis as a state machine: claims, zombies, cancel, retry, restart and deletion in any order, on real databases.

The model is the answers that callers received. In every order of events no late write counts, an analysis has one end,
a cancelled analysis does not change until it is retried, and at the end every band is done once and the analysis has
succeeded, or was cancelled or deleted.
"""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from work_rows import LEASE_SECONDS, let_leases_run_out

from core.access.visitor import Visitor
from core.analyses import requests, states
from core.analyses.parts import BandResult
from core.analyses.results import Coverage, Grid, Results
from core.analyses.statements import summarise
from core.database import transactions
from core.database.analyses import Analysis, Work, Worker
from core.database.record import DEFAULT_WORKSPACE
from core.database.slides import Slide
from core.errors import Conflict, NotFound
from core.heatmap import planes
from core.pixels.levels import Level, SlideInfo
from core.settings import get_settings
from core.slides import deletion
from core.work import leases

pytestmark = pytest.mark.services
BAND = BandResult(cells=1, unreadable=0)
RESULTS = Results(
    threshold=0.5,
    grid=Grid(rows=1, cols=1, affine_l0=(16, 0, 0, 0, 16, 0), network_mpp=0.972),
    coverage=Coverage(
        analysed_cells=1,
        wanted_cells=1,
        slide_cells=1,
        share=1.0,
        slide_share=1.0,
        analysed_mm2=1.0,
        tissue_mm2=1.0,
        slide_mm2=1.0,
    ),
    max_score=0.1,
    regions=(),
    summary=summarise(0, 1.0, 1.0),
)
WHO = Visitor("p", DEFAULT_WORKSPACE, "analyst", "someone")
CARD = {"threshold": 0.5, "scope": {}, "digest": "0" * 64}
SIDE_PX = 1100
ASKED = {"tissue": "all", "threshold": None, "rotation_check": False}


@pytest.fixture(autouse=True)
def quick(own_database, monkeypatch):
    for name, value in (
        ("LEASE_SECONDS", LEASE_SECONDS),
        ("MAX_ATTEMPTS", 1000),
        ("RETRY_SECONDS", LEASE_SECONDS),
        ("REGIONS_PER_BAND", 1),
    ):
        monkeypatch.setenv(f"QUARTERTURN_{name}", str(value))
    get_settings.cache_clear()


def ready_slide(session):
    info = SlideInfo("x", SIDE_PX, SIDE_PX, [Level(SIDE_PX, SIDE_PX, 1.0, 1.0)], 0.972, 0.972, "file")
    frame = info.frame()
    blocks = np.ones((frame.y.cells - 1, frame.x.cells - 1), np.uint8)
    slide = Slide(workspace_id=DEFAULT_WORKSPACE, filename="x", file="x", state="ready", created_at=0, updated_at=0)
    slide.info, slide.tissue, slide.sha256 = info.to_dict(), blocks.tobytes(), "0" * 64
    session.add(slide)
    session.flush()
    return slide


class Analysing(RuleBasedStateMachine):
    """One analysis, workers with old claims, and clients that cancel, retry and delete."""

    @initialize()
    def begin(self):
        self.claims, self.done = [], {}
        with transactions.writing() as session:
            session.query(Work).delete()
            session.merge(Worker(id="w", model="m", fingerprint="f", provenance={}, card=CARD, seen_at=1e12))
            self.slide = ready_slide(session).id
            self.id = requests.create(session, session.get_one(Slide, self.slide), "m", ASKED).id
            self.bands = session.query(Work).filter_by(analysis_id=self.id, kind="band").count()
        assert self.bands > 2
        self.state = "queued"  # as callers know it

    def alive(self):
        return self.state in ("queued", "running")

    @rule()
    def claim(self):
        claim = leases.claim_next("w", {"m": "f"})
        if claim is None:
            return
        assert self.alive(), "work of an ended analysis was claimed"
        assert (claim.kind, claim.ordinal) not in self.done
        self.claims.append(claim)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def start(self, data):
        """A worker reports its start; the report of an outdated claim has no effect."""
        claim = data.draw(st.sampled_from(self.claims))
        still, waiting = leases.is_current(claim), self.state == "queued"
        with transactions.writing() as session:
            states.mark_running(session, claim, {"token": claim.token, "work": claim.id})
        if still and waiting:
            self.state = "running"
        with transactions.reading() as session:
            row = session.get_one(Analysis, self.id)
        if waiting and self.state == "running":
            assert row.provenance == {"token": claim.token, "work": claim.id}

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def write(self, data):
        """Any claim, however old, tries to write its result."""
        claim = data.draw(st.sampled_from(self.claims))
        newest = max((c for c in self.claims if c.id == claim.id), key=lambda c: c.token)
        try:
            with transactions.writing() as session:
                if claim.kind == "finish":
                    states.succeed(session, claim, RESULTS, None)
                else:
                    values = np.full((1, 1), claim.token, np.float32)
                    states.complete_part(session, claim, BAND, {"values": planes.pack(values)})
        except leases.LeaseLost:
            return
        assert self.alive(), "a late write counted"
        assert claim == newest, "a zombie wrote"
        assert (claim.kind, claim.ordinal) not in self.done
        self.done[(claim.kind, claim.ordinal)] = claim.token
        if claim.kind == "finish":
            self.state = "succeeded"

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def renew(self, data):
        claim = data.draw(st.sampled_from(self.claims))
        if leases.renew(claim):
            assert self.alive()

    @rule()
    def leases_run_out(self):
        let_leases_run_out()

    @rule()
    def cancel(self):
        try:
            with transactions.writing() as session:
                assert states.cancel(session, self.id).state == "cancelled"
        except Conflict:
            assert self.state == "succeeded"
            return
        assert self.state != "succeeded"
        if self.state != "deleted":
            self.state = "cancelled"

    @rule()
    def retry(self):
        try:
            with transactions.writing() as session:
                states.retry(session, self.id)
        except (Conflict, NotFound):
            assert self.state != "cancelled", "a cancelled analysis can be retried"
            return
        assert self.state == "cancelled"
        self.state = "queued"

    @precondition(lambda self: self.alive())
    @rule()
    def restart(self):
        """No worker of the fingerprint is left: the analysis restarts."""
        with transactions.writing() as session:
            states.restart(session, states.lock(session, self.id))
        self.done, self.state = {}, "queued"

    @precondition(lambda self: self.state != "deleted")
    @rule(sure=st.integers(0, 9))
    def delete(self, sure):
        if sure:
            return
        with transactions.writing() as session:
            deletion.delete(session, session.get_one(Slide, self.slide))
        self.state = "deleted"

    @invariant()
    def rows_say_what_callers_know(self):
        if not hasattr(self, "id"):
            return
        with transactions.reading() as session:
            rows = session.query(Work).filter_by(analysis_id=self.id).all()
            state = session.get_one(Analysis, self.id).state
        assert state == self.state or (self.state == "deleted" and state in ("cancelled", "succeeded"))
        if not self.alive():
            assert not [row for row in rows if row.state in ("open", "claimed")], "no work is left"
        if self.state == "deleted":
            assert all(row.values is None for row in rows)
            return
        assert sum(row.kind == "finish" for row in rows) <= 1
        for (kind, ordinal), token in self.done.items():
            (row,) = (row for row in rows if (row.kind, row.ordinal) == (kind, ordinal))
            assert row.state == "done"
            assert kind == "finish" or planes.unpack(row.values, (1, 1))[0, 0] == token

    def teardown(self):
        """Without further faults a live analysis succeeds: every band once, then the finish."""
        if not hasattr(self, "id"):
            return
        for _ in range(10 * self.bands):
            if not self.alive():
                break
            with transactions.writing() as session:
                states.add_finish(session, states.lock(session, self.id))  # as the reconciler does
            claim = leases.claim_next("w", {"m": "f"})
            if claim is None:
                let_leases_run_out()
                continue
            self.claims = [claim]
            with transactions.writing() as session:
                states.mark_running(session, claim, {"threads": 1})
                if claim.kind == "finish":
                    states.succeed(session, claim, RESULTS, None)
                    self.state = "succeeded"
                else:
                    states.complete_part(session, claim, BAND)
        if self.state == "succeeded":
            with transactions.reading() as session:
                rows = session.query(Work).filter_by(analysis_id=self.id).all()
            assert sorted((row.kind, row.ordinal) for row in rows) == [
                *(("band", number) for number in range(self.bands)), ("finish", 0),
            ]  # fmt: skip
            assert {row.state for row in rows} == {"done"}
        else:
            assert self.state in ("cancelled", "deleted"), "it never ended"


def test_analysis_state_machine():
    Analysing.TestCase.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
    Analysing.TestCase().runTest()
