"""Tiles come from memory at once, from disk after a wait, or rendered, and only to those permitted."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import pytest
import tifffile
from processes import has_open
from servers import until
from slides import tissue

from api.tiles.open_files import SlideFiles
from cli.client import Client
from core.errors import Gone
from core.pixels.native_tiles import dump, native_levels
from core.slides import opening
from core.slides.opening import SlideFile

pytestmark = pytest.mark.services


def write(path):
    tifffile.imwrite(path, tissue(1100, 1300), tile=(256, 256), compression="jpeg", photometric="rgb",
                     resolution=(2e4, 2e4), resolutionunit="CENTIMETER")  # fmt: skip
    return path


@pytest.fixture
def opened(tmp_path):
    path = write(tmp_path / "slide.tiff")
    with path.open("rb") as file:
        (tmp_path / "tiles.npz").write_bytes(dump(dict(enumerate(native_levels(file)))))
    files = SlideFiles()
    yield files, path, files.open(path, tmp_path / "tiles.npz", "v1")
    files.close()


def test_cached_tile_is_read_at_once(opened):
    _, path, file = opened
    tile = file.tile(0, 1, 1)
    assert tile[:2] == b"\xff\xd8"
    assert file.tile_in_memory(0, 1, 1) == tile, "just read, so in memory"
    assert file.tile_in_memory(0, 5, 4) is file.tile(0, 5, 4) is None, "cut off by the edge"
    with path.open("rb+") as writing:
        os.fsync(writing.fileno())
        os.posix_fadvise(writing.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    assert file.tile_in_memory(0, 1, 1) in (None, tile), "never a part, whether or not the page was given back"
    assert file.tile(0, 1, 1) == tile


def test_dropped_or_replaced_files_are_reopened(opened, tmp_path):
    files, path, file = opened
    assert files.cached(path, "v1") is file
    assert files.cached(path, "v2") is None, "another content"
    files.drop(path)
    assert files.cached(path, "v1") is None
    with pytest.raises(Gone):
        file.tile(0, 0, 0)
    assert file.tile_in_memory(0, 0, 0) is None
    again = files.open(path, tmp_path / "tiles.npz", "v1")
    assert again is not file
    assert again.tile(0, 0, 0)


def descriptors_of(path):
    """How many descriptors of this process are of the file at the path, which may be deleted."""
    return sum(str(path) in str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink())


def test_a_deleted_slides_file_is_closed_whatever_refers_to_it(opened):
    """The traceback of a refused request does, in a cycle."""
    files, path, file = opened
    assert descriptors_of(path) == 1
    files.drop(path)
    assert descriptors_of(path) == 0
    assert file is not None


def test_files_that_the_cache_dropped_are_closed_with_their_slide(opened, tmp_path, monkeypatch):
    """By age or for others; and of two threads that open a file at once, the slower one's is closed."""
    files, path, file = opened
    with files._files_lock:
        files._files.clear()
    again = files.open(path, tmp_path / "tiles.npz", "v1")
    assert again is not file
    monkeypatch.setattr(files, "cached", lambda *_: None)
    assert files.open(path, tmp_path / "tiles.npz", "v1") is again, "the slower thread gets the faster one's file"
    assert descriptors_of(path) == 2
    path.unlink()
    files.sweep()
    assert descriptors_of(path) == 0


def test_a_file_is_closed_after_the_reads_that_are_under_way(opened, monkeypatch):
    """A read of a closed descriptor could return bytes of another file."""
    files, path, file = opened
    expected, reading, go_on = file.tile(0, 1, 1), threading.Event(), threading.Event()

    def read(*arguments):
        reading.set()
        go_on.wait()
        return pread(*arguments)

    pread = os.pread
    monkeypatch.setattr(os, "pread", read)
    with ThreadPoolExecutor(1) as pool:
        tile = pool.submit(file.tile, 0, 1, 1)
        reading.wait()
        files.drop(path)
        before = descriptors_of(path)
        go_on.set()
        assert tile.result() == expected
    assert (before, descriptors_of(path)) == (1, 0)


