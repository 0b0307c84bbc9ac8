"""The running service against its own OpenAPI document, by schemathesis with every check on: 0 failures.

Values that the document allows are taken, all others refused; nothing is a fault of the server; every
answer is one that the document tells of. `make fuzz` tries many more.
"""

import os
import subprocess
import sys
from pathlib import Path

import httpx2 as httpx
import pytest
from servers import KEY, Service
from slides import tissue, write_pyramid

from cli.client import TUS, Client

pytestmark = pytest.mark.services
PHASES = os.environ.get("QUARTERTURN_FUZZ_PHASES", "coverage")
EXAMPLES = os.environ.get("QUARTERTURN_FUZZ_EXAMPLES", "10")
CONTRACT = Path(__file__).resolve().parent
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


def objects(client, tmp_path):
    """One object of each kind, so that calls refer to existing ids."""
    path = write_pyramid(tmp_path / "slide.tiff", tissue(300, 400), 0.5)
    slide, other = (client.wait_for_slide(client.upload(path, {}))["id"] for _ in range(2))
    client.call("PUT", f"/api/v1/slides/{slide}/annotation", content=b'{"positive": [], "negative": []}')
    analysis = client.analyse(slide, rotation_check=False)["id"]
    request = {"mode": "strict", "analyses": [analysis]}
    evaluation = client.call("POST", "/api/v1/evaluations", json=request).json()["id"]
    upload = client.call("POST", "/api/v1/uploads", headers={**TUS, "Upload-Length": "1000000000"}).headers["Location"]
    person = client.call("POST", "/api/v1/people", json={"login": "mia", "password": "four mild turnips"}).json()["id"]
    key = client.call("POST", "/api/v1/keys", json={"name": "to be revoked"}).json()["id"]
    return {
        "SLIDE_ID": slide, "OTHER_SLIDE_ID": other, "ANALYSIS_ID": analysis, "EVALUATION_ID": evaluation,
        "UPLOAD_ID": upload[-32:], "PERSON_ID": person, "KEY_ID": key,
    }  # fmt: skip


@pytest.fixture
def running(tmp_path):
    service = Service(tmp_path / "data", {"QUARTERTURN_REQUESTS_PER_SECOND": "0"})
    try:
        service.start_all()
        yield service
    finally:
        service.stop()


def test_every_call_conforms_to_the_openapi_document(running, tmp_path):
    ids = objects(running.client(), tmp_path)
    command = [
        Path(sys.executable).with_name("st"), "--config-file", CONTRACT / "schemathesis.toml", "run",
        f"{running.url}/openapi.json", "-H", f"Authorization: Bearer {KEY}", "--checks", "all",
        "--phases", PHASES, "--max-examples", EXAMPLES, "--continue-on-failure", "--no-color", "--seed", "26",
    ]  # fmt: skip
    environment = {**os.environ, **ids, "PYTHONPATH": str(CONTRACT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-3000:]
    calls = sum(len(METHODS & set(path)) for path in httpx.get(f"{running.url}/openapi.json").json()["paths"].values())
    assert calls > 50
    assert f"Selected: {calls}/{calls}" in done.stdout, "all calls of the document"
    assert Client(running.url, KEY).call("GET", "/api/v1/session").json()["role"] == "admin", "the service goes on"
