"""tus 1.0.0: every wrong request gets a clear 4xx and moves no offset."""

import base64
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from servers import KEY, PATCH, until

from cli.client import TUS, Client

pytestmark = pytest.mark.services


@pytest.fixture
def location(client):
    """An upload of ten bytes."""
    return client.call("POST", "/api/v1/uploads", headers={**TUS, "Upload-Length": "10"}).headers["Location"]


def offset_of(client, location):
    return int(client.call("HEAD", location, headers=TUS).headers["Upload-Offset"])


@pytest.mark.parametrize("length", ["-5", "0", "x", "", "1.5", str(2**62), "٣"])
def test_upload_rejects_wrong_lengths(client, length):
    answer = client.http.post("/api/v1/uploads", headers={**TUS, "Upload-Length": length.encode()})
    assert answer.status_code in (413, 422)
    assert answer.json()["type"].startswith("urn:quarterturn:problem:")
    assert answer.json()["detail"]


@pytest.mark.parametrize("offset", ["1", "-1", "x", "11", str(2**62)])
def test_upload_rejects_wrong_offsets(client, location, offset):
    answer = client.http.patch(location, headers={**PATCH, "Upload-Offset": offset}, content=b"12345")
    assert answer.status_code in (409, 422)
    assert offset_of(client, location) == 0


def test_upload_requires_its_headers(client, location):
    assert client.http.post("/api/v1/uploads", headers=TUS).status_code == 422
    assert client.http.patch(location, headers=PATCH, content=b"12345").status_code == 422
    assert offset_of(client, location) == 0


def test_upload_rejects_overlong_metadata(client):
    name = base64.b64encode(b"n" * 4096).decode()
    headers = {**TUS, "Upload-Length": "5", "Upload-Metadata": f"filename {name}"}
    answer = client.http.post("/api/v1/uploads", headers=headers)
    assert answer.status_code == 422
    assert "4096 characters" in answer.json()["detail"]


def test_upload_rejects_more_bytes_than_declared(client, location):
    answer = client.http.patch(location, headers={**PATCH, "Upload-Offset": "0"}, content=b"x" * 11)
    assert answer.status_code == 413
    assert offset_of(client, location) <= 10


@pytest.mark.parametrize("metadata", ["filename !!!", "sha256 YWJj", "identifiers W10=", "filename /w=="])
def test_upload_rejects_wrong_metadata(client, metadata):
    headers = {**TUS, "Upload-Length": "5", "Upload-Metadata": metadata}
    assert client.http.post("/api/v1/uploads", headers=headers).status_code == 422


def test_upload_verifies_checksums(client, location):
    def send(algorithm, digest):
        checksum = f"{algorithm} {base64.b64encode(digest).decode()}"
        headers = {**PATCH, "Upload-Offset": "0", "Upload-Checksum": checksum}
        return client.http.patch(location, headers=headers, content=b"12345").status_code

    assert send("crc9", b"1") == 422
    assert send("sha1", hashlib.sha1(b"54321").digest()) == 460
    assert offset_of(client, location) == 0
    assert send("sha1", hashlib.sha1(b"12345").digest()) == 204
    assert offset_of(client, location) == 5


def test_upload_reports_capabilities_and_version(client, location):
    answer = client.http.options("/api/v1/uploads")
    assert answer.headers["Tus-Extension"] == "creation,termination,checksum,expiration"
    answer = client.http.head(location)
    assert (answer.status_code, answer.headers["Tus-Version"]) == (412, "1.0.0")
    assert client.http.patch(location, headers={**TUS, "Upload-Offset": "0"}, content=b"1").status_code == 415


def test_upload_can_be_terminated(client, location):
    client.call("DELETE", location, headers=TUS)
    assert client.http.head(location, headers=TUS).status_code == 410
    assert client.http.head("/api/v1/uploads/" + "0" * 32, headers=TUS).status_code == 404


def test_a_viewer_ends_no_upload(client, service):
    """HEAD ends a PATCH in flight, whose client may be gone; a visitor who may not write cannot end one."""
    key = client.call("POST", "/api/v1/keys", json={"name": "looks only", "role": "viewer"}).json()["key"]
    viewer, go_on, size = Client(service.url, key), threading.Event(), 2 << 20
    length = {**TUS, "Upload-Length": str(size + 5)}
    location = client.call("POST", "/api/v1/uploads", headers=length).headers["Location"]

    (slide,) = service.rows("SELECT slide_id FROM uploads WHERE id = :id", id=location[-32:])

    def slowly():
        yield bytes(size)
        assert go_on.wait(120)
        yield b"67890"

    def write():
        headers = {**PATCH, "Upload-Offset": "0"}
        return Client(service.url, KEY).http.patch(location, headers=headers, content=slowly())

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        folder = service.data / "slides" / slide[0]
        until(lambda: sum(path.stat().st_size for path in folder.glob("slide*")) >= 1 << 20)
        for _ in range(3):
            assert viewer.http.head(location, headers=TUS).status_code == 200
        go_on.set()
        answer = writing.result(120)
    assert answer.status_code == 204, answer.text
    assert answer.headers["Upload-Offset"] == str(size + 5)
    answer = viewer.http.head(location, headers=TUS)
    assert (answer.headers["Upload-Offset"], "Location-Slide" in answer.headers) == (str(size + 5), True)


def digest_of(content):
    """Upload-Metadata that names the digest of a file."""
    return "sha256 " + base64.b64encode(hashlib.sha256(content).hexdigest().encode()).decode()


def test_upload_does_not_resume_with_another_file(client):
    """Of the same name and size, told by its digest; what has arrived of the first file stays, and completes it."""
    first, other = b"0123456789", b"9876543210"
    created = {**TUS, "Upload-Length": "10", "Upload-Metadata": digest_of(first)}
    location = client.call("POST", "/api/v1/uploads", headers=created).headers["Location"]
    begun = client.http.patch(location, headers={**PATCH, "Upload-Offset": "0"}, content=first[:4])
    assert begun.status_code == 204
    resumed = {**PATCH, "Upload-Offset": "4", "Upload-Metadata": digest_of(other)}
    refused = client.http.patch(location, headers=resumed, content=other[4:])
    problem = refused.json()
    assert (refused.status_code, problem["type"]) == (409, "urn:quarterturn:problem:other-file")
    assert hashlib.sha256(first).hexdigest() in problem["detail"]
    assert hashlib.sha256(other).hexdigest() in problem["detail"]
    assert client.http.head(location, headers={**TUS, "Upload-Metadata": digest_of(other)}).status_code == 409
    assert offset_of(client, location) == 4
    assert (
        client.http.head(location, headers={**TUS, "Upload-Metadata": digest_of(first)}).headers["Upload-Offset"] == "4"
    )
    last = client.http.patch(location, headers={**resumed, "Upload-Metadata": digest_of(first)}, content=first[4:])
    assert last.status_code == 204
    assert "Location-Slide" in last.headers


def test_upload_rejects_wrong_metadata_on_resuming(client, location):
    headers = {**PATCH, "Upload-Offset": "0", "Upload-Metadata": "sha256 YWJj"}
    assert client.http.patch(location, headers=headers, content=b"12345").status_code == 422
    assert offset_of(client, location) == 0
