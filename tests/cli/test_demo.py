"""The demo of `make run` without network access: a synthetic slide, uploaded and analysed like any other."""

import os
import subprocess
import sys

import pytest
from servers import KEY, PATIENCE, ROOT

pytestmark = pytest.mark.services


def demo(service, folder):
    offline = {"PIP_NO_INDEX": "1", "QUARTERTURN_URL": service.url, "QUARTERTURN_KEY": KEY}
    return subprocess.run(
        [sys.executable, "-m", "cli.demo", str(folder)],
        cwd=ROOT, env={**os.environ, **offline}, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip


@pytest.mark.parametrize("service", ["embedded"], indirect=True)  # as `make run` starts it
def test_demo_uses_a_synthetic_slide_when_offline(service, client, tmp_path):
    first = demo(service, tmp_path)
    assert first.returncode == 0, first.stderr
    assert "a synthetic slide, since the real one could not be fetched" in first.stdout
    assert "Analysing" in first.stderr, "progress is shown"
    assert "research use only" in first.stdout.lower()
    (slide,) = client.call("GET", "/api/v1/slides", params={"query": "synthetic.tiff"}).json()["slides"]
    (analysis,) = client.call("GET", f"/api/v1/slides/{slide['id']}/analyses").json()
    codes = [note["code"] for note in analysis["results"]["scope_notes"]]
    assert "organ" in codes, "a painted slide is outside the network's scope"
    again = demo(service, tmp_path)
    assert again.returncode == 0
    assert "here from an earlier start" in again.stdout
    assert len(client.call("GET", f"/api/v1/slides/{slide['id']}/analyses").json()) == 1
