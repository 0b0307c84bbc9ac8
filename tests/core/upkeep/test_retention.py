"""Retention: idle slides are deleted and audited; expired answers, sessions and workers are purged."""

import base64
import time

import pytest

import admin.retention
from core.access import audit, credentials
from core.access.visitor import Visitor
from core.database import transactions
from core.database.analyses import Analysis, Worker
from core.database.people import Credential, Idempotency
from core.database.record import DEFAULT_WORKSPACE
from core.database.slides import Slide, Upload
from core.errors import NotFound
from core.marks import evaluations
from core.marks.outlines import Annotation
from core.pixels.levels import Level, SlideInfo
from core.settings import get_settings
from core.slides import deletion, scale, storage, uploads
from core.upkeep import retention
from core.work import leases

pytestmark = pytest.mark.services
DAY, NAMED = 86_400, "DOE^JOHN"


@pytest.fixture
def keep(own_database, monkeypatch):
    monkeypatch.setenv("QUARTERTURN_KEEP_DAYS", "30")
    get_settings.cache_clear()


def slide(session, days, state="ready", analysed=()):
    """A slide that was changed so many days ago; `analysed`: (state, days since its end) of its analyses."""
    at = time.time() - days * DAY
    row = Slide(workspace_id=DEFAULT_WORKSPACE, filename=f"{NAMED}.svs", file="x", state=state, created_at=at,
                  updated_at=at, identifiers={"accession": NAMED})  # fmt: skip
    session.add(row)
    session.flush()
    for number, (ended_as, ago) in enumerate(analysed):
        ended = None if ago is None else time.time() - ago * DAY
        times = {"created_at": at, "ended_at": ended}
        fields = {"model": "m", "settings": {"n": number}, "workspace_id": DEFAULT_WORKSPACE}
        session.add(Analysis(slide_id=row.id, state=ended_as, **fields, **times))
    folder = storage.folder(row.id)
    folder.mkdir(parents=True)
    (folder / "slide").write_bytes(b"x")
    return row.id


def left():
    with transactions.reading() as session:
        return {row.id for row in session.query(Slide).where(Slide.state != "deleted")}


def test_idle_slides_are_deleted(keep):
    with transactions.writing() as session:
        old = [slide(session, 31), slide(session, 40, "rejected"), slide(session, 99, analysed=[("succeeded", 31)])]
        old.append(slide(session, 99, analysed=[("failed", 50), ("cancelled", 1)]))
        recent = [slide(session, 29), slide(session, 99, "uploading"), slide(session, 99, "inspecting")]
        recent += [slide(session, 99, analysed=[("succeeded", 98), ("succeeded", 3)])]
        recent += [slide(session, 99, analysed=[("running", None)])]
    assert retention.purge().slides == len(old)
    assert left() == set(recent)
    assert set(storage.stored_slides()) == set(recent)
    assert retention.purge().slides == 0
    with transactions.reading() as session:
        entries = audit.list_rows(session, Visitor("", DEFAULT_WORKSPACE, "admin", "x"))
        assert {(row.who, row.action) for row in entries} == {("retention", "slide.expire")}
        assert {row.subject for row in entries} == set(old)
        for row in session.query(Slide).where(Slide.id.in_(old)):
            assert NAMED not in f"{row.filename}{row.identifiers}{row.reason}"


def test_retention_is_off_by_default(own_database):
    with transactions.writing() as session:
        slide(session, 5000)
    assert retention.purge().slides == 0
    assert len(left()) == 1


def test_recently_used_slides_stay(keep, monkeypatch):
    with transactions.writing() as session:
        mine = slide(session, 31)
    due_before = retention.due_slides

    def due_and_then_used(session, days):
        row = due_before(session, days)
        with transactions.writing() as other:
            scale.amend(other, other.get_one(Slide, mine), None, {"block": "2"})
        return row

    monkeypatch.setattr(retention, "due_slides", due_and_then_used)
    assert retention.purge().slides == 0
    assert left() == {mine}


def test_recently_annotated_slides_stay(keep):
    info = SlideInfo("x", 500, 500, [Level(500, 500, 1.0, 1.0)], 0.5, 0.5, "file")
    with transactions.writing() as session:
        mine, asked_of, other = (slide(session, 31) for _ in range(3))
        session.get_one(Slide, mine).info = info.to_dict()
        session.flush()
        evaluations.outline(session, session.get_one(Slide, mine), Annotation(()))
        leases.add(session, "evaluate", DEFAULT_WORKSPACE, asked_of)
    assert retention.purge().slides == 1
    assert left() == {mine, asked_of}
    with pytest.raises(NotFound), transactions.writing() as session:
        evaluations.outline(session, session.get_one(Slide, other), Annotation(()))


def test_deleted_referenced_slide_leaves_no_path(own_database):
    with transactions.writing() as session:
        row = session.get_one(Slide, slide(session, 1))
        row.file = f"/import/{NAMED}.svs"
        session.flush()
        deletion.delete(session, row)
    with transactions.reading() as session:
        assert session.get_one(Slide, row.id).file == ""


def test_deleted_upload_leaves_no_name(own_database):
    with transactions.writing() as session:
        administrator = credentials.ensure_administrator(session)
        visitor = Visitor(administrator.id, administrator.workspace_id, administrator.role, administrator.name)
        name = f"filename {base64.b64encode(NAMED.encode()).decode()}"
        upload = uploads.create(session, visitor, 10, name, {"accession": NAMED})
    with transactions.writing() as session:
        uploads.terminate(session, session.get_one(Upload, upload.id))
    with transactions.reading() as session:
        assert session.get_one(Upload, upload.id).upload_metadata == ""
        row = session.get_one(Slide, upload.slide_id)
        assert (row.filename, row.identifiers) == ("", {})


def test_expired_answers_sessions_and_workers_are_purged(own_database):
    at = time.time()
    with transactions.writing() as session:
        administrator = credentials.ensure_administrator(session).id
        for days in (1, 8):
            answer = {
                "principal_id": administrator,
                "key": str(days),
                "request_hash": "x",
                "created_at": at - days * DAY,
            }
            session.add(Idempotency(**answer, answer={"filename": NAMED}))
            session.add(
                Worker(id=str(days), model="m", fingerprint="f", card={}, provenance={}, seen_at=at - days * DAY)
            )
            for kind in ("session", "link", "key"):
                ended = {"created_at": at - 9 * DAY, "expires_at": at - days * DAY}
                session.add(Credential(hash=f"{kind}{days}", kind=kind, principal_id=administrator, **ended))
    purged = retention.purge()
    assert (purged.answers, purged.sessions, purged.workers) == (1, 2, 2)
    with transactions.reading() as session:
        assert {row.hash for row in session.query(Credential)} == {"session1", "link1", "key1", "key8"}
        assert [row.key for row in session.query(Idempotency)] == ["1"]


def test_retention_command_lists_due_slides(keep, capsys):
    with transactions.writing() as session:
        old, _young = slide(session, 31), slide(session, 1)
    assert admin.retention.main([]) == 0
    assert capsys.readouterr().out == f"{old}\n2 slides are kept; 1 would go after 30 days.\n"
    assert len(left()) == 2
