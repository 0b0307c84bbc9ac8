"""kill -9 and SIGSTOP: nothing acknowledged is lost, and the result is bit-identical."""

import base64
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from faults.proxy import Proxy
from heat_maps import NETWORK, planes
from processes import has_open, stop_inside_claim
from servers import KEY, PATCH, PATIENCE, until, until_ended
from service_engines import ON_PRODUCTION
from slides import tissue, write_pyramid

from cli.client import TUS

pytestmark = pytest.mark.services
EVERY_WRITE = "SELECT id, state, token, attempts, worker, done_at FROM work WHERE analysis_id = :id ORDER BY id"


def test_analysis_survives_a_killed_worker(own, tmp_path):
    """One worker is killed with its children, another is stopped and continued: the bits are the same."""
    client = own.client()
    own.start_worker("first")
    own.wait_for_worker()
    path = write_pyramid(tmp_path / "slide.tiff", tissue(1100, 1400, [(400, 700, 351)]), 0.5)
    slide = client.wait_for_slide(client.upload(path, {}))
    calm = client.analyse(slide["id"], rotation_check=False, model=NETWORK)
    assert calm["state"] == "succeeded"
    analysis = client.call("POST", f"/api/v1/slides/{slide['id']}/analyses", json={"model": NETWORK}).json()
    place = f"/api/v1/analyses/{analysis['id']}"
    until(lambda: client.call("GET", place).json()["progress"]["done"] >= 1, every=0.02)
    stop_inside_claim(own, "first")
    own.kill("first")
    own.start_worker("second")
    ended = until_ended(client, place)
    assert ended["state"] == "succeeded"
    np.testing.assert_array_equal(planes(client, analysis["id"]), planes(client, calm["id"]))
    (again,) = re.findall(r"^quarterturn_work_reclaims (\S+)$", client.call("GET", "/metrics").text, re.MULTILINE)
    assert float(again) >= 1, "the metrics count the reclaim"


def test_upload_resumes_after_server_kill(own, tmp_path):
    client, content = own.client(), os.urandom(9 << 20)
    name = base64.b64encode(b"slide.svs").decode()
    headers = {**TUS, "Upload-Length": str(len(content)), "Upload-Metadata": f"filename {name}"}
    location = client.call("POST", "/api/v1/uploads", headers=headers).headers["Location"]
    half = 5 << 20
    client.call("PATCH", location, headers={**PATCH, "Upload-Offset": "0"}, content=content[:half])
    own.kill("api")
    own.start_api()
    offset = int(client.call("HEAD", location, headers=TUS).headers["Upload-Offset"])
    assert offset == half, "acknowledged bytes are stored"
    answer = client.call("PATCH", location, headers={**PATCH, "Upload-Offset": str(offset)}, content=content[offset:])
    slide_id = answer.headers["Location-Slide"].rsplit("/", 1)[-1]
    (file,) = (own.data / "slides" / slide_id).iterdir()
    assert hashlib.sha256(file.read_bytes()).hexdigest() == hashlib.sha256(content).hexdigest()


SENDER = """
import socket, sys, time
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
connection.sendall(sys.stdin.buffer.read())
time.sleep(600)
"""


@pytest.mark.parametrize("cut", ["server", "client", "network"])
def test_interrupted_patch_keeps_its_durable_bytes(own, cut):
    """kill -9 of the API or of the client, or a reset, while the body is coming: HEAD, go on, the same sha256."""
    client, content, some = own.client(), os.urandom(24 << 20), 18 << 20
    headers = {**TUS, "Upload-Length": str(len(content)), "Upload-Metadata": "filename eC5zdnM="}
    location = client.call("POST", "/api/v1/uploads", headers=headers).headers["Location"]
    arrived = 'SELECT "offset" FROM uploads WHERE id = :id'
    head_and_part = head_of_patch(own.port, location, 0, len(content)) + content[:some]
    with subprocess.Popen([sys.executable, "-c", SENDER, str(own.port)], stdin=subprocess.PIPE) as sender:
        proxied = Proxy(own.port) if cut == "network" else None
        if proxied:
            sender.kill()
            connection = socket.create_connection(("127.0.0.1", proxied.port))
            connection.sendall(head_and_part)
        else:
            sender.stdin.write(head_and_part)
            sender.stdin.close()
        until(lambda: own.rows(arrived, id=location[-32:])[0][0] >= 16 << 20)
        if cut == "server":
            own.kill("api")
            own.start_api()
        elif proxied:
            assert proxied.cut() == 1
            proxied.close()
        sender.kill()
    offset = int(client.call("HEAD", location, headers=TUS).headers["Upload-Offset"])
    assert 16 << 20 <= offset <= some
    assert own.rows(arrived, id=location[-32:]) == [(offset,)]
    client.call("PATCH", location, headers={**PATCH, "Upload-Offset": str(offset)}, content=content[offset:])
    (file,) = (own.data / "slides" / location[-32:]).iterdir()
    assert hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(content).digest()


