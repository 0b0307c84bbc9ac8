"""Where an inspection that fails leaves the slide: its file, its state and its results."""

import pytest
from sqlalchemy import select

from core.analyses import requests
from core.analyses.statements import REASONS
from core.database import transactions
from core.database.analyses import Analysis, Work
from core.database.record import DEFAULT_WORKSPACE
from core.database.slides import NOT_INSPECTED, UNSUPPORTED, Slide, keeps_files
from core.errors import (
    Conflict,
    Gone,
    Invalid,
    ReaderFailed,
    ReaderStarved,
    ReaderTimedOut,
    SlideUnreadable,
    SlideUnsupported,
)
from core.pixels.levels import Level, SlideInfo
from core.pixels.tissue import MASK_VERSION
from core.slides import catalog, durable, inspection, opening, scale, storage
from core.work import leases
from worker.kinds import inspect as kind

pytestmark = pytest.mark.services
REASON = {"code": "x", "detail": "it failed", "action": "try again"}
OFFERS = {"m": "f"}


class Progress:
    def advance(self):
        """No lease is renewed here."""


def slide(path, *, mpp_source="file", **fields):
    """An inspected slide by reference, with what its inspection derived."""
    levels, versions = [Level(500, 500, 1.0, 1.0)], {"stamp": opening.stamp(path), "mask_version": MASK_VERSION}
    info = SlideInfo("x", 500, 500, levels, 0.5, 0.5, mpp_source, **versions)
    with transactions.writing() as session:
        inspected = {"state": "ready", "sha256": durable.sha256(path), "info": info.to_dict(), "tissue": b"1"}
        row = Slide(id="s", workspace_id=DEFAULT_WORKSPACE, filename="s", file=str(path), **inspected | fields)
        row.created_at = row.updated_at = 0.0
        session.add(row)
    for name in (storage.TILE_INDEX, storage.THUMBNAIL):
        durable.write(storage.folder("s") / name, b"derived")


def get():
    with transactions.reading() as session:
        return session.get_one(Slide, "s")


def open_inspection(action=inspection.inspect_again, *arguments):
    with transactions.writing() as session:
        action(session, session.get_one(Slide, "s"), *arguments)
    return leases.claim_next("w", OFFERS)


def test_a_slide_whose_next_inspection_fails_is_ready_as_before(imported):
    slide(imported)
    imported.write_bytes(b"another file")
    claim = open_inspection()
    with pytest.raises(Gone, match="changed"):
        kind.inspect(claim, Progress(), None)
    with transactions.writing() as session:
        inspection.record_failure(session, session.get_one(Slide, "s"), REASON)
    row = get()
    assert (row.state, row.reason["code"], row.reason["detail"]) == ("ready", NOT_INSPECTED, "it failed")
    assert open_inspection().kind == "inspect", "it may be tried again"


def test_a_scale_that_was_never_inspected_is_asked_for_again(imported):
    slide(imported, state="needs_input", tissue=None, mpp_source=None)
    open_inspection(scale.amend, (0.25, 0.25))
    with transactions.writing() as session:
        inspection.record_failure(session, session.get_one(Slide, "s"), REASON)
    assert get().state == "needs_input"


def test_a_slide_that_was_never_inspected_is_rejected(imported):
    slide(imported, state="inspecting", sha256=None, info=None, tissue=None)
    with transactions.writing() as session:
        inspection.record_failure(session, session.get_one(Slide, "s"), REASON)
    assert get().state == "rejected"


def analyse():
    with transactions.writing() as session:
        session.add(
            Analysis(id="a", workspace_id=DEFAULT_WORKSPACE, slide_id="s", model="m", settings={}, created_at=0.0)
        )
        session.flush()
        leases.add(session, "band", DEFAULT_WORKSPACE, "s", analysis_id="a")


def test_no_other_work_of_a_slide_is_claimed_while_it_is_inspected(imported):
    slide(imported)
    analyse()
    imported.write_bytes(b"another file")
    claim = open_inspection()
    assert (claim.kind, leases.claim_next("w", OFFERS)) == ("inspect", None)
    assert leases.claimable_count(1) == 0
    with transactions.writing() as session:
        leases.complete(session, claim)
        inspection.record_failure(session, session.get_one(Slide, "s"), REASON)
    band = leases.claim_next("w", OFFERS)
    assert (band.kind, band.attempts) == ("band", 1)


def fresh_inspection(path, attempts, monkeypatch, error):
    """A first inspection in its last try, whose reader ends with this error."""

    def fail(*_):
        raise error

    slide(path, state="inspecting", sha256=None, info=None, tissue=None)
    monkeypatch.setattr(kind, "_read", fail)
    with transactions.writing() as session:
        leases.add(session, "inspect", DEFAULT_WORKSPACE, "s", attempts=attempts - 1)
    return leases.claim_next("w", OFFERS)


