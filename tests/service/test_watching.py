"""Monitoring: one correlation from a request to its bands in all logs, and metrics that match the state."""

import json

import pytest
from servers import PATIENCE, Service, until
from service_engines import ENGINES, settings_of
from slides import tissue, write_pyramid

pytestmark = pytest.mark.services
ASKED_BY = "from-the-proxy-0001"


@pytest.fixture(scope="module", params=ENGINES)
def watched(request, tmp_path_factory):
    """A service that logs as JSON, and has analysed a slide: client, service, analysis."""
    folder = tmp_path_factory.mktemp("watched")
    engine = settings_of(request.param, folder, request.addfinalizer)
    service = Service(folder / "data", {"QUARTERTURN_LOG_FORMAT": "json", **engine})
    try:
        service.start_all()
        client = service.client()
        slide = client.wait_for_slide(client.upload(write_pyramid(folder / "s.tiff", tissue(900, 900), 0.5), {}))
        place = f"/api/v1/slides/{slide['id']}"
        analysis_row = client.call("POST", f"{place}/analyses", json={}, headers={"X-Request-Id": ASKED_BY}).json()
        client.poll(f"/api/v1/analyses/{analysis_row['id']}", lambda a: a["state"] == "succeeded", PATIENCE)
        client.call("GET", f"{place}/tiles/0/0_0.jpeg")
        client.http.post("/api/v1/slides", json={}, headers={"Authorization": "Bearer qt_guessed"})
        yield client, service, analysis_row["id"]
    finally:
        service.stop()


def lines(service, name):
    """The JSON lines of a process's log, without Celery's banner."""
    texts = (service.data / f"{name}.log").read_text().splitlines()
    return [json.loads(text) for text in texts if text.startswith("{")]


def test_correlation_links_a_request_to_its_work(watched):
    _, service, analysis = watched
    (request,) = (line for line in lines(service, "api") if line["correlation"] == ASKED_BY)
    assert (request["method"], request["status"], request["service"]) == ("POST", 201, "api")
    kinds = {kind for (kind,) in service.rows("SELECT kind FROM work WHERE analysis_id = :id", id=analysis)}
    assert kinds == {"band", "check", "finish"}

    def logged_all():
        mine = [line for line in lines(service, "worker") if line["correlation"] == ASKED_BY]
        return {line.get("kind") for line in mine} >= kinds and all(line["service"] == "worker" for line in mine)

    until(logged_all)


def metrics(client):
    text = client.call("GET", "/metrics").text
    return {
        line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if line.startswith("quarterturn_")
    }


def test_metrics_report_the_state(watched):
    client, _, _ = watched
    values = metrics(client)
    assert values["quarterturn_workers"] == 1
    assert values['quarterturn_slides{state="ready"}'] == 1
    assert values['quarterturn_analyses{state="succeeded"}'] == 1
    assert values["quarterturn_work_oldest_open_seconds"] == 0
    assert values["quarterturn_work_reclaims"] == 0
    assert values["quarterturn_cells_recent"] > 100
    assert values["quarterturn_band_network_seconds_recent"] > 0
    assert 0 <= values["quarterturn_rotation_residual_max_recent"] < 1e-3
    assert sum(value for name, value in values.items() if name.startswith("quarterturn_tiles_total")) >= 1
    assert values["quarterturn_upload_bytes_total"] > 1000
    assert values['quarterturn_refused_total{code="not-signed-in"}'] == 1
    assert metrics(client)['quarterturn_requests_total{method="GET",status="200"}'] > 1


def test_cross_site_writes_are_rejected(watched):
    """With a browser's cookie: a form, JSON as text/plain, and the origin headers of modern browsers."""
    client, service, _ = watched
    browser = service.client()
    secret = browser.http.headers.pop("Authorization").split()[1]
    browser.call("POST", "/api/v1/session", json={"key": secret})
    before = client.call("GET", "/api/v1/slides").json()
    slide = before["slides"][0]["id"]
    here = {"Origin": service.url}
    for foreign in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"):
            headers = {**foreign, "Content-Type": kind}
            answer = browser.http.post(f"/api/v1/slides/{slide}/analyses", content=b"{}", headers=headers)
            assert answer.status_code == 403, headers
        assert browser.http.delete(f"/api/v1/slides/{slide}", headers=foreign).status_code == 403
    assert metrics(client)['quarterturn_refused_total{code="cross-site-write"}'] == 12
    refusals = {(row["detail"].get("code"), row["who"]) for row in client.call("GET", "/api/v1/audit").json()["rows"]}
    assert ("cross-site-write", "administrator") in refusals
    text = browser.http.post(
        f"/api/v1/slides/{slide}/analyses", content=b"{}", headers={**here, "Content-Type": "text/plain"}
    )
    assert text.status_code == 422, "JSON that does not say so is none"
    assert client.call("GET", "/api/v1/slides").json() == before
    assert (
        browser.http.get("/api/v1/slides", headers={"Origin": "https://evil.example"}).headers.get(
            "access-control-allow-origin"
        )
        is None
    )