def test_head_ends_a_hanging_patch(own):
    client = own.client()
    headers = {**TUS, "Upload-Length": "1000"}
    location = client.call("POST", "/api/v1/uploads", headers=headers).headers["Location"]
    with hang(own.port, location, 0, b"x" * 400, 1000):
        until(lambda: has_open(own, "api", location[-32:]))
        assert client.call("HEAD", location, headers=TUS).headers["Upload-Offset"] == "400"
    client.call("PATCH", location, headers={**PATCH, "Upload-Offset": "400"}, content=b"y" * 600)


def test_foreign_workspace_cannot_end_a_patch(own):
    """A visitor of another workspace gets 404, and the upload continues undisturbed."""
    client = own.client()
    location = client.call("POST", "/api/v1/uploads", headers={**TUS, "Upload-Length": "1000"}).headers["Location"]
    with hang(own.port, location, 0, b"x" * 400, 1000) as sending:
        until(lambda: has_open(own, "api", location[-32:]))
        own.change("INSERT INTO workspaces (id, name) VALUES ('other', 'Other')")
        own.change("UPDATE uploads SET workspace_id = 'other'")
        for method, headers in (("HEAD", TUS), ("DELETE", TUS), ("PATCH", {**PATCH, "Upload-Offset": "0"})):
            assert client.http.request(method, location, headers=headers).status_code == 404
        own.change("UPDATE uploads SET workspace_id = 'default'")
        sending.sendall(b"y" * 600)
        sending.settimeout(PATIENCE)
        assert b" 204 " in sending.recv(100)


def test_concurrent_upload_requests_lose_no_byte(own):
    """In each round a PATCH hangs while HEADs and PATCHes compete for the upload; the offset stays correct."""
    client, content = own.client(), os.urandom(3_000_000)
    headers = {**TUS, "Upload-Length": str(len(content)), "Upload-Metadata": "filename eC5zdnM="}
    location = client.call("POST", "/api/v1/uploads", headers=headers).headers["Location"]
    offset, hanging = 0, []

    def again(_):
        position = int(client.call("HEAD", location, headers=TUS).headers["Upload-Offset"])
        piece = content[position : position + 50_000]
        client.http.patch(location, headers={**PATCH, "Upload-Offset": str(position)}, content=piece)  # may be too late

    with ThreadPoolExecutor(4) as pool:
        for _ in range(6):
            hanging.append(hang(own.port, location, offset, content[offset : offset + 100_000], len(content) - offset))
            list(pool.map(again, range(4)))
            offset = int(client.call("HEAD", location, headers=TUS).headers["Upload-Offset"])
    answer = client.call("PATCH", location, headers={**PATCH, "Upload-Offset": str(offset)}, content=content[offset:])
    slide_id = answer.headers["Location-Slide"].rsplit("/", 1)[-1]
    (file,) = (own.data / "slides" / slide_id).iterdir()
    assert file.read_bytes() == content
    for connection in hanging:
        connection.close()


@ON_PRODUCTION
def test_silent_patch_is_ended_and_its_bytes_are_safe(own):
    own.environment |= {"QUARTERTURN_UPLOAD_SILENT_SECONDS": "0.5"}
    own.kill("api")
    own.start_api()
    client = own.client()
    location = client.call("POST", "/api/v1/uploads", headers={**TUS, "Upload-Length": "1000"}).headers["Location"]
    with hang(own.port, location, 0, b"x" * 400, 1000) as connection:
        connection.settimeout(PATIENCE)
        assert b"upload-stalled" in b"".join(iter(lambda: connection.recv(4096), b""))
    assert client.call("HEAD", location, headers=TUS).headers["Upload-Offset"] == "400"