def test_sweep_closes_what_another_process_deleted(opened, tmp_path):
    """A worker deletes by retention, and tells no API."""
    files, path, _ = opened
    with files.reader(SlideFile(path, (path,), opening.stamp(path))) as reader:
        files.sweep()
        assert files.cached(path, "v1"), "the slide is there"
        path.unlink()
    files.sweep()
    assert (descriptors_of(path), reader.alive) == (0, False)


def test_tiles_are_repeatable_and_end_with_their_slide(service, tmp_path):
    client = service.client()
    slide = client.wait_for_slide(client.upload(write(tmp_path / "slide.tiff"), {}))
    tiles = client.call("GET", f"/api/v1/slides/{slide['id']}/tiles").json()
    base = f"/api/v1/slides/{slide['id']}/tiles"
    decoded_level = len(tiles["levels"]) - 1
    for place in ("0/1_1", "0/5_4", f"{decoded_level}/0_0"):
        first, again = (client.http.get(f"{base}/{place}.jpeg") for _ in range(2))
        assert first.status_code == again.status_code == 200
        assert first.content == again.content
        same = client.http.get(f"{base}/{place}.jpeg", headers={"If-None-Match": first.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")
    for beyond in ("0/6_0", "0/0_9999999", f"{decoded_level + 1}/0_0", "99/0_0"):
        assert client.http.get(f"{base}/{beyond}.jpeg").status_code == 404
    assert httpx.get(f"{service.url}{base}/0/1_1.jpeg").status_code == 401
    client.call("DELETE", f"/api/v1/slides/{slide['id']}")
    until(lambda: client.http.get(f"{base}/0/1_1.jpeg").status_code == 404)
    until(lambda: not has_open(service, "api", slide["id"]))


def test_the_api_closes_the_file_of_a_slide_that_another_process_deleted(service, tmp_path):
    client = service.client()
    slide = client.wait_for_slide(client.upload(write(tmp_path / "slide.tiff"), {}))
    for place in ("0/1_1", "0/5_4"):
        assert client.http.get(f"/api/v1/slides/{slide['id']}/tiles/{place}.jpeg").status_code == 200
    assert has_open(service, "api", slide["id"])
    shutil.rmtree(service.data / "slides" / slide["id"])
    until(lambda: not has_open(service, "api", slide["id"]))


def test_revoked_key_gets_no_tiles(client, service, tmp_path):
    slide = client.wait_for_slide(client.upload(write(tmp_path / "slide.tiff"), {}))
    key = client.call("POST", "/api/v1/keys", json={"name": "screen", "role": "viewer"}).json()
    screen, tile = Client(service.url, key["key"]), f"/api/v1/slides/{slide['id']}/tiles/0/1_1.jpeg"
    assert screen.http.get(tile).status_code == 200
    client.call("DELETE", f"/api/v1/keys/{key['id']}")
    until(lambda: screen.http.get(tile).status_code == 401)


def test_a_slide_that_is_inspected_again_keeps_its_tiles(client, service, tmp_path):
    """A viewer that has it open would show holes otherwise."""
    slide = client.wait_for_slide(client.upload(write(tmp_path / "slide.tiff"), {}))
    place = f"/api/v1/slides/{slide['id']}"
    service.change("UPDATE slides SET state = 'inspecting' WHERE id = :id", id=slide["id"])
    assert client.http.post(f"{place}/analyses", json={}).json()["type"].endswith("slide-not-ready")
    for address in (f"{place}/tiles", f"{place}.dzi", f"{place}/tiles/0/1_1.jpeg", f"{place}/tiles/0/5_4.jpeg"):
        assert client.http.get(address).status_code == 200
    service.change("UPDATE slides SET state = 'ready' WHERE id = :id", id=slide["id"])
