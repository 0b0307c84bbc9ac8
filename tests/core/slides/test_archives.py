"""Zipped slides of several files: unpacking is atomic, and writes nothing but the slide."""

import errno
import io
import os
import random
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openslide
import pydicom
import pytest
from dicom_files import dicom_series
from hypothesis import given
from hypothesis import strategies as st
from many_files import entry, hostile, mrxs, overlapping, vms, zipped
from slides import tissue, write_pyramid

from core.errors import ArchiveRefused, NoSpace
from core.settings import get_settings
from core.slides import archives, opening, storage

PIXELS = tissue(512, 768)


def unpacked(content, folder):
    (folder / "slide.zip").write_bytes(content)
    assert archives.is_archive(folder / "slide.zip")
    return archives.unpack(folder / "slide.zip", folder, lambda: None)


def contents(path):
    with openslide.OpenSlide(path) as slide:
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5)
        return np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"), int)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("above", ["", "a folder/of the lab/"])
@pytest.mark.parametrize("make", [mrxs, vms])
def test_unpacked_slide_has_the_zipped_pixels(make, above, method, tmp_path):
    files = {f"{above}{name}": content for name, content in make(PIXELS, 0.5).items()}
    path = unpacked(zipped({**files, "__MACOSX/x": b"", f"{above}.DS_Store": b""}, method), tmp_path)
    assert path == tmp_path / "parts" / f"slide.{make.__name__}"
    assert np.abs(contents(path) - PIXELS).mean() < 5
    assert [name.name for name in tmp_path.iterdir() if name.name.startswith("parts")] == ["parts"]


def test_companions_may_share_the_stored_slide_name(tmp_path):
    """Hamamatsu names a slide's pictures after the slide, which may itself be called "slide"."""
    named = {"slide.vms": "case 7.vms", "slide.jpg": "an image(1,0).jpg", "a map.jpg": "a map.jpg"}
    files = vms(PIXELS, 0.5, image="slide.jpg")
    path = unpacked(zipped({new: files[old] for new, old in named.items()}), tmp_path)
    assert path.name == "slide.vms"
    assert np.abs(contents(path) - PIXELS).mean() < 5


@pytest.mark.parametrize("names", [["漢" * 100 + ".dat"], ["ß.dat", "ss.dat"], ["é.dat", "e\u0301.dat"]])
def test_ambiguous_or_invalid_zip_names_are_rejected(names, tmp_path):
    files = {**mrxs(PIXELS, 0.5, name="x"), **{f"x/{name}": b"1" for name in names}}
    with pytest.raises(ArchiveRefused) as refused:
        unpacked(zipped(files), tmp_path)
    assert refused.value.code in ("zip-kinds", "zip-names")


def test_damaged_zip_reason_contains_no_content(tmp_path):
    content = zipped({"DOE^JOHN.svs": b"x" * 100}, zipfile.ZIP_STORED).replace(b"DOE^JOHN", b"DOE^JANE", 1)
    with pytest.raises(ArchiveRefused) as refused:
        unpacked(content, tmp_path)
    assert "DOE" not in refused.value.detail + refused.value.action


@pytest.mark.parametrize("name", ["case 7/DOE^JOHN", "case 7/x.DOE", "DOE^JOHN/Data0001.dat", "case 7/DOE^JOHN.dat"])
def test_rejected_zip_entry_is_named(name, tmp_path):
    with pytest.raises(ArchiveRefused) as refused:
        unpacked(zipped({**mrxs(PIXELS, 0.5), name: b"x"}), tmp_path)
    assert refused.value.code == "zip-kinds"
    assert "number 4" in refused.value.detail
    assert f"“{name.split('/')[-1]}”" in refused.value.detail
    assert "/" not in refused.value.detail, "folders of the sender are not repeated"


