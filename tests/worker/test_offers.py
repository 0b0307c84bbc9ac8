"""A worker process offers the contents of its weights folder as they were when the process started."""

import pytest
import torch

from model.checks import golden
from model.inference.engines import Engine
from model.inference.frozen import freeze
from model.networks.registry import get_system
from model.weights.card import COMPARISON, WeightsRefused
from model.weights.checkpoint import SHIPPED, checkpoint_names, checkpoint_paths, read_card, save_network
from worker.offers import Serving


def put(directory, name, seed=0, **fields):
    torch.manual_seed(seed)
    network = get_system("z2-densenet").build(n0=4, growth=4).eval()
    save_network(network, name, directory, golden=golden.outputs(freeze(network)), **fields)


@pytest.fixture
def folder(tmp_path):
    put(tmp_path, "own")
    put(tmp_path, "rival", seed=1, purpose=COMPARISON)
    return tmp_path


def test_comparison_networks_are_offered_unless_disabled(folder):
    assert set(Serving(folder, "own", Engine()).offers) == {"own", "rival"}
    assert set(Serving(folder, "own", Engine(), rivals=False).offers) == {"own"}


def test_files_that_changed_since_the_start_do_not_run_under_the_old_fingerprint(folder):
    serving = Serving(folder, "own", Engine())
    put(folder, "rival", seed=2, purpose=COMPARISON)
    with pytest.raises(WeightsRefused, match="changed after this worker started"):
        serving.network("rival")
    assert [offer.card.name for offer in serving.good_offers()] == ["own"]


def test_every_shipped_comparison_network_states_its_purpose_and_passes_its_self_test():
    shipped = checkpoint_names(SHIPPED)
    assert {name for name in shipped if read_card(name).purpose != COMPARISON} == {"p4m-densenet"}
    assert len(shipped) >= 9
    serving = Serving(SHIPPED, "p4m-densenet", Engine())
    for name in shipped:
        served = serving.network(name)
        assert served.provenance["golden_difference"] <= golden.TOLERANCE
        valid = 1407 / 2907 if name == "p4m-densenet" else 283 / 745  # of the plan official, or of the plan named
        assert served.card.calibration()["prevalence"] == pytest.approx(valid)
        assert checkpoint_paths(name)[0].stat().st_size < 2 << 20


def test_openvino_without_openvino_is_refused_with_what_to_do(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "model.inference.openvino_graph", None)
    with pytest.raises(WeightsRefused, match="not installed"):
        Serving(folder, "own", Engine("openvino"))
