"""OpenSlide's own reasons, as the user reads them: whole but for paths; unsupported is not damaged."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from many_files import mrxs, vms
from slides import tissue, write_svs

from core.errors import SlideUnreadable, SlideUnsupported
from core.reader.client import Reader
from core.reader.redaction import paths_of_slide, without_paths

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


@pytest.mark.parametrize("compression", ["webp", "jpeg2000", "lzma"])
def test_a_compression_that_is_not_read_is_called_unsupported(compression, folder):
    path = folder / "case.tiff"
    tifffile.imwrite(path, tissue(300, 400), tile=(256, 256), compression=compression, photometric="rgb")
    error = refusal(path, SlideUnsupported)
    assert error.code == "unsupported"
    assert error.detail.startswith("OpenSlide cannot read this slide: Unsupported TIFF compression: ")
    assert "damaged" not in error.detail


def test_what_is_no_slide_is_unsupported(folder):
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
def test_paths_go_and_reasons_stay(message, expected):
    assert without_paths(message, paths_of_slide(Path("/data/Jane Doe/case 7.mrxs"))) == expected