def hang(port, location, offset, piece, promised):
    """A PATCH that sends part of its declared body and then nothing."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(head_of_patch(port, location, offset, promised) + piece)
    return connection


def head_of_patch(port, location, offset, promised):
    fields = {**PATCH, "Upload-Offset": str(offset), "Content-Length": str(promised)}
    lines = [f"PATCH {location} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Authorization: Bearer {KEY}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def test_upload_is_finished_when_its_last_answer_was_lost(own):
    """The API dies after it stored all bytes and before it answers: the next HEAD, or a worker, finishes the upload."""
    client = own.client()
    uploads = []
    for _ in range(2):
        location = client.call("POST", "/api/v1/uploads", headers={**TUS, "Upload-Length": "10"}).headers["Location"]
        client.call("PATCH", location, headers={**PATCH, "Upload-Offset": "0"}, content=b"12345")
        uploads.append(location)
    for location in uploads:  # as far as the commit of the last bytes
        (file,) = (own.data / "slides" / location[-32:]).iterdir()
        file.write_bytes(b"1234567890")
        own.change('UPDATE uploads SET "offset" = 10 WHERE id = :id', id=location[-32:])
    answer = client.call("HEAD", uploads[0], headers=TUS)
    assert answer.headers["Location-Slide"].endswith(uploads[0][-32:])
    own.start_worker()
    for location in uploads:
        slide = client.poll(f"/api/v1/slides/{location[-32:]}", lambda s: s["state"] == "rejected", PATIENCE)
        assert slide["reason"]["code"] == "not-a-slide", "it was inspected"
        principals = own.rows(
            "SELECT who FROM audit WHERE action = 'upload.finish' AND subject = :id", id=location[-32:]
        )
        assert principals == [("administrator",)], "one audit row, whichever process finished the upload"


@ON_PRODUCTION
def test_slide_can_be_deleted_during_analysis_and_viewing(own, tmp_path):
    client = own.client()
    own.start_worker()
    own.wait_for_worker()
    path = write_pyramid(tmp_path / "slide.tiff", tissue(1300, 1600), 0.5)
    slide = client.wait_for_slide(client.upload(path, {}))
    place = f"/api/v1/slides/{slide['id']}"
    analysis_id = client.call("POST", f"{place}/analyses", json={}).json()["id"]
    claimed = "SELECT id FROM work WHERE analysis_id = :id AND state = 'claimed'"
    done = "SELECT id FROM work WHERE analysis_id = :id AND state = 'done'"
    with ThreadPoolExecutor(1) as pool:
        until(lambda: own.rows(done, id=analysis_id) and own.rows(claimed, id=analysis_id), every=0.01)
        statuses = pool.submit(lambda: {client.http.get(f"{place}_files/9/0_0.jpeg").status_code for _ in range(300)})
        client.call("DELETE", place)
        assert statuses.result() <= {200, 404}
    assert client.http.get(f"/api/v1/analyses/{analysis_id}").status_code == 404
    until(lambda: not own.rows("SELECT id FROM work WHERE state IN ('open', 'claimed')"))
    until(lambda: not (own.data / "slides" / slide["id"]).exists())
    again = client.wait_for_slide(client.upload(path, {}))
    assert client.analyse(again["id"], rotation_check=False)["state"] == "succeeded", "the worker goes on"


@ON_PRODUCTION
def test_worker_stopped_past_its_lease_writes_nothing(own, tmp_path):
    client = own.client()
    own.start_worker("zombie")
    own.wait_for_worker()
    path = write_pyramid(tmp_path / "slide.tiff", tissue(1100, 1400), 0.5)
    slide = client.wait_for_slide(client.upload(path, {}))
    analysis = client.call("POST", f"/api/v1/slides/{slide['id']}/analyses", json={"model": NETWORK}).json()
    place = f"/api/v1/analyses/{analysis['id']}"
    stop_inside_claim(own, "zombie")
    own.start_worker("other")
    ended = until_ended(client, place)
    assert ended["state"] == "succeeded"
    before, values = own.rows(EVERY_WRITE, id=analysis["id"]), planes(client, analysis["id"])
    own.kill("other")
    os.killpg(own.processes["zombie"].pid, signal.SIGCONT)
    client.wait_for_slide(client.upload(path, {}))  # the woken process inspects it after what it was stopped in
    assert own.rows(EVERY_WRITE, id=analysis["id"]) == before, "not a row was touched, not even with the same bits"
    np.testing.assert_array_equal(planes(client, analysis["id"]), values)
