"""Transient faults: acknowledged work waits for their end, and no slide is rejected for a fault of the machine."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from heat_maps import logits
from processes import children, is_alive
from servers import PATCH, PATIENCE, Service, until, until_ended
from service_engines import ENGINES, settings_of
from slides import tissue, write_pyramid

from cli.client import TUS, Client

pytestmark = pytest.mark.services


@pytest.fixture
def start(tmp_path, request):
    """Starts a service with these settings, of the embedded engine unless they say another, and one worker."""

    def started(data=tmp_path / "data", worker=True, **settings):
        running = Service(data, settings)
        request.addfinalizer(running.stop)
        running.start_api()
        if worker:
            running.start_worker()
            running.wait_for_worker()
        return running

    return started


def test_slide_survives_a_missing_shared_folder(start, tmp_path):
    service = start(QUARTERTURN_RETRY_SECONDS="0.3", QUARTERTURN_MAX_ATTEMPTS="3")
    client = service.client()
    path = write_pyramid(tmp_path / "slide.tiff", tissue(400, 500), 0.5)
    hidden = tmp_path / "hidden"
    created = client.call("POST", "/api/v1/uploads", headers={**TUS, "Upload-Length": str(path.stat().st_size)})
    service.kill("worker")
    client.call(
        "PATCH", created.headers["Location"], headers={**PATCH, "Upload-Offset": "0"}, content=path.read_bytes()
    )
    lost = created.headers["Location"].rsplit("/", 1)[-1]
    file = next((service.data / "slides" / lost).glob("slide*"))
    file.rename(hidden)
    service.start_worker()
    place = f"/api/v1/slides/{lost}"
    slide = client.poll(place, lambda s: s["state"] == "rejected", PATIENCE)
    assert slide["reason"]["code"] == "inspect-failed"
    hidden.rename(file)
    client.call("POST", f"{place}/inspect")
    assert client.wait_for_slide(lost)["state"] == "ready"
    assert client.http.post(f"{place}/inspect").status_code == 409


def test_failed_analysis_can_be_retried_after_the_slide_is_restored(start, tmp_path):
    """Half of the file's tiles are overwritten and then restored: the analysis fails with the reason, then succeeds."""
    service = start()
    client = service.client()
    pixels = tissue(1100, 1100, [(300, 420, 250)])
    tifffile.imwrite(
        tmp_path / "slide.tiff", pixels, tile=(256, 256), compression="jpeg", photometric="rgb",
        resolution=(2e4, 2e4), resolutionunit="CENTIMETER",
    )  # fmt: skip
    slide = client.wait_for_slide(client.upload(tmp_path / "slide.tiff", {}))
    good = client.analyse(slide["id"])
    assert good["state"] == "succeeded"
    file = next((service.data / "slides" / slide["id"]).glob("slide*"))
    content = file.read_bytes()
    with tifffile.TiffFile(file) as tiff:
        places = list(zip(tiff.pages[0].dataoffsets, tiff.pages[0].databytecounts, strict=True))
    with file.open("r+b") as damaged:
        for offset, count in places[:13]:
            damaged.seek(offset)
            damaged.write(b"\xff" * count)
    service.kill("worker")  # its reader remembers the tiles that it decoded
    service.start_worker()
    bad = client.analyse(slide["id"])
    assert (bad["state"], bad["reason"]["code"]) == ("failed", "unreadable")
    file.write_bytes(content)
    client.call("POST", f"/api/v1/analyses/{bad['id']}/retry")
    ended = until_ended(client, f"/api/v1/analyses/{bad['id']}")
    assert ended["state"] == "succeeded"
    np.testing.assert_array_equal(logits(client, bad["id"]), logits(client, good["id"]))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount the small disk that this fills")
def test_full_disk_loses_no_acknowledged_byte(start, tmp_path, engine, request):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("this system permits no mount of a tmpfs")
    try:
        servers = settings_of(engine, tmp_path / "servers", request.addfinalizer)
        service = start(disk / "data", worker=False, QUARTERTURN_MIN_FREE_BYTES="100000", **servers)
        fill_up_and_go_on(service, disk)
        service.stop()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def fill_up_and_go_on(service, disk):
    client, content = service.client(), os.urandom(30 << 20)
    headers = {**TUS, "Upload-Length": str(len(content)), "Upload-Metadata": "filename eC5zdnM="}
    location = client.call("POST", "/api/v1/uploads", headers=headers).headers["Location"]
    half = 10 << 20
    client.call("PATCH", location, headers={**PATCH, "Upload-Offset": "0"}, content=content[:half])
    with (disk / "others").open("wb") as others:
        others.truncate(0)
        os.posix_fallocate(others.fileno(), 0, os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize - (5 << 20))
    answer = client.http.patch(location, headers={**PATCH, "Upload-Offset": str(half)}, content=content[half:])
    assert answer.status_code == 507, answer.text
    assert answer.json()["type"] == "urn:quarterturn:problem:no-space"
    refused = client.http.post("/api/v1/uploads", headers=headers)
    assert refused.status_code == 507, "a new one is not begun"
    (disk / "others").unlink()
    offset = int(client.call("HEAD", location, headers=TUS).headers["Upload-Offset"])
    assert half <= offset < len(content)
    rest = {**PATCH, "Upload-Offset": str(offset)}
    slide_id = client.call("PATCH", location, headers=rest, content=content[offset:]).headers["Location-Slide"][-32:]
    (file,) = (service.data / "slides" / slide_id).iterdir()
    assert file.read_bytes() == content


def test_more_slides_than_readers_can_be_viewed(start, tmp_path):
    """More slides than the API keeps readers: every decoded tile arrives."""
    service = start()
    client = service.client()
    path = write_pyramid(tmp_path / "slide.tiff", tissue(700, 900), 0.5)
    slides = [client.wait_for_slide(client.upload(path, {}))["id"] for _ in range(7)]
    tiles = [f"/api/v1/slides/{s}/tiles/0/{col}_{row}.jpeg" for col in range(3) for row in range(2) for s in slides]
    with ThreadPoolExecutor(7) as pool:
        answers = list(pool.map(lambda tile: Client(service.url, client_key(client)).http.get(tile), tiles))
    assert {answer.status_code for answer in answers} == {200}
    children = len(readers_of(service))
    assert children <= 5, "few idle readers stay open"
    for slide in slides:
        client.call("DELETE", f"/api/v1/slides/{slide}")
    until(lambda: not readers_of(service))


def client_key(client):
    return client.http.headers["authorization"].split()[1]


def readers_of(service):
    """Reader children of the API."""
    return children(service.processes["api"].pid, "core.reader.child")


def test_readers_end_when_the_api_is_killed(start, tmp_path):
    service = start()
    client = service.client()
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "s.tiff", tissue(700, 900), 0.5), {}))
    client.call("GET", f"/api/v1/slides/{slide['id']}/tiles/0/1_1.jpeg")
    readers = readers_of(service)
    assert readers
    service.processes["api"].kill()
    until(lambda: not any(is_alive(pid) for pid in readers))