@pytest.mark.parametrize("error", [
    ReaderTimedOut("reader-timeout", "the slide reader took longer than 9 s", "give readers more time"),
    ReaderStarved("too-much-memory", "the machine ran out of memory", "give readers more memory"),
])  # fmt: skip
def test_bytes_stay_where_time_or_memory_did_not_suffice(error, imported, monkeypatch):
    claim = fresh_inspection(imported, kind.READER_TRIES, monkeypatch, error)
    kind.inspect(claim, Progress(), None)
    row = get()
    assert (row.state, row.reason["code"], row.reason["action"]) == ("rejected", NOT_INSPECTED, error.action)
    assert error.detail in row.reason["detail"]
    assert row.reason["parameters"]["cause_code"] == error.code
    assert storage.folder("s").is_dir()
    with transactions.reading() as session:
        assert session.get_one(Work, claim.id).state == "done"
    assert NOT_INSPECTED in REASONS


def test_after_crashes_the_advice_can_be_followed(imported, monkeypatch):
    error = ReaderFailed("reader-crashed", "the slide reader crashed on this file (SIGSEGV)", "try again")
    kind.inspect(fresh_inspection(imported, kind.READER_TRIES, monkeypatch, error), Progress(), None)
    assert {**get().reason, "parameters": {}} == {
        "code": "reader-crashed",
        "detail": error.detail,
        "action": kind.AFTER_CRASHES,
        "parameters": {},
    }
    assert not storage.folder("s").exists()


def test_a_reader_that_ends_is_tried_again_first(imported, monkeypatch):
    error = ReaderTimedOut("reader-timeout", "the slide reader took longer than 9 s", "give readers more time")
    claim = fresh_inspection(imported, kind.READER_TRIES - 1, monkeypatch, error)
    with pytest.raises(ReaderTimedOut):
        kind.inspect(claim, Progress(), None)


@pytest.mark.parametrize(("error", "stays"), [
    (SlideUnsupported("unsupported", "unsupported compression WebP", "export it"), True),
    (SlideUnsupported("not-a-slide", "this is no slide", "send one"), False),
    (SlideUnreadable("unreadable", "it is damaged", "copy it again"), False),
])  # fmt: skip
def test_bytes_of_an_unsupported_slide_stay(error, stays, imported, monkeypatch):
    """A later version may read them: they count in quotas, stand in backups, and can be inspected again."""
    kind.inspect(fresh_inspection(imported, 1, monkeypatch, error), Progress(), None)
    assert (get().state, get().reason["code"]) == ("rejected", error.code)
    assert storage.folder("s").is_dir() == stays
    with transactions.reading() as session:
        assert bool(session.scalars(select(Slide.id).where(keeps_files())).all()) == stays
        assert (catalog.without_files(session, ["s"]) == []) == stays
    if stays:
        assert error.code == UNSUPPORTED
        assert open_inspection().kind == "inspect"
    else:
        with pytest.raises(Conflict):
            open_inspection()


def test_unpacked_files_of_an_unsupported_slide_go(imported, monkeypatch):
    """The zip that was sent stays. Its parts are made again at the next inspection."""
    error = SlideUnsupported("unsupported", "unsupported compression WebP", "export it")
    claim = fresh_inspection(imported, 1, monkeypatch, error)
    durable.write(storage.folder("s") / storage.PARTS / "slide.dcm", b"x")
    kind.inspect(claim, Progress(), None)
    assert storage.folder("s").is_dir()
    assert not (storage.folder("s") / storage.PARTS).exists()


def test_what_is_not_bright_field_is_not_analysed(imported):
    refusal = {"code": "not-bright-field", "detail": "not a bright-field H&E image: it is dark", "action": "view it",
               "parameters": {"cause": "it is dark"}}  # fmt: skip
    info = SlideInfo("x", 500, 500, [Level(500, 500, 1.0, 1.0)], 0.5, 0.5, "file", not_analysable=refusal)
    slide(imported, info=info.to_dict())
    settings = {"tissue": "auto", "threshold": None, "rotation_check": False}
    with transactions.writing() as session, pytest.raises(Invalid, match="not a bright-field H&E image") as refused:
        requests.create(session, session.get_one(Slide, "s"), None, settings)
    assert refused.value.code == "not-bright-field"


def test_records_of_earlier_versions_say_nothing_of_light():
    stored = SlideInfo("x", 5, 5, [Level(5, 5, 1.0, 1.0)], 0.5, 0.5, "file").to_dict()
    del stored["not_analysable"], stored["left_out_files"]
    info = SlideInfo.from_dict(stored)
    assert (info.not_analysable, info.left_out_files) == (None, [])