def test_concurrent_unpacking_leaves_one_complete_slide(tmp_path):
    (tmp_path / "slide.zip").write_bytes(zipped(mrxs(PIXELS, 0.5), zipfile.ZIP_STORED))
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(archives.unpack, tmp_path / "slide.zip", tmp_path, lambda: None) for _ in range(8)]
    assert {one.result() for one in futures} == {tmp_path / "parts" / "slide.mrxs"}
    assert np.abs(contents(tmp_path / "parts" / "slide.mrxs") - PIXELS).mean() < 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts", "slide.zip"]


def test_single_file_slides_may_be_zipped(tmp_path):
    content = write_pyramid(tmp_path / "one.tiff", PIXELS, 0.5).read_bytes()
    assert np.array_equal(contents(unpacked(zipped({"lab/One Slide.TIFF": content}), tmp_path)), PIXELS)


def with_series(content, study, series):
    dataset = pydicom.dcmread(io.BytesIO(content))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_dicom_series_is_recognised_by_content(tmp_path, test_data):
    content = (test_data / "slides" / "cytomine_wsi.dcm").read_bytes()
    (label,) = dicom_series({"LABEL": PIXELS}, 0.5)
    header = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
    label = with_series(label, header.StudyInstanceUID, header.SeriesInstanceUID)
    path = unpacked(zipped({"1/IM0001": label, "1/IM0002.dcm": content, "DICOMDIR": label}), tmp_path)
    assert path.name == "slide.dcm"
    assert openslide.OpenSlide(path).dimensions[0] > 100
    assert sorted(part.name for part in path.parent.iterdir()) == ["part0001.dcm", "slide.dcm"]


HOSTILE = [pytest.param(*rest, id=name) for name, *rest in hostile() if rest[1] != "not-a-slide"]  # the reader's part


@pytest.mark.parametrize(("content", "code"), HOSTILE)
def test_hostile_zips_are_refused_and_leave_nothing(content, code, tmp_path):
    folder = tmp_path / "slides" / "mine"
    folder.mkdir(parents=True)
    with pytest.raises(ArchiveRefused) as refused:
        unpacked(content, folder)
    assert refused.value.code == code
    assert refused.value.detail
    assert refused.value.action
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["slide.zip"]
    assert [path.name for path in folder.iterdir()] == ["slide.zip"]


def test_oversized_zip_directory_is_not_read(tmp_path):
    """Its size is a claim: a directory of 100 MB costs no memory."""
    path = tmp_path / "slide.zip"
    path.write_bytes(overlapping(1_000)[:-22])
    size = path.stat().st_size
    with path.open("ab") as file:
        file.truncate(size + (100 << 20))
        file.seek(0, os.SEEK_END)
        file.write(b"PK\x05\x06" + bytes(4) + b"\xff\xff" * 2 + (100 << 20).to_bytes(4, "little") + bytes(4) + b"\0\0")
    with pytest.raises(ArchiveRefused, match="more than"):
        archives.unpack(path, tmp_path, lambda: None)


def test_interrupted_unpacking_starts_over(tmp_path):
    content, steps = zipped(mrxs(PIXELS, 0.5)), iter(range(2))

    def killed():
        if next(steps, None) is None:
            raise KeyboardInterrupt

    (tmp_path / "slide.zip").write_bytes(content)
    (tmp_path / "parts.left").mkdir()
    (tmp_path / "parts.left" / "slide.mrxs").write_bytes(b"half")
    os.utime(tmp_path / "parts.left", (1, 1))
    (tmp_path / "parts.now").mkdir()
    with pytest.raises(KeyboardInterrupt):
        archives.unpack(tmp_path / "slide.zip", tmp_path, killed)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["parts.now", "slide.zip"], (
        "the folder of an old, killed process is removed; a recent one may be in use"
    )
    first = archives.unpack(tmp_path / "slide.zip", tmp_path, lambda: None)
    assert archives.unpack(tmp_path / "slide.zip", tmp_path, killed) == first, "an unpacked slide is not unpacked again"


def test_full_disk_while_unpacking_does_not_reject_the_slide(tmp_path, monkeypatch):
    monkeypatch.setenv("QUARTERTURN_MIN_FREE_BYTES", str(1 << 60))
    monkeypatch.setenv("QUARTERTURN_DATA", str(tmp_path / "data"))
    get_settings.cache_clear()
    try:
        with pytest.raises(NoSpace):
            unpacked(zipped(mrxs(PIXELS, 0.5)), tmp_path)
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()


