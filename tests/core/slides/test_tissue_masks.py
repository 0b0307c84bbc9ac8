"""Inspections: a tissue mask that an earlier version made can be made again, but not under an analysis."""

import numpy as np
import pytest

from core.analyses import states
from core.database import transactions
from core.database.analyses import Analysis
from core.database.record import DEFAULT_WORKSPACE
from core.database.slides import Slide
from core.errors import Conflict
from core.pixels.levels import Level, SlideInfo
from core.pixels.tissue import MASK_VERSION, pack, unpack
from core.slides import inspection, storage

pytestmark = pytest.mark.services


def inspected(mask_version, tissue=b"\1"):
    """A ready slide with all that its inspection derives; its mask was made by rules of `mask_version`."""
    info = SlideInfo("x", 500, 500, [Level(500, 500, 1.0, 1.0)], 0.5, 0.5, "file", mask_version=mask_version)
    with transactions.writing() as session:
        row = Slide(workspace_id=DEFAULT_WORKSPACE, filename="s", file="", state="ready", sha256="0" * 64,
                    info=info.to_dict(), tissue=tissue, created_at=0.0, updated_at=0.0)  # fmt: skip
        session.add(row)
        session.flush()
        row.file = f"slides/{row.id}/slide.svs"
    folder = storage.folder(row.id)
    folder.mkdir(parents=True)
    for name in ("slide.svs", storage.TILE_INDEX, storage.THUMBNAIL):
        (folder / name).write_bytes(b"derived")
    return row.id


def inspect_again(slide_id):
    with transactions.writing() as session:
        return inspection.inspect_again(session, session.get_one(Slide, slide_id)).kind


def test_an_older_mask_can_be_made_again(own_database):
    assert inspect_again(inspected(MASK_VERSION - 1)) == "inspect"


@pytest.mark.parametrize("fields", [{"mask_version": MASK_VERSION}, {"mask_version": 1, "tissue": None}])
def test_a_current_mask_is_kept(own_database, fields):
    with pytest.raises(Conflict, match="did not fail"):
        inspect_again(inspected(**fields))


@pytest.mark.parametrize(("state", "possible"), [("queued", False), ("running", False), ("succeeded", True)])
def test_a_mask_does_not_change_under_an_analysis(own_database, state, possible):
    slide_id = inspected(MASK_VERSION - 1)
    with transactions.writing() as session:
        session.add(Analysis(workspace_id=DEFAULT_WORKSPACE, slide_id=slide_id, model="m", settings={}, state=state,
                             created_by="p", created_at=0.0))  # fmt: skip
    if possible:
        assert inspect_again(slide_id) == "inspect"
    else:
        with pytest.raises(Conflict, match="being analysed"):
            inspect_again(slide_id)


def test_info_stored_before_masks_had_versions_is_read():
    info = SlideInfo("x", 5, 5, [Level(5, 5, 1.0, 1.0)], 0.5, 0.5, "file").to_dict()
    del info["mask_version"]
    assert SlideInfo.from_dict(info).mask_version == 1


def analysis(slide_id, state, mask_version):
    with transactions.writing() as session:
        row = Analysis(workspace_id=DEFAULT_WORKSPACE, slide_id=slide_id, model="m", state=state, created_by="p",
                       settings={"mask_version": mask_version}, created_at=0.0)  # fmt: skip
        session.add(row)
        session.flush()
        return row.id


@pytest.mark.parametrize(("version", "possible"), [(MASK_VERSION, True), (MASK_VERSION - 1, False)])
def test_an_analysis_is_not_retried_with_another_mask(own_database, version, possible):
    """Its bands cover the tissue of the mask that it was requested with."""
    analysis_id = analysis(inspected(MASK_VERSION), "cancelled", version)
    with transactions.writing() as session:
        if possible:
            assert states.retry(session, analysis_id).state == "queued"
        else:
            with pytest.raises(Conflict, match="made again"):
                states.retry(session, analysis_id)


def accept(slide_id, mask):
    """Ends an inspection whose mask is `mask`, by the rules of today."""
    with transactions.writing() as session:
        row = session.get_one(Slide, slide_id)
        info = SlideInfo.from_dict({**row.info, "mask_version": MASK_VERSION})
        inspection.accept(session, row, info, row.sha256, mask)
        return row.tissue, row.info["mask_version"]


@pytest.mark.parametrize("state", ["running", "succeeded"])
def test_an_inspection_after_a_restore_keeps_the_mask_of_a_running_analysis(own_database, state):
    slide_id = inspected(MASK_VERSION - 1)
    analysis(slide_id, state, MASK_VERSION - 1)
    (storage.folder(slide_id) / storage.TILE_INDEX).unlink()
    assert inspect_again(slide_id) == "inspect", "what a restore lacks is derived again in any case"
    stored = (b"\1", MASK_VERSION - 1) if state == "running" else (b"\0", MASK_VERSION)
    assert accept(slide_id, b"\0") == stored


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (200, 300)])
def test_a_mask_is_stored_compressed_and_read_in_either_form(shape):
    kinds = np.random.default_rng(0).integers(0, 4, shape, dtype=np.uint8)
    np.testing.assert_array_equal(unpack(pack(kinds), shape), kinds)
    np.testing.assert_array_equal(unpack(kinds.tobytes(), shape), kinds)
    assert len(pack(np.ones((2000, 2000), np.uint8))) < 40_000
