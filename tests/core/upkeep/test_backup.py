"""Files that a backup omits, because they are elsewhere or derived, are restored after loading."""

import os
import shutil

import pytest
from many_files import zipped
from sqlalchemy import text
from tables import TABLES

from core.database import transactions
from core.database.analyses import Work
from core.database.migrations import migrate
from core.database.record import DEFAULT_WORKSPACE
from core.database.slides import NOT_INSPECTED, Slide
from core.errors import Conflict
from core.pixels.levels import Level, SlideInfo
from core.settings import get_settings
from core.slides import inspection, opening, storage
from core.upkeep import backup, restore

pytestmark = pytest.mark.services
DERIVED = (storage.TILE_INDEX, storage.THUMBNAIL)


def slide(file, *, state="ready", mpp_source="file", reason=None, derived=DERIVED):
    """An inspected slide whose file is `file` (absolute: by reference), with what its inspection derived."""
    path = storage.absolute(str(file))
    info = SlideInfo("x", 500, 500, [Level(500, 500, 1.0, 1.0)], 0.5, 0.5, mpp_source)
    with transactions.writing() as session:
        row = Slide(workspace_id=DEFAULT_WORKSPACE, filename="s", file=str(file), state=state, reason=reason,
                    sha256="0" * 64, info=info.to_dict(), created_at=0.0, updated_at=0.0)  # fmt: skip
        session.add(row)
        session.flush()
        if path.is_absolute() and path.is_file():
            row.info = {**row.info, "stamp": opening.stamp(path)}
    folder = storage.folder(row.id)
    folder.mkdir(parents=True)
    for name in derived:
        (folder / name).write_bytes(b"derived")
    return row.id


@pytest.fixture
def move(own_database, monkeypatch):
    """Returns a function that saves the instance and loads it into an empty one, and gives the backup's index."""

    def save_and_load():
        folder, new = own_database / "backup", own_database / "new"
        backup.save(folder)
        transactions.get_engine().dispose()
        monkeypatch.setenv("QUARTERTURN_DATA", str(new))
        get_settings.cache_clear()
        transactions.get_engine.cache_clear()
        migrate()
        with transactions.writing() as session:
            for table in reversed(TABLES):
                session.execute(text(f'DELETE FROM "{table.name}"'))
        return restore.load(folder)

    return save_and_load


def state_of(slide_id):
    with transactions.reading() as session:
        return session.get_one(Slide, slide_id).state


def inspections():
    """(slide id, payload) of every open inspection."""
    with transactions.reading() as session:
        return [(row.slide_id, row.payload) for row in session.query(Work).where(Work.kind == "inspect")]


def test_a_slide_by_reference_keeps_its_tile_index_and_thumbnail(move, imported):
    slide_id = slide(imported)
    move()
    assert {path.name for path in storage.folder(slide_id).iterdir()} == set(DERIVED)
    assert (state_of(slide_id), inspections()) == ("ready", [])


@pytest.mark.parametrize("missing", DERIVED)
def test_a_slide_without_derived_files_is_inspected_again(move, imported, missing):
    slide_id = slide(imported, mpp_source="user", derived=[name for name in DERIVED if name != missing])
    assert move()["missing"] == [], "files that can be derived again are not reported as missing"
    assert (state_of(slide_id), inspections()) == ("inspecting", [(slide_id, {"mpp": 0.5})])


def test_a_slide_by_reference_whose_file_has_another_date_is_inspected_again(move, imported):
    slide_id = slide(imported)
    os.utime(imported, (1, 1))
    move()
    assert inspections() == [(slide_id, {})], "the worker compares its sha256"


def test_a_zip_by_reference_is_unpacked_again_by_an_inspection(move, imported):
    """The index has offsets into the unpacked file; applied to the zip they would return arbitrary bytes as a tile."""
    imported.write_bytes(zipped({"slide.tiff": b"x"}))
    slide_id = slide(imported)
    (storage.folder(slide_id) / storage.PARTS).mkdir()
    move()
    assert not (storage.folder(slide_id) / storage.TILE_INDEX).exists()
    assert inspections() == [(slide_id, {})]


def test_a_slide_whose_file_comes_back_later_may_be_inspected_then(move, imported):
    slide_id = slide(imported)
    away = imported.with_name("away.svs")
    shutil.move(imported, away)
    move()
    assert (state_of(slide_id), inspections()) == ("ready", []), "nothing can be derived from a file that is away"
    shutil.copy(away, imported)
    with transactions.writing() as session:
        inspection.inspect_again(session, session.get_one(Slide, slide_id))
    assert inspections() == [(slide_id, {})]


def test_an_inspection_that_is_up_to_date_is_refused(move, imported):
    slide_id = slide(imported)
    with transactions.writing() as session, pytest.raises(Conflict):
        inspection.inspect_again(session, session.get_one(Slide, slide_id))


def test_only_expected_files_are_reported_missing(move):
    slide("slides/a/slide.svs", state="rejected", reason={"code": "unreadable"})
    stored = slide("slides/b/slide.svs", state="rejected", reason={"code": NOT_INSPECTED})
    slide("slides/c/slide.svs")
    assert sorted(move()["missing"]) == ["slides/b/slide.svs", "slides/c/slide.svs"]
    assert state_of(stored) == "rejected"
