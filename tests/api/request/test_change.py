"""A change is committed before its answer leaves, rings after the commit, and happens once per key."""

import asyncio

import pytest
from asgi import request
from fastapi import BackgroundTasks, FastAPI
from pydantic import BaseModel
from sqlalchemy import func, select

from admin import migrate
from api.contract import problems
from api.request import transactions
from api.request.change import Change
from api.request.idempotency import Replayed, replay
from core import settings
from core.database import transactions as database
from core.database.people import Audit
from core.database.transactions import reading
from core.errors import Conflict

PLACE = "/api/v1/keys"  # any call of the table whose changes are audited
KEY = "a-key-for-tests-0123456789-0123456789"
BEARER = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


class Wish(BaseModel):
    name: str
    fails: bool = False


class Fulfilled(BaseModel):
    name: str


@pytest.fixture
def embedded(tmp_path, monkeypatch):
    """An empty embedded database with an administrator's key."""
    monkeypatch.setenv("QUARTERTURN_DATA", str(tmp_path))
    monkeypatch.setenv("QUARTERTURN_ADMIN_KEY", KEY)
    monkeypatch.delenv("QUARTERTURN_DATABASE_URL", raising=False)
    settings.get_settings.cache_clear()
    database.get_engine.cache_clear()
    migrate.main([])
    yield
    database.get_engine().dispose()
    settings.get_settings.cache_clear()
    database.get_engine.cache_clear()


@pytest.fixture
def service(embedded, monkeypatch):
    """An app of one route, and the order of events."""
    app, order = FastAPI(), []
    problems.install(app, lambda *_: None)
    app.add_exception_handler(Replayed, replay)
    monkeypatch.setattr(transactions, "ring", lambda _: None)
    monkeypatch.setattr("api.request.change.ring", lambda times: order.append(("ring", times, rows())))

    @app.post(PLACE, status_code=201)
    def fulfil(change: Change, wish: Wish, _: BackgroundTasks) -> Fulfilled:
        change.begin(wish)
        change.audit("somebody", name=wish.name)
        change.ring(2)
        if wish.fails:
            raise Conflict("no", "it cannot be", "wish for another")
        order.append(("changed", rows()))
        return change.answer(Fulfilled(name=wish.name))

    return app, order


def rows():
    """The audit's committed rows, read through another connection."""
    with reading() as session:
        return session.scalar(select(func.count()).where(Audit.action == "key.create"))


def post(service, body, key=None):
    app, order = service
    headers = {**BEARER, **({"Idempotency-Key": key} if key else {})}
    return asyncio.run(
        request(app, "POST", PLACE, headers, body, on_start=lambda: order.append(("answer begins", rows())))
    )


def test_the_commit_comes_before_the_answer_and_the_doorbell_after_it(service):
    answer = post(service, b'{"name": "a"}')
    assert (answer.status, answer.json()) == (201, {"name": "a"})
    assert service[1] == [("changed", 0), ("answer begins", 1), ("ring", 2, 1)]


def test_a_failed_change_leaves_no_row_and_no_message(service):
    answer = post(service, b'{"name": "a", "fails": true}', key="k")
    assert answer.status == 409
    assert service[1] == [("answer begins", 0)]
    assert post(service, b'{"name": "a", "fails": true}', key="k").status == 409, "its key is free again"


def test_a_replay_gets_the_first_answer_and_changes_nothing(service):
    first, again = (post(service, b'{"name": "a"}', key="k") for _ in range(2))
    assert (first.status, first.json()) == (again.status, again.json()) == (201, {"name": "a"})
    assert rows() == 1
    assert [event[0] for event in service[1]].count("ring") == 1
    spelled_otherwise = post(service, b'{"fails": false,   "name": "a"}', key="k")
    assert (spelled_otherwise.status, spelled_otherwise.json()) == (201, {"name": "a"}), "the same request"


def test_the_same_key_with_another_request_is_refused(service):
    post(service, b'{"name": "a"}', key="k")
    answer = post(service, b'{"name": "b"}', key="k")
    assert answer.status == 409
    assert answer.json()["type"].endswith("idempotency-key-reused")
    assert rows() == 1
