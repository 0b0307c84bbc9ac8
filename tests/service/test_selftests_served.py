"""The self-tests in the service: wrong weights are not served, and a failed check withholds the results."""

import dataclasses

import numpy as np
import pytest
import torch
from heat_maps import logits
from planted_network import write_planted
from processors import OPENVINO_HAS_BFLOAT16
from servers import PATIENCE, ROOT, Service
from slides import tissue, write_pyramid

from model.checks import golden
from model.inference.frozen import freeze
from model.networks.registry import get_system
from model.weights.card import COMPARISON
from model.weights.checkpoint import load_network, read_card, save_network

pytestmark = pytest.mark.services
NAME = "p4m-densenet"


@pytest.fixture
def served(tmp_path, request):
    """Starts a service with these settings, on the embedded engine."""

    def start(settings):
        running = Service(tmp_path / "data", settings)
        request.addfinalizer(running.stop)
        running.start_api()
        return running

    return start


def swapped_channels(directory):
    """The shipped network with BGR input, under a card with the right digest: only golden outputs detect it."""
    network, card = load_network()
    network.lifting.weight.data = network.lifting.weight.data.flip(1)
    fields = {field.name: getattr(card, field.name) for field in dataclasses.fields(card)}
    for name in ("name", "digest", "architecture", "format"):
        del fields[name]
    save_network(network, NAME, directory, **fields)


def another_file(directory):
    """One byte of the weights is changed."""
    directory.mkdir()
    shipped = ROOT / "model" / "shipped"
    content = bytearray((shipped / f"{NAME}.safetensors").read_bytes())
    content[-100] ^= 1
    (directory / f"{NAME}.safetensors").write_bytes(content)
    (directory / f"{NAME}.card.json").write_text((shipped / f"{NAME}.card.json").read_text())


@pytest.mark.parametrize("spoil", [swapped_channels, another_file])
def test_a_worker_with_wrong_weights_refuses_to_serve(served, tmp_path, spoil):
    assert read_card().golden, "or nothing would be compared"
    spoil(tmp_path / "weights")
    service = served({"QUARTERTURN_WEIGHTS_DIR": str(tmp_path / "weights")})
    service.start_worker()
    assert service.processes["worker"].wait(PATIENCE) == 3
    assert "The worker refuses to serve" in (service.data / "worker.log").read_text()
    client = service.client()
    assert client.call("GET", "/api/v1/models").json()["models"] == []
    answer = client.http.post(f"/api/v1/slides/{an_uploaded_slide(client, tmp_path)}/analyses", json={})
    assert answer.status_code in (409, 503)
    assert answer.headers["content-type"] == "application/problem+json"


def an_uploaded_slide(client, tmp_path):
    return client.upload(write_pyramid(tmp_path / "slide.tiff", tissue(400, 500), 0.5), {})


def test_a_failed_rotation_check_withholds_the_results(served, tmp_path):
    """A network so steep that float32 rounding alone moves logits by more than the tolerance: results are withheld."""
    service = served(write_planted(tmp_path / "weights", steepness=3e5))
    service.start_worker()
    service.wait_for_worker()
    client = service.client()
    path = write_pyramid(tmp_path / "slide.tiff", tissue(900, 1200, [(300, 400, 251)]), 0.5)
    slide = client.wait_for_slide(client.upload(path, {}))
    analysis = client.analyse(slide["id"])
    check = analysis["results"]["rotation_check"]
    assert analysis["state"] == "succeeded"
    assert analysis["withheld"]["code"] == "rotation-check"
    assert not check["passed"]
    assert check["residual_logits"] > check["tolerance_logits"]
    for result in ("heatmap", "heatmap.png", "regions", "regions.geojson", "regions.csv"):
        answer = client.http.get(f"/api/v1/analyses/{analysis['id']}/{result}")
        assert answer.status_code == 409
        assert "rotation self-test failed" in answer.json()["detail"]
    assert "max_score" not in analysis["results"], "nor does the summary speak of scores"
    unchecked = client.analyse(slide["id"], rotation_check=False)
    assert unchecked["withheld"] is None
    assert unchecked["results"]["rotation_check"] is None
    assert client.http.get(f"/api/v1/analyses/{unchecked['id']}/heatmap").status_code == 200


