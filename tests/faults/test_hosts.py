"""Three hosts, one slide: one host is disconnected, the other finishes with identical bits, then the first returns."""

import os
import subprocess
import sys
import time

import httpx2 as httpx
import numpy as np
import pytest
from heat_maps import NETWORK, planes
from servers import KEY, PATIENCE, ROOT, Postgres, Redis, Service, until
from slides import tissue, write_pyramid

from cli.client import Client
from faults.hosts import Hosts, NotPermitted, Processes

pytestmark = pytest.mark.services


@pytest.fixture(params=[Hosts, Processes])
def hosts(request):
    try:
        hosts = request.param()
    except NotPermitted as error:
        pytest.skip(f"this system permits no network namespaces: {error}")
    yield hosts
    hosts.close()


@pytest.fixture
def cluster(hosts, tmp_path, request):
    """PostgreSQL, Redis and the API on `main`; slides in a folder that all hosts share."""
    address, on = hosts.address("main"), hosts.on("main")
    postgres = Postgres(address=address, on=on)
    request.addfinalizer(postgres.remove)
    redis = Redis(tmp_path / "redis", address, on)
    request.addfinalizer(redis.stop)
    urls = {"QUARTERTURN_DATABASE_URL": postgres.url, "QUARTERTURN_BROKER_URL": redis.url}
    service = Service(tmp_path / "shared", urls, migrate_on=on)
    request.addfinalizer(service.stop)
    service.servers = {
        "QUARTERTURN_DATABASE_URL": (postgres.url, postgres.port), "QUARTERTURN_BROKER_URL": (redis.url, redis.port),
    }  # fmt: skip
    service.url_for_psql = postgres.url.replace("+psycopg", "")
    service.start("api", "api", on=on)
    socket = tmp_path / "relay"
    service.start("relay", "faults.relay", str(socket), str(service.port), on=on, PYTHONPATH=str(ROOT / "tests"))
    client = Client(service.url, KEY)
    client.http = httpx.Client(
        base_url=service.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=PATIENCE,
        transport=httpx.HTTPTransport(uds=str(socket)),
    )  # fmt: skip
    until(lambda: client.http.get("/healthz").status_code == 200)
    return service, client


def start_worker(service, hosts, name, folder):
    """Starts a worker in its own working directory."""
    (folder / name).mkdir()
    environment = hosts.settings(name, service.servers)
    service.start(name, "worker", on=hosts.on(name), cwd=folder / name, PYTHONPATH=str(ROOT), **environment)


def analyse(client, slide):
    """Requests an analysis; returns its id and the time."""
    analysis = client.call(
        "POST", f"/api/v1/slides/{slide['id']}/analyses", json={"rotation_check": False, "model": NETWORK}
    ).json()
    return analysis["id"], time.monotonic()


def hosts_of(service, hosts, analysis_id, state):
    """The hosts whose processes have bands of this analysis in this state, as the database on `main` says."""
    query = f"SELECT worker FROM work WHERE analysis_id = '{analysis_id}' AND kind = 'band' AND state = '{state}'"
    script = f"import psycopg; print(*(r[0] for r in psycopg.connect({service.url_for_psql!r}).execute({query!r})))"
    done = subprocess.run([*hosts.on("main"), sys.executable, "-c", script], capture_output=True, text=True, check=True)
    groups = {os.getpgid(int(worker.rsplit(":")[-1])) for worker in done.stdout.split()}
    return {name for name in ("left", "right") if name in service.processes and service.processes[name].pid in groups}


def ended(client, analysis_id, seconds=240):
    return client.poll(f"/api/v1/analyses/{analysis_id}", lambda a: a["state"] not in ("queued", "running"), seconds)


@pytest.mark.skipif(os.environ.get("QUARTERTURN_FAULTS") != "all", reason="a minute and a half: make faults runs it")
@pytest.mark.timeout(600)
def test_analysis_finishes_when_one_host_is_cut_off(cluster, hosts, tmp_path):
    service, client = cluster
    start_worker(service, hosts, "left", tmp_path)
    client.wait_for_worker(PATIENCE)
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "big.tiff", tissue(2600, 2600), 0.5), {}))
    alone, began = analyse(client, slide)
    assert ended(client, alone)["state"] == "succeeded"
    one_s = time.monotonic() - began
    start_worker(service, hosts, "right", tmp_path)
    until(lambda: client.http.get("/readyz").json()["workers"] == 2)
    together, began = analyse(client, slide)
    assert ended(client, together)["state"] == "succeeded"
    two_s = time.monotonic() - began
    assert hosts_of(service, hosts, together, "done") == {"left", "right"}
    cut, _ = analyse(client, slide)
    until(lambda: "right" in hosts_of(service, hosts, cut, "claimed"), every=0.02)
    hosts.pull("right")
    assert ended(client, cut)["state"] == "succeeded", "the other host did it all"
    hosts.plug("right")
    until(lambda: client.http.get("/readyz").json()["workers"] == 2)
    time.sleep(4)  # whatever the one that was away still wants to write
    expected = planes(client, alone)
    for analysis_id in (together, cut):
        np.testing.assert_array_equal(planes(client, analysis_id), expected)
    last, _ = analyse(client, slide)
    assert ended(client, last)["state"] == "succeeded"
    ratio = one_s / two_s
    print(f"one host {one_s:.1f} s, two hosts {two_s:.1f} s: {ratio:.2f} times as fast on {os.cpu_count()} cores")
