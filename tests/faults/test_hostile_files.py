"""Damaged and hostile files: a reader answers or gives a reason, and its client goes on."""

import os
import time

import numpy as np
import pytest
from dicom_files import dicom_series
from slides import leading_to_itself, tissue, write_pyramid, write_svs

from core.errors import ReaderFault, SlideRejected
from core.pixels.levels import Source
from core.reader.client import Reader
from faults.mutants import mutants

pytestmark = pytest.mark.slow
COUNT = int(os.environ.get("QUARTERTURN_MUTANTS", "24"))  # of each kind; `make faults` tries 500
SECONDS, MEMORY = 20.0, 3 << 30
REASONS = {
    "not-a-slide", "unreadable", "reader-crashed", "reader-timeout", "too-much-memory", "truncated", "empty-claim",
    "too-large-a-read", "unsupported",
}  # fmt: skip


def small_slides(tmp_path):
    picture = np.full((60, 90, 3), 200, np.uint8)
    tiff = write_pyramid(tmp_path / "whole.tiff", tissue(300, 400), 0.5, (2,))
    svs = write_svs(tmp_path / "whole.svs", tissue(300, 400), 0.5, picture, picture, "x = y")
    (dicom,) = dicom_series({"VOLUME": tissue(300, 400)}, 0.5)
    return {"tiff": tiff.read_bytes(), "svs": svs.read_bytes(), "dicom": dicom}


def open_and_read(path):
    """Inspects and reads a slide as a worker does; returns the reason's code, or None."""
    began = time.monotonic()
    try:
        with Reader(path, SECONDS, MEMORY, [path.parent]) as reader:  # as of an uploaded slide
            reader.call("inspect")
            reader.region(Source(0, 1, 1, 1), 0, 0, 200, 200)
    except (ReaderFault, SlideRejected) as error:
        assert error.detail
        assert error.action
        assert "Traceback" not in error.detail
        return error.code
    finally:
        assert time.monotonic() - began < 2 * SECONDS + 60, "a process may take long to start on a busy machine"
    return None


@pytest.mark.timeout(300 + 4 * COUNT)
@pytest.mark.parametrize("kind", ["tiff", "svs", "dicom"])
def test_mutants_are_read_or_refused(kind, tmp_path):
    content = small_slides(tmp_path)[kind]
    path, outcomes = tmp_path / f"mutant.{kind.replace('dicom', 'dcm')}", {}
    for damaged in mutants(content, seed=26, count=COUNT):
        path.write_bytes(damaged)
        code = open_and_read(path)
        outcomes[code] = outcomes.get(code, 0) + 1
    print(kind, outcomes)
    assert sum(outcomes.values()) == COUNT
    assert outcomes.keys() - {None} <= REASONS, outcomes
    assert len(outcomes) > 1, "some are refused, or the mutants are too kind"


@pytest.mark.parametrize("kind", ["tiff", "svs"])
def test_truncated_files_are_refused(kind, tmp_path):
    """In `make faults` at every kilobyte."""
    content, path = small_slides(tmp_path)[kind], tmp_path / f"short.{kind}"
    every = range(0, len(content) - 1, 1024 if os.environ.get("QUARTERTURN_FAULTS") == "all" else 8 * 1024)
    for length in [*every, 1, 8, 100]:
        path.write_bytes(content[:length])
        code = open_and_read(path)
        assert code in REASONS or (kind == "svs" and code is None), length


def test_cyclic_tiff_directory_is_rejected(tmp_path):
    path = tmp_path / "loop.tiff"
    path.write_bytes(leading_to_itself(small_slides(tmp_path)["tiff"]))
    assert open_and_read(path) in (None, *REASONS), "OpenSlide may read the first level and stop there"