def write_rival(directory, name="rival", spoiled=False, purpose=""):
    """A small plain network with random weights; `spoiled`: with another network's golden outputs."""
    torch.manual_seed(3)
    network = get_system("z2-densenet").build(n0=8, growth=6).eval()
    expected = [value + spoiled for value in golden.outputs(freeze(network))]
    scope = {"organ": "lymph node", "stain": "H&E", "scanners": []}
    save_network(network, name, directory, golden=expected, scope=scope, purpose=purpose)


def test_networks_are_served_by_name_each_under_its_own_group(served, tmp_path):
    settings = write_planted(tmp_path / "weights")
    write_rival(tmp_path / "weights", purpose=COMPARISON)
    write_rival(tmp_path / "weights", "spoiled", spoiled=True)
    service = served({**settings, "QUARTERTURN_RETRY_SECONDS": "0.1"})
    service.start_worker()
    service.wait_for_worker()
    client = service.client()
    offered = client.call("GET", "/api/v1/models").json()
    assert {card["name"] for card in offered["models"]} == {"planted", "rival", "spoiled"}
    assert offered["default"] == "planted"
    assert {card["name"] for card in offered["models"] if card["purpose"] == COMPARISON} == {"rival"}
    path = write_pyramid(tmp_path / "slide.tiff", tissue(900, 1200, [(300, 400, 251)]), 0.5)
    slide = client.wait_for_slide(client.upload(path, {}))
    analyses = {model: client.analyse(slide["id"], model=model) for model in ("planted", "rival")}
    for model, analysis in analyses.items():
        assert analysis["state"] == "succeeded"
        assert analysis["model"] == analysis["provenance"]["model"] == model
    exact, plain = (analyses[model]["results"]["rotation_check"] for model in ("planted", "rival"))
    assert exact["passed"]
    assert exact["spread_logits"] is None
    assert plain["passed"] is None, "a plain network has no symmetry to test"
    assert plain["elements"] == []
    assert plain["spread_logits"] > 1e-3
    assert not np.array_equal(logits(client, analyses["planted"]["id"]), logits(client, analyses["rival"]["id"]))
    warned = {
        model: "comparison" in [n["code"] for n in one["results"]["scope_notes"]] for model, one in analyses.items()
    }
    assert warned == {"planted": False, "rival": True}
    for analysis in analyses.values():
        assert analysis["results"]["familiarity"] is None
        answer = client.http.get(f"/api/v1/analyses/{analysis['id']}/heatmap", params={"quantity": "strangeness"})
        assert (answer.status_code, answer.json()["detail"]) == (404, "this network has no familiarity to compare with")
    broken = client.analyse(slide["id"], model="spoiled")
    assert broken["state"] == "failed"
    assert "golden pictures" in broken["reason"]["detail"]
    unknown = client.http.post(f"/api/v1/slides/{slide['id']}/analyses", json={"model": "resnet"})
    assert unknown.status_code == 503
    assert "resnet" in unknown.json()["detail"]


def test_faster_backend_reports_its_drift_and_name(served, tmp_path):
    """The same slide in float32 and in bfloat16 (OpenVINO's if it has it): another fingerprint, nearly the same map."""
    backend = "openvino" if OPENVINO_HAS_BFLOAT16 else "torch"
    service = served({})
    path = write_pyramid(tmp_path / "slide.tiff", tissue(900, 1200, [(300, 400, 251)]), 0.5)
    analyses = []
    for settings in ({}, {"QUARTERTURN_BACKEND": backend, "QUARTERTURN_PRECISION": "bfloat16"}):
        service.start_worker(**settings)
        service.wait_for_worker()
        client = service.client()
        slide = client.wait_for_slide(client.upload(path, {}))
        analyses.append(client.analyse(slide["id"], tissue="all"))
        service.kill("worker")
    plain, fast = analyses
    assert plain["results"]["rotation_check"]["drift_logits"] == 0
    check = fast["results"]["rotation_check"]
    assert check["passed"]
    assert 1e-4 < check["drift_logits"] < 0.5
    assert (fast["provenance"]["backend"], fast["provenance"]["precision"]) == (f"{backend}-cpu", "bfloat16")
    one, other = (logits(client, analysis["id"]) for analysis in analyses)
    np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
    assert 1e-4 < np.nanmax(np.abs(one - other)) < 0.5
