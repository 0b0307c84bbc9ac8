"""OpenSlide's reasons as the user reads them: complete but without paths, and unsupported is distinct from damaged."""

from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from many_files import mrxs, vms
from slides import tissue, write_svs

from core.errors import ReaderOutOfMemory, SlideUnreadable, SlideUnsupported
from core.reader.client import Reader
from core.reader.reasons import from_openslide
from core.reader.redaction import MOST_CHARACTERS, paths_of_slide, without_paths

MEMORY = 2 << 30


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "Müller, Jörg 1950 – Fall"
    folder.mkdir()
    return folder


def put(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def refusal(path, kind):
    with Reader(path, 60, MEMORY, [path.parent]) as reader, pytest.raises(kind) as raised:
        reader.call("inspect")
    assert not any(part in raised.value.detail for part in ("/tmp", "Jörg", "1950", "Fall", "case"))
    return raised.value


@pytest.mark.parametrize(("compression", "name"), [
    ("webp", "WebP (TIFF compression 50001)"),
    ("jpeg2000", "JPEG 2000 (TIFF compression 34712)"),
    ("lzma", "LZMA (TIFF compression 34925)"),
])  # fmt: skip
def test_a_compression_that_is_not_read_is_called_unsupported(compression, name, folder):
    path = folder / "case.tiff"
    tifffile.imwrite(path, tissue(300, 400), tile=(256, 256), compression=compression, photometric="rgb")
    error = refusal(path, SlideUnsupported)
    assert error.code == "unsupported"
    assert error.detail == f"unsupported compression {name}"
    assert "damaged" not in error.detail


def test_a_file_that_is_no_slide_is_unsupported(folder):
    path = folder / "case.svs"
    path.write_bytes(b"this is no slide\n" * 100)
    assert refusal(path, SlideUnsupported).code == "not-a-slide"


def test_a_tiff_that_was_cut_off_is_damaged(folder):
    picture = np.full((60, 90, 3), 200, np.uint8)
    path = write_svs(folder / "case.svs", tissue(300, 400), 0.5, picture, picture, "x = y")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 4])
    error = refusal(path, SlideUnreadable)
    assert error.code == "not-a-slide"
    assert error.detail.startswith("the file is a TIFF that was cut off or is damaged")


@pytest.mark.parametrize("missing", ["Index.dat", "Data0000.dat"])
def test_a_missing_companion_is_named(missing, folder):
    put(folder, mrxs(tissue(512, 768), 0.5))
    (folder / "case 7" / missing).unlink()
    error = refusal(folder / "case 7.mrxs", SlideUnreadable)
    assert error.detail.endswith(f"Couldn't open …/{missing}: No such file or directory")
    assert error.detail.startswith("the file is damaged or incomplete: ")


def test_a_missing_companion_with_a_name_of_the_senders_is_not(folder):
    put(folder, vms(tissue(512, 768), 0.5))
    (folder / "a map.jpg").unlink()
    detail = refusal(folder / "case 7.vms", SlideUnreadable).detail
    assert detail == "the file is damaged or incomplete: Couldn't open …: No such file or directory"


PATHS = [
    ("Reading /data/Jane Doe/case 7.mrxs: JPEG/JFIF tile 3 / 4", "Reading …: JPEG/JFIF tile 3 / 4"),
    ("I/O error reading file /data/Jane Doe/case 7/Slidedat.ini", "I/O error reading file …/Slidedat.ini"),
    ("Short read of file /data/Jane Doe/a: b.jpg: 3281 < 3427", "Short read of file …: b.jpg: 3281 < 3427"),
    ("Couldn't open /etc/passwd, or C:\\Users\\jane", "Couldn't open …, or …"),
    ('File "/usr/lib/a folder/child.py", line 3', 'File "…", line 3'),
    ("/data/Jane Doe/case 7.mrxs", "…"),
    ("Unsupported TIFF compression: 34712", "Unsupported TIFF compression: 34712"),
]


@pytest.mark.parametrize(("message", "expected"), PATHS)
def test_paths_are_removed_from_reasons(message, expected):
    assert without_paths(message, paths_of_slide(Path("/data/Jane Doe/case 7.mrxs"))) == expected


COMPANIONS = [
    ("/import/x/1 Jane Doe.dcm: bad", "…: bad"),
    ("Couldn't open /import/x/1 Jane Doe.dcm", "Couldn't open …"),
    ("/import/x2/Jane Doe.dcm: bad", "…: bad"),
    ("Reading /import/x/1/Jane/Slidedat.ini: bad", "Reading …/Slidedat.ini: bad"),
]


@pytest.mark.parametrize(("message", "expected"), COMPANIONS)
def test_a_file_whose_name_begins_with_a_known_path_leaves_no_rest_of_its_name(message, expected):
    assert without_paths(message, paths_of_slide(Path("/import/x/1.dcm"))) == expected


def reason(message):
    return from_openslide(openslide.OpenSlideError(message), Path("/data/case 7.mrxs"), "the file is damaged")


ALLOCATIONS = [
    "Couldn't allocate 99 bytes for zstd decompression",
    "Insufficient memory (case 4)",
    "Couldn't open /data/case 7.mrxs: Cannot allocate memory",
    "Not enough memory to decode tile-component",
    "Failed to allocate memory for tile buffer (3 elements of 4 bytes each)",
    "Out of memory",
]


@pytest.mark.parametrize("message", ALLOCATIONS)
def test_a_failed_allocation_is_not_called_damage(message):
    assert isinstance(reason(message), ReaderOutOfMemory)


def test_an_unknown_marker_in_a_jpeg_is_damage():
    assert isinstance(reason("Unsupported marker type 0x13"), SlideUnreadable)
    assert isinstance(reason("Unsupported JPEG process: SOF type 0xc9"), SlideUnsupported)


QUOTATIONS = ["Key file contains line “Jane ” Doe” which is not a group", 'Bad attribute "Jane "Doe" in XML']


@pytest.mark.parametrize("message", QUOTATIONS)
def test_a_reason_repeats_no_content_of_the_file(message):
    detail = reason(message).detail
    assert "Jane" not in detail
    assert "Doe" not in detail
    assert "…" in detail


def test_a_quoted_line_does_not_decide_what_the_fault_is():
    assert isinstance(reason("Key file contains line “I/O error, out of memory” which is not a group"), SlideUnreadable)


def test_a_reason_has_a_limit():
    assert len(reason("x" * 700_000).detail) <= MOST_CHARACTERS + 50


@pytest.mark.slow
def test_a_long_line_of_an_index_file_does_not_stand_in_the_reason(folder):
    put(folder, mrxs(tissue(512, 768), 0.5))
    index = folder / "case 7" / "Slidedat.ini"
    index.write_text("Jane Doe " * 80_000 + "\n" + index.read_text())
    detail = refusal(folder / "case 7.mrxs", SlideUnreadable).detail
    assert "Jane" not in detail
    assert len(detail) <= MOST_CHARACTERS + 50
