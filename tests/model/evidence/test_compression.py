"""Compression: what a JPEG changes, and that its loss is a paired difference."""

import numpy as np
import pytest
import torch

from model.evidence.compression import compress, loss_by_compression
from model.inference.frozen import freeze
from model.networks.densenet import DenseNet, DenseNetConfig
from model.train.pcam import Split

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (12, 96, 96, 3), dtype=np.uint8)


def test_compression_keeps_brightness_and_halves_the_resolution_of_colour():
    for turned in (False, True):  # columns, then rows: 4:2:0 halves both
        patch = np.full((1, 96, 96, 3), 128, np.uint8)
        patch[0, :, ::2] = (255, 0, 0)
        changed = compress(patch.swapaxes(1, 2) if turned else patch).astype(int)
        assert changed.shape == patch.shape
        lines = changed[0].swapaxes(0, 1) if turned else changed[0]
        # Red and grey lines of one pixel: their colours mix, since two lines share one chroma value.
        assert np.abs(lines[:, ::2, 1] - lines[:, 1::2, 1]).mean() < 64
    np.testing.assert_allclose(compress(np.full((1, 96, 96, 3), 200, np.uint8)), 200, atol=1)


@pytest.mark.slow
def test_the_loss_is_the_difference_and_its_interval_is_by_the_split_s_units():
    torch.manual_seed(0)
    network = freeze(DenseNet(DenseNetConfig("p4m", n0=6, growth=6)).eval())
    split = Split(NOISE, np.arange(12, dtype=np.uint8) % 2, np.repeat(["a", "b", "c"], 4))
    loss = loss_by_compression(network, split)
    assert loss["loss"] == pytest.approx(loss["lossless"] - loss["compressed"])
    assert loss["interval_by"] == "slide group"
    assert loss["loss_interval"][0] <= loss["loss"] <= loss["loss_interval"][1]
