"""The law of the database row as a state machine: claims, zombies, cancels, on real databases."""

import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import event
from work_rows import LEASE_SECONDS, let_leases_run_out

from core.database import transactions
from core.database.analyses import Work
from core.database.record import DEFAULT_WORKSPACE
from core.database.slides import Slide
from core.settings import get_settings
from core.work import leases

pytestmark = pytest.mark.services


@pytest.fixture(autouse=True)
def slide(own_database, monkeypatch):
    monkeypatch.setenv("QUARTERTURN_LEASE_SECONDS", str(LEASE_SECONDS))
    monkeypatch.setenv("QUARTERTURN_MAX_ATTEMPTS", "1000")
    monkeypatch.setenv("QUARTERTURN_RETRY_SECONDS", str(LEASE_SECONDS))
    get_settings.cache_clear()
    with transactions.writing() as session:
        session.add(Slide(id="s", workspace_id=DEFAULT_WORKSPACE, filename="x", file="x", created_at=0, updated_at=0))


class Rows(RuleBasedStateMachine):
    """Workers claim, finish, die and return; each row is done at most once, by its latest claim."""

    @initialize()
    def begin(self):
        self.claims, self.done, self.cancelled = [], {}, set()
        with transactions.writing() as session:
            session.query(Work).delete()

    @rule()
    def add(self):
        with transactions.writing() as session:
            leases.add(session, "profile", DEFAULT_WORKSPACE, "s")

    @rule()
    def claim(self):
        claim = leases.claim_next("w", {"m": "f"})
        if claim is not None:
            assert claim.id not in self.done
            assert claim.id not in self.cancelled
            self.claims.append(claim)

    @rule()
    def leases_run_out(self):
        let_leases_run_out()

    @rule(data=st.data())
    def complete(self, data):
        if not self.claims:
            return
        claim = data.draw(st.sampled_from(self.claims))
        newest = max((c for c in self.claims if c.id == claim.id), key=lambda c: c.token)
        try:
            with transactions.writing() as session:
                leases.complete(session, claim, {"token": claim.token})
        except leases.LeaseLost:
            return
        assert claim == newest, "a worker that another replaced wrote"
        assert claim.id not in self.done
        self.done[claim.id] = claim.token

    @rule(data=st.data())
    def give_back(self, data):
        if self.claims:
            leases.reopen(data.draw(st.sampled_from(self.claims)), {"code": "x", "detail": "x"})

    @rule(data=st.data())
    def cancel(self, data):
        if not self.claims:
            return
        chosen = data.draw(st.sampled_from(self.claims)).id
        with transactions.writing() as session:
            leases.cancel_all(session, Work.id == chosen)
        if chosen not in self.done:
            self.cancelled.add(chosen)

    @invariant()
    def rows_say_the_same(self):
        with transactions.reading() as session:
            rows = {row.id: row for row in session.query(Work)}
        for work_id, token in getattr(self, "done", {}).items():
            assert rows[work_id].state == "done"
            assert rows[work_id].result == {"token": token}
        for work_id in getattr(self, "cancelled", set()):
            assert rows[work_id].state == "cancelled"


def test_work_row_state_machine():
    Rows.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
    Rows.TestCase().runTest()


def database_time():
    with transactions.reading() as session:
        return transactions.clock(session)


def test_reopened_row_pauses_twice_as_long_each_time(monkeypatch):
    monkeypatch.setenv("QUARTERTURN_RETRY_SECONDS", "20")
    get_settings.cache_clear()
    with transactions.writing() as session:
        leases.add(session, "profile", DEFAULT_WORKSPACE, "s")
    for pause in (20, 40, 80):
        claim, before = leases.claim_next("w", {"m": "f"}), database_time()
        leases.reopen(claim, {"code": "x", "detail": "x"})
        with transactions.reading() as session:
            assert before + pause <= session.get_one(Work, claim.id).lease_until <= database_time() + pause
        assert leases.claim_next("w", {"m": "f"}) is None
        assert leases.claimable_count(1) == 0, "the doorbell does not count it either"
        let_leases_run_out()
    assert leases.claim_next("w", {"m": "f"}).attempts == 4


def test_row_fails_after_max_attempts(monkeypatch):
    monkeypatch.setenv("QUARTERTURN_MAX_ATTEMPTS", "2")
    get_settings.cache_clear()
    with transactions.writing() as session:
        leases.add(session, "profile", DEFAULT_WORKSPACE, "s")
    for _ in range(2):
        assert leases.claim_next("w", {"m": "f"}) is not None
        let_leases_run_out()
    assert leases.claim_next("w", {"m": "f"}) is None
    with transactions.writing() as session:
        ((work_id, _),) = leases.exhausted(session)
        row = leases.fail_exhausted(session, work_id)
        assert (row.state, row.attempts) == ("failed", 2)
        assert leases.fail_exhausted(session, work_id) is None, "once"


def test_renewed_lease_ends_later_and_excludes_others(monkeypatch):
    monkeypatch.setenv("QUARTERTURN_LEASE_SECONDS", "600")
    get_settings.cache_clear()
    with transactions.writing() as session:
        leases.add(session, "profile", DEFAULT_WORKSPACE, "s")
    claim = leases.claim_next("w", {"m": "f"})
    ends = []
    for _ in range(3):
        with transactions.reading() as session:
            ends.append(session.get_one(Work, claim.id).lease_until)
        time.sleep(0.01)
        assert leases.renew(claim)
    assert ends == sorted(set(ends)), "each renewal moves the end"
    assert leases.claim_next("other", {"m": "f"}) is None


def test_statements_of_a_claim_are_compiled_once():
    def claim_and_complete():
        with transactions.writing() as session:
            leases.add(session, "profile", DEFAULT_WORKSPACE, "s")
        claim = leases.claim_next("w", {})
        assert leases.renew(claim)
        with transactions.writing() as session:
            leases.complete(session, claim)

    def note(_connection, _cursor, statement, _parameters, context, _many):
        compiled.append((statement, context.cache_hit.name))

    claim_and_complete()
    compiled = []
    event.listen(transactions.get_engine(), "before_cursor_execute", note)
    claim_and_complete()
    event.remove(transactions.get_engine(), "before_cursor_execute", note)
    statements = [(statement, cached) for statement, cached in compiled if not statement.startswith("BEGIN")]
    assert len(statements) > 5
    assert [one for one in statements if one[1] != "CACHE_HIT"] == []
