"""A backup of one instance restores on another, on either engine; a damaged backup changes nothing."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from heat_maps import NETWORK, planes
from many_files import zipped
from servers import PATCH, ROOT, Service, until_ended
from service_engines import settings_of
from slides import tissue, write_pyramid
from tables import TABLES

from cli.client import TUS

pytestmark = pytest.mark.services
HALF, SENTENCE = os.urandom(500_000), "four mild turnips dancing"


def backup(service, direction, folder):
    command = [sys.executable, "-m", "admin", "backup", direction, str(folder)]
    return subprocess.run(command, cwd=ROOT, env=service.environment, capture_output=True, text=True)


@pytest.fixture
def lived_in(own, tmp_path):
    """A service with an analysed slide and half an upload: client, slide, analysis, location."""
    own.stop()
    (tmp_path / "import").mkdir()
    own.environment |= {"QUARTERTURN_IMPORT_DIR": str(tmp_path / "import")}
    own.start_api()
    client = own.client()
    own.start_worker()
    own.wait_for_worker()
    tiff = write_pyramid(tmp_path / "slide.tiff", tissue(700, 900, [(200, 300, 151)]), 0.5)
    path = tmp_path / "slide.zip"
    path.write_bytes(zipped({"slide.tiff": tiff.read_bytes()}))  # unpacked here, and again there
    slide = client.wait_for_slide(client.upload(path, {"accession": "S26-1"}))
    analysis = client.analyse(slide["id"], rotation_check=False, model=NETWORK)
    shutil.copy(tiff, tmp_path / "import" / "referred.tiff")
    referred = client.call("POST", "/api/v1/slides", json={"path": "referred.tiff"}).json()
    client.wait_for_slide(referred["id"])
    client.call("POST", "/api/v1/people", json={"login": "mia", "role": "viewer", "password": SENTENCE})
    client.call("POST", "/api/v1/keys", json={"name": "lims", "scopes": ["upload"]})
    outlines = {"positive": [{"name": "one", "vertices": [[10, 10], [200, 10], [200, 200]]}], "negative": []}
    client.call("PUT", f"/api/v1/slides/{slide['id']}/annotation", content=json.dumps(outlines).encode())
    evaluation = client.call(
        "POST", "/api/v1/evaluations", json={"mode": "strict", "analyses": [analysis["id"]]}
    ).json()
    until_ended(client, f"/api/v1/evaluations/{evaluation['id']}")
    location = client.call("POST", "/api/v1/uploads", headers={**TUS, "Upload-Length": "1000000"}).headers["Location"]
    client.call("PATCH", location, headers={**PATCH, "Upload-Offset": "0"}, content=HALF)
    return client, slide, analysis, location


@pytest.fixture
def empty(own, tmp_path, request):
    """Another instance, of the other engine."""
    engine = "embedded" if "QUARTERTURN_DATABASE_URL" in own.environment else "production"
    other = Service(tmp_path / "other", settings_of(engine, tmp_path / "servers", request.addfinalizer))
    request.addfinalizer(other.stop)
    return other


def everything(service):
    """Every row of every table that a backup contains, as Python values."""
    with service._database().connect() as connection:
        return {
            table.name: sorted(str(tuple(row)) for row in connection.execute(table.select()))
            for table in TABLES if table.name != "workers"
        }  # fmt: skip


def refuse_what_is_damaged(own, slide, empty, tmp_path):
    folder = tmp_path / "hurt"
    assert backup(own, "save", folder).returncode == 0
    again = backup(own, "save", folder)
    assert (again.returncode, "not empty" in again.stderr) == (1, True)
    mine = backup(own, "load", folder)
    assert (mine.returncode, "holds slides" in mine.stderr) == (1, True)
    (file,) = (folder / "slides" / slide["id"]).glob("slide*")
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    hurt = backup(empty, "load", folder)
    assert (hurt.returncode, "not as it was saved" in hurt.stderr) == (1, True)
    assert empty.rows("SELECT count(*) FROM slides") == [(0,)]
    table = folder / "tables" / "slides.jsonl"
    rows = table.read_bytes()
    file.write_bytes(content)
    table.write_bytes(b"")
    emptied = backup(empty, "load", folder)
    assert (emptied.returncode, "not as it was saved" in emptied.stderr) == (1, True)
    table.write_bytes(rows)
    index = json.loads((folder / "backup.json").read_text())
    index["files"]["../evil"] = index["files"].popitem()[1]
    (folder / "backup.json").write_text(json.dumps(index))
    (tmp_path / "evil").write_bytes(content)
    assert backup(empty, "load", folder).returncode == 1
    assert not (empty.data.parent / "evil").exists() or empty.data.parent == tmp_path
    (folder / "backup.json").write_text(json.dumps({**index, "files": {}}))
    empty.change("INSERT INTO principals (id, workspace_id, name, role) VALUES ('p', 'default', 'somebody', 'viewer')")
    peopled = backup(empty, "load", folder)
    assert (peopled.returncode, "people" in peopled.stderr) == (1, True)
    assert empty.rows("SELECT count(*) FROM slides") == [(0,)]
    (folder / "backup.json").unlink()
    torn = backup(empty, "load", folder)
    assert (torn.returncode, "no whole backup" in torn.stderr) == (1, True)
    empty.change("DELETE FROM principals WHERE id = 'p'")


def test_backup_load_restores_everything_and_rejects_damaged_backups(own, lived_in, empty, tmp_path):
    client, slide, analysis, location = lived_in
    before, rows = planes(client, analysis["id"]), everything(own)
    assert [name for name, records in rows.items() if not records] == ["idempotency"], "an instance in use"
    saved = backup(own, "save", tmp_path / "backup")
    assert saved.returncode == 0, saved.stderr
    refuse_what_is_damaged(own, slide, empty, tmp_path)
    own.stop()  # the disaster
    loaded = backup(empty, "load", tmp_path / "backup")
    assert loaded.returncode == 0, loaded.stderr
    assert everything(empty) == rows, "every row of every table, to the letter"
    empty.start_api()
    client = empty.client()
    other = client.call("GET", f"/api/v1/slides/{slide['id']}").json()
    assert {**other, "updated_at": 0} == {**slide, "updated_at": 0}
    assert client.call("GET", f"/api/v1/analyses/{analysis['id']}").json()["results"] == analysis["results"]
    np.testing.assert_array_equal(planes(client, analysis["id"]), before)
    slides = client.call("GET", "/api/v1/slides").json()["slides"]
    assert [one["filename"] for one in slides] == ["referred.tiff", "slide.zip"]
    for one in slides:
        assert client.call("GET", f"/api/v1/slides/{one['id']}/tiles/0/0_0.jpeg").content
        assert client.call("GET", f"/api/v1/slides/{one['id']}/thumbnail").content
    assert client.call("GET", "/api/v1/audit/check").json()["holds"]
    assert client.http.post("/api/v1/session", json={"login": "mia", "password": SENTENCE}).status_code == 201
    assert client.call("HEAD", location, headers=TUS).headers["Upload-Offset"] == str(len(HALF))
    answer = client.call("PATCH", location, headers={**PATCH, "Upload-Offset": str(len(HALF))}, content=HALF)
    assert "Location-Slide" in answer.headers
    (file,) = (empty.data / "slides" / location[-32:]).iterdir()
    assert file.read_bytes() == HALF + HALF
