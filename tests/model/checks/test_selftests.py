"""Golden outputs, the rotation check, profiles, and the rejection of weights that differ from their card."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from model.checks import golden, rotation_check
from model.checks.profile import angle_profile, turned_patches
from model.groups.group import Element, Group, get_group
from model.inference.frozen import freeze
from model.networks.densenet import DenseNet, DenseNetConfig
from model.weights.card import WeightsRefused
from model.weights.checkpoint import SHIPPED, checkpoint_paths, load_network, read_card, save_network

P4M = get_group("p4m")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return DenseNet(DenseNetConfig(n0=16, growth=12)).eval()


def saved(network, directory, **fields):
    return save_network(network, "tiny", directory, golden=golden.outputs(freeze(network)), **fields)


def region(seed=0, side=176):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def test_weights_round_trip(network, tmp_path):
    card = saved(network, tmp_path, temperature=1.5)
    again, card_again = load_network("tiny", tmp_path)
    assert card_again == card
    for key, value in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=0, atol=0)


def test_altered_weights_are_refused(network, tmp_path):
    saved(network, tmp_path)
    path = checkpoint_paths("tiny", tmp_path)[0]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsRefused, match="sha256"):
        load_network("tiny", tmp_path)


@pytest.mark.parametrize("change", [{"format": 99}, {"surprise": 1}])
def test_unknown_cards_are_refused(network, tmp_path, change):
    saved(network, tmp_path)
    path = checkpoint_paths("tiny", tmp_path)[1]
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(WeightsRefused):
        read_card("tiny", tmp_path)


def test_missing_weights_are_refused(tmp_path):
    with pytest.raises(WeightsRefused, match="cannot be read"):
        load_network("none", tmp_path)


def test_golden_outputs_detect_swapped_channels_and_wrong_weights(network, tmp_path):
    card = saved(network, tmp_path)
    assert golden.check(freeze(network), card) <= golden.TOLERANCE
    with torch.no_grad():
        swapped = freeze(network)
        swapped.lifting.weight.copy_(swapped.lifting.weight.flip(1))
    with pytest.raises(WeightsRefused, match="swapped colour channels"):
        golden.check(swapped, card)
    with pytest.raises(WeightsRefused, match="no golden outputs"):
        golden.check(freeze(network), dataclasses.replace(card, golden=[]))


def test_the_rotation_check_passes_an_exact_network_even_with_random_weights(network):
    frozen = freeze(network)
    assert rotation_check.residual(frozen, region(), list(range(8))) < rotation_check.TOLERANCE / 10


def test_the_rotation_check_catches_one_plane_left_unturned(network):
    frozen = freeze(network)
    with torch.no_grad():
        frozen.blocks[0].conv.weight[1] = frozen.blocks[0].conv.weight[0]
    assert rotation_check.residual(frozen, region(), list(range(8))) > rotation_check.TOLERANCE


def test_the_rotation_check_detects_nan_logits(network):
    frozen = freeze(network)
    with torch.no_grad():
        frozen.classifier.weight[:] = float("nan")
    assert not rotation_check.residual(frozen, region(), [1]) <= rotation_check.TOLERANCE


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_a_view_with_nan_is_never_dropped(broken, monkeypatch):
    """NaN in the upright answer or in a turned one: NaN equals nothing, and used to pass as no difference."""
    answers = [np.zeros((1, 2, 2), np.float32) for _ in range(3)]
    answers[broken][0, 0, 0] = np.nan
    monkeypatch.setattr(rotation_check, "infer", lambda *_: answers.pop(0))
    assert rotation_check.residual(None, region(), [1, 2]) == float("inf")


def test_the_sample_stays_in_the_networks_own_group():
    for name in ("z2", "p4", "p4m"):
        group = get_group(name)
        for seed in range(20):
            sample = rotation_check.sample_elements(group, seed)
            assert all(0 < g < len(group) for g in sample)
            assert any(group.elements[g].mirror for g in sample) == (name == "p4m")


def test_quarter_turns_of_a_profile_are_exact(network):
    window = region(side=160)
    patches = turned_patches(window, np.array([0, 90, 180, 270]))
    centre = window[32:128, 32:128]
    for turns, patch in enumerate(patches):
        np.testing.assert_array_equal(patch, np.rot90(centre, turns))
    angles, logits = angle_profile(freeze(network), window, 45)
    assert angles == [0, 45, 90, 135, 180, 225, 270, 315]
    assert np.ptp(logits[::2]) < 1e-4
    with pytest.raises(ValueError, match="160"):
        angle_profile(freeze(network), window[:96, :96])


def test_the_shipped_weights_reproduce_their_golden_outputs():
    network, card = load_network()
    assert golden.check(freeze(network), card) <= golden.TOLERANCE
    assert sum(p.numel() for p in network.parameters()) == 118_379
    assert checkpoint_paths("p4m-densenet")[0].parent == SHIPPED
    assert card.metrics["valid"]["auc_interval"][0] > 0.886, "all of the interval is above the boosted-tree floor"


def test_a_group_that_is_no_prefix_of_p4m_is_sampled_by_its_elements():
    """{e, μ}: its second element has index 1, which is the quarter turn in p4m."""
    mirror = Group("p4m", (Element(0, 0), Element(1, 0)))
    for seed in range(20):
        (inside,) = rotation_check.sample_elements(mirror, seed)
        assert P4M.elements[inside] == Element(1, 0)
        (outside,) = rotation_check.sample_outside(mirror, seed)
        assert P4M.elements[outside] not in mirror.elements
