"""Which file a reader opens: one answer for the API, the workers, the inspection and a restore."""

import errno
import os
import shutil
import threading
from pathlib import Path

import pytest
from many_files import mrxs, zipped
from slides import tissue

from api.tiles import open_files
from api.tiles.open_files import SlideFiles
from core.database.slides import Slide
from core.errors import Gone, StorageFault, Unavailable
from core.pixels.levels import Level, SlideInfo
from core.settings import get_settings
from core.slides import archives, opening, storage
from worker import readers

PIXELS = tissue(512, 768)


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """The data folder."""
    monkeypatch.setenv("QUARTERTURN_DATA", str(tmp_path / "data"))
    get_settings.cache_clear()
    yield tmp_path / "data"
    readers.close_readers()
    monkeypatch.undo()
    get_settings.cache_clear()


@pytest.fixture
def zip_by_reference(tmp_path):
    path = tmp_path / "import" / "case.zip"
    path.parent.mkdir()
    path.write_bytes(zipped(mrxs(PIXELS, 0.5)))
    return inspected(path)


def inspected(path, slide_id="a" * 32):
    info = SlideInfo("x", 768, 512, [Level(768, 512, 1.0, 1.0)], 0.5, 0.5, "file", stamp=opening.stamp(path))
    return Slide(id=slide_id, file=str(path), info=info.to_dict(), state="ready")


def test_api_and_worker_open_the_same_file_of_a_zip_whose_parts_are_missing(zip_by_reference):
    """As after a restore, which brings back no slide by reference."""
    slide, files = zip_by_reference, SlideFiles()
    for first in ("api", "worker"):
        shutil.rmtree(storage.folder(slide.id), ignore_errors=True)
        answers = {}
        for door in (first, {"api": "worker", "worker": "api"}[first]):
            if door == "worker":
                answers[door] = readers.reader_of(slide).call("inspect")[0]["info"]
                readers.close_readers()
            else:
                with files.reader(opening.slide_file(slide)) as reader:
                    answers[door] = reader.call("inspect")[0]["info"]
                files.drop(opening.reader_path(slide.id, slide.file))
        assert answers["api"] == answers["worker"]
        assert answers["api"]["vendor"] == "mirax"
    files.close()


def test_a_slide_file_has_what_a_reader_needs(zip_by_reference, tmp_path):
    parts = storage.folder(zip_by_reference.id) / "parts"
    file = opening.slide_file(zip_by_reference)
    assert (file.path, file.readable) == (parts / "slide.mrxs", (parts,))
    assert file.stamp == opening.stamp(file.path)
    svs = tmp_path / "import" / "alone.svs"
    svs.write_bytes(b"II*\0")
    assert opening.slide_file(inspected(svs, "b" * 32)) == opening.SlideFile(
        svs, (svs, svs.with_suffix("")), opening.stamp(svs)
    )


def test_missing_and_changed_files_are_refused_alike(zip_by_reference, tmp_path):
    path = tmp_path / "import" / "case.zip"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(Gone, match="changed"):
        opening.slide_file(zip_by_reference)
    path.unlink()
    for ask in (opening.slide_file, readers.reader_of):
        with pytest.raises(Gone, match="No such file"):
            ask(zip_by_reference)
    never_stamped = Slide(id="c" * 32, file="slides/c/slide.svs", info={})
    with pytest.raises(Gone, match="No such file"):
        opening.slide_file(never_stamped)


FAULTS = [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.EACCES, errno.ENOMEM]


@pytest.mark.parametrize("number", FAULTS)
@pytest.mark.parametrize("ask", [opening.slide_file, opening.require_unaltered, opening.needs_unpacking])
def test_a_file_that_cannot_be_read_now_is_not_gone(number, ask, zip_by_reference, monkeypatch, caplog):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "stat", fail)
    monkeypatch.setattr(archives, "is_archive", fail)
    with pytest.raises(StorageFault, match=os.strerror(number)):
        ask(zip_by_reference)
    assert [record.message for record in caplog.records] == ["slide file not readable"]


@pytest.mark.parametrize("number", FAULTS)
@pytest.mark.parametrize("broken", ["index", "file"])
def test_an_open_that_fails_is_not_gone(number, broken, tmp_path, monkeypatch, caplog):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    index = tmp_path / "tiles.npz"
    index.write_bytes(b"")
    monkeypatch.setattr(open_files.native_tiles, "restore", lambda _: {})
    if broken == "index":
        monkeypatch.setattr(Path, "read_bytes", fail)
    else:
        monkeypatch.setattr(open_files, "FileIO", fail)
    with pytest.raises(StorageFault, match=os.strerror(number)):
        SlideFiles().open(tmp_path / "slide.svs", index, "v")
    assert [record.message for record in caplog.records] == ["slide file not readable"]


def test_one_thread_unpacks_and_others_are_refused(zip_by_reference, monkeypatch):
    begun, go_on, unpack = threading.Event(), threading.Event(), archives.unpack

    def slow(*arguments):
        begun.set()
        assert go_on.wait(20)
        return unpack(*arguments)

    monkeypatch.setattr(archives, "unpack", slow)
    first = threading.Thread(target=opening.slide_file, args=(zip_by_reference,))
    first.start()
    assert begun.wait(20)
    with pytest.raises(Unavailable, match="unpacked"):
        opening.slide_file(zip_by_reference)
    go_on.set()
    first.join()
    assert opening.slide_file(zip_by_reference).path.name == "slide.mrxs"
