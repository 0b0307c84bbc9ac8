"""The services of docker-compose.yml run from what their image copies, alone, on a real PostgreSQL and Redis."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx2 as httpx
import pytest
import yaml
from image_tree import UID, as_other_user, environment, lay_out, stages
from servers import KEY, PATIENCE, Postgres, Redis, free_port, until
from slides import tissue, write_pyramid

from cli.client import Client

pytestmark = pytest.mark.services
PASSWORD = "pass/word@with:signs"


@pytest.fixture
def folder():
    """A folder that other users may enter."""
    created = Path(tempfile.mkdtemp(prefix="quarterturn-image-"))
    created.chmod(0o755)
    yield created
    shutil.rmtree(created)


class Stack:
    """Compose without an engine: each service from its own tree, under its own user, on our own servers."""

    def __init__(self, repository, folder):
        self.repository, self.folder, self.port = repository, folder, free_port()
        self.compose = yaml.safe_load((repository / "docker-compose.yml").read_text())
        self.postgres, self.redis = Postgres(PASSWORD), Redis(folder / "redis")
        self.running = []
        data, secrets = folder / "data", folder / "secrets"
        for path in (data, secrets):
            path.mkdir()
        (secrets / "database_password").write_text(PASSWORD + "\n")
        (secrets / "admin_key").write_text(KEY + "\n")
        if os.geteuid() == 0:
            shutil.chown(data, UID, UID)
        self.changes = {
            "postgres:5432/quarterturn": f"127.0.0.1:{self.postgres.port}/postgres",
            "redis:6379": f"127.0.0.1:{self.redis.port}",
            "/run/secrets": str(secrets),
            "0.0.0.0": "127.0.0.1",
            "/data": str(data),
        }

    def command(self, service):
        """The command of the compose file, or the image's own."""
        declared = self.compose["services"][service]
        target = declared["build"]["target"]
        tree = self.folder / target
        if not tree.exists():
            lay_out(self.repository, target, tree)
        return declared.get("command", stages(self.repository / "Dockerfile")[target].command), tree

    def start(self, service, command=None):
        own, tree = self.command(service)
        with (self.folder / f"{service}.log").open("ab") as log:
            process = subprocess.Popen(
                as_other_user(command or own), cwd=tree, stdout=log, stderr=log, start_new_session=True,
                env={**environment(self.compose, service, self.changes), "QUARTERTURN_PORT": str(self.port)},
            )  # fmt: skip
        self.running.append(process)
        return process

    def is_healthy(self, service):
        """The compose file's own health check, run as it says."""
        kind, *command = self.compose["services"][service]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.start(service, command).wait(PATIENCE) == 0

    def stop(self):
        for process in self.running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.redis.stop()
        self.postgres.remove()


@pytest.fixture
def stack(repository, folder):
    created = Stack(repository, folder)
    yield created
    created.stop()


def test_the_copied_trees_serve_a_slide(stack, folder):
    assert not stack.is_healthy("api"), "no service runs yet"
    assert stack.start("migrate").wait(PATIENCE) == 0, (folder / "migrate.log").read_text()
    api, worker = stack.start("api"), stack.start("worker")
    url = f"http://127.0.0.1:{stack.port}"
    until(lambda: httpx.get(f"{url}/readyz").json()["ready"])
    client = Client(url, KEY)
    client.wait_for_worker(PATIENCE)
    assert stack.is_healthy("api")
    assert stack.is_healthy("worker")
    for process in (api, worker):
        assert all(uid != 0 for uid in uids_of(process.pid)) or os.geteuid() != 0
    path = write_pyramid(folder / "slide.tiff", tissue(600, 700, [(200, 250, 150)]), 0.5)
    slide = client.wait_for_slide(client.upload(path, {}))
    assert client.analyse(slide["id"])["state"] == "succeeded"
    for page in ("/", f"/slides/{slide['id']}", "/static/viewer/main.js", "/libraries/tus/tus.min.js", "/docs"):
        assert httpx.get(url + page).status_code == 200, page
    assert client.call("GET", f"/api/v1/slides/{slide['id']}/tiles/0/0_0.jpeg").content[:2] == b"\xff\xd8"
    stops_in_good_order(worker)
    stops_in_good_order(api)


def uids_of(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return [int(uid) for uid in status.split("Uid:")[1].split("\n")[0].split()]


def stops_in_good_order(process):
    """`docker stop`: SIGTERM to the first process, which ends its children within the grace period."""
    process.terminate()
    assert process.wait(PATIENCE) in (0, -signal.SIGTERM)


def test_the_metadata_builds_from_the_copied_files_alone(repository, folder):
    """`pip install -e .` of the image: pyproject.toml and its neighbours are enough."""
    tree = folder / "base"
    lay_out(repository, "base", tree)
    (tree / "README.md").touch()
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps", "-w", "out", "."]
    subprocess.run(build, cwd=tree, check=True, capture_output=True, timeout=PATIENCE)
    assert list((tree / "out").glob("quarterturn-*.whl"))
