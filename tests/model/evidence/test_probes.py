"""Probes measure what they name: zero where the network is exact, and injected faults are detected."""

import numpy as np
import pytest
import torch

from model.evidence import cost, probes
from model.inference.frozen import freeze
from model.networks.densenet import DenseNet, DenseNetConfig
from model.networks.registry import get_system
from model.train.pcam import Split
from model.weights.card import Card


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return DenseNet(DenseNetConfig("p4m", n0=6, growth=6)).eval()


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(40, 220, (20, 12, 12, 3)), np.ones((1, 8, 8, 1)))
    return Split(smooth.astype(np.uint8), np.arange(20, dtype=np.uint8) % 2, np.repeat(["a", "b"], 10))


def test_eight_views_agree_for_p4m_and_not_for_a_plain_network(network, split):
    torch.manual_seed(0)
    plain = DenseNet(DenseNetConfig("z2", n0=6, growth=6)).eval()
    assert probes.eight_views(freeze(network), split.patches)["logit"] < 1e-5
    assert probes.eight_views(freeze(plain), split.patches)["logit"] > 1e-4


@pytest.mark.slow
def test_quarter_turns_give_zero_change(network, split):
    result = probes.angles(freeze(network), split.patches[:4])
    assert result["angle"] == list(range(0, 360, 5))
    moved, back = np.array(result["moved"]), np.array(result["there_and_back"])
    quarters = np.array(result["angle"]) % 90 == 0
    assert moved[quarters].max() < 1e-6
    assert back[quarters].max() < 1e-6
    assert moved[~quarters].min() > 0


def test_probe_quarter_turn_equals_the_group_action(split):
    images = torch.from_numpy(split.patches).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(probes.turned(images, 90.0), images.rot90(1, (2, 3)), atol=1e-2, rtol=0)
    torch.testing.assert_close(probes.turned(images, 0.0), images, atol=1e-2, rtol=0)


def test_a_shift_is_by_eight_pixels(split):
    images = torch.from_numpy(split.patches).permute(0, 3, 1, 2).float()
    moved = probes.shifted(images, torch.Generator().manual_seed(0))
    result = [
        torch.equal(moved[:, :, 8:-8, 8:-8], images.roll((dy, dx), (2, 3))[:, :, 8:-8, 8:-8])
        for dy, dx in ((8, 0), (-8, 0), (0, 8), (0, -8))
    ]
    assert sum(result) == 1


def test_stability_reports_every_change(network, split):
    result = probes.stability(freeze(network), split, Card("n", "", {}, temperature=2.0))
    assert set(result) == set(probes.CHANGES)
    assert all(one["moved_logits"] > 0 for one in result.values())


@pytest.mark.slow
def test_controls_detect_an_unturned_plane_and_pass_random_weights(split):
    torch.manual_seed(1)
    network = DenseNet(DenseNetConfig("p4m", n0=6, growth=6)).eval()
    result = probes.controls(network, split)
    assert result["as shipped"]["residual_logits"] < result["as shipped"]["tolerance_logits"]
    assert result["random weights"]["residual_logits"] < result["random weights"]["tolerance_logits"]
    assert len(set(result["random weights"]["auc"])) == probes.RANDOM_DRAWS
    assert result["one plane unturned"]["residual_logits"] > 100 * result["as shipped"]["residual_logits"]


def test_bins_hold_every_patch_once():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=103).astype(np.float32), rng.integers(0, 2, 103)
    bins = probes.reliability(labels, logits)
    assert sum(count for _, _, count in bins) == 103
    assert sum(share * count for _, share, count in bins) == pytest.approx(labels.sum())
    assert [score for score, _, _ in bins] == sorted(score for score, _, _ in bins)


def test_flops_are_those_of_the_shipped_size():
    """The sum over layers of 2·k²·in·out·area, by hand, for a 512 px region of 27² cells."""
    side, channels, total = 510, 8 * 11, 2 * 27 * 8 * 11 * 510**2
    for out in (20, 28, 37, 45, 1):
        side -= 2
        total += 2 * 9 * channels * 64 * side**2
        channels += 64
        side, mixed = side // 2, 8 * out
        if out > 1:
            total += 2 * channels * mixed * side**2
            channels = mixed
    total += 2 * 53 * 27**2
    frozen = freeze(get_system("p4m-densenet").build().eval())
    assert cost.flops_per_cell(frozen) == pytest.approx(total / 27**2, rel=1e-12)
    small = freeze(get_system("p4m-densenet").build(n0=6, growth=6).eval())
    assert cost.cells_per_second(small, rounds=1) > 0