odd = st.text("abz./\\:_- \0é..", min_size=1, max_size=12).filter(lambda name: name[0] != "\0")
fitting = st.tuples(st.sampled_from(["", "a/", "A/", "../a/", "a/b/", "./"]), st.text("ab.é ", max_size=4),
                    st.sampled_from([".ini", ".dat", ".jpg", ".opt", ".DAT"])).map("".join)  # fmt: skip
names = odd | fitting


FILES = st.lists(st.tuples(names, st.binary(max_size=40)), max_size=5)


@given(files=FILES, main=st.sampled_from(["", "a.mrxs", "b.vms"]))
def test_unpacking_writes_nothing_outside_its_folder(files, main, tmp_path_factory):
    root = tmp_path_factory.mktemp("any")
    folder = root / "mine"
    folder.mkdir()
    listed = [(entry(name), content) for name, content in files] + ([(main, b"")] if main else [])
    random.Random(1).shuffle(listed)
    (folder / "slide.zip").write_bytes(zipped(listed))
    try:
        path = archives.unpack(folder / "slide.zip", folder, lambda: None)
    except ArchiveRefused:
        assert [path.name for path in root.rglob("*")] == ["mine", "slide.zip"]
    else:
        assert path.parent == folder / "parts"
        allowed = {folder, folder / "slide.zip", folder / "parts", folder / "parts" / "slide"}
        assert all(path in allowed or path.parent in allowed for path in root.rglob("*"))
        assert not any(path.is_symlink() for path in root.rglob("*"))


def test_zip_name_with_leading_zero_byte_is_rejected(tmp_path):
    content = zipped({"Qlide.svs": b"x"}).replace(b"Qlide", b"\0lide")
    with pytest.raises(ArchiveRefused, match="name"):
        unpacked(content, tmp_path)


@pytest.mark.parametrize("which", [mrxs, vms])
def test_corrupted_zips_are_unpacked_or_rejected(which, tmp_path):
    """Seeded damage: each zip is unpacked or rejected with a reason."""
    content = zipped(which(tissue(256, 256), 0.5))
    for number in range(60):
        rng, folder = random.Random(number), tmp_path / str(number)
        folder.mkdir()
        damaged = bytearray(content)
        for _ in range(rng.choice((1, 3, 9))):
            place = rng.randrange(len(damaged)) if rng.random() < 0.3 else len(damaged) - 1 - rng.randrange(600)
            damaged[place] = rng.randrange(256)
        (folder / "slide.zip").write_bytes(damaged)
        try:
            archives.unpack(folder / "slide.zip", folder, lambda: None)
        except ArchiveRefused as refused:
            assert refused.detail
            assert [path.name for path in folder.iterdir()] == ["slide.zip"]


def test_where_a_slide_is_opened(tmp_path, monkeypatch):
    monkeypatch.setenv("QUARTERTURN_DATA", str(tmp_path))
    get_settings.cache_clear()
    try:
        folder = storage.folder("a1")
        folder.mkdir(parents=True)
        assert opening.reader_path("a1", "slides/a1/slide.zip") == Path(tmp_path / "slides/a1/slide.zip")
        unpacked(zipped(mrxs(PIXELS, 0.5)), folder)
        assert opening.reader_path("a1", "slides/a1/slide.zip") == folder / "parts" / "slide.mrxs"
        assert opening.readable(folder / "parts" / "slide.mrxs") == [folder / "parts"]
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()


@pytest.mark.parametrize("full", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("during", ["fsync", "rename"])
def test_a_disk_that_becomes_full_is_no_fault_of_the_storage(during, full, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(full, os.strerror(full))

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "rename": (Path, "rename")}[during], fail)
    with pytest.raises(NoSpace, match="became full"):
        unpacked(zipped({"slide.tiff": b"x"}), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["slide.zip"]
