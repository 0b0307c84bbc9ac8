"""Tiles come from memory at once, from disk after a wait, or rendered, and only to those permitted."""

import os

import httpx2 as httpx
import pytest
import tifffile
from processes import has_open
from servers import until
from slides import tissue

from api.tiles.open_files import SlideFiles
from cli.client import Client
from core.pixels.native_tiles import dump, native_levels

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
    assert file.tile(0, 0, 0), "an open file stays readable"
    assert files.open(path, tmp_path / "tiles.npz", "v1") is not file


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
