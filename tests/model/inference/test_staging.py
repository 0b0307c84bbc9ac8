"""Regions staged for a device arrive unchanged and in order."""

import numpy as np
import pytest
import torch

from model.inference.dense import as_image, infer, infer_with_features
from model.inference.frozen import freeze
from model.inference.staging import InFlight, Staging
from model.weights.checkpoint import load_network

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))]


def regions(count):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (112 + 16 * (i % 3), 112, 3), dtype=np.uint8) for i in range(count)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("ahead", [1, 2])
def test_staged_regions_arrive_unchanged(device, ahead):
    staging, staged, expected = Staging(torch.device(device), ahead + 1), [], regions(9)
    for number, pixels in enumerate(expected):
        staged.append(staging.send(pixels.copy()))
        assert isinstance(staged[-1], InFlight) == (device == "cuda")
        if number >= ahead:
            there = staging.receive(staged[number - ahead])
            assert there.shape == (1, *expected[number - ahead].shape)
            plain = there.cpu().numpy() if isinstance(there, torch.Tensor) else there
            np.testing.assert_array_equal(plain[0], expected[number - ahead])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_computation_waits_for_its_copy():
    """The copy stream is delayed by about a tenth of a second: a computation that does not wait for it reads zeros."""
    device, (pixels,) = torch.device("cuda"), regions(1)
    staging = Staging(device)
    torch.full(pixels.shape, 7, dtype=torch.uint8, device=device)  # freed at once: what such memory held before
    with torch.cuda.stream(staging._copies):
        torch.full(pixels.shape, 7, dtype=torch.uint8, device=device)
        torch.cuda._sleep(200_000_000)
    there = staging.receive(staging.send(pixels)).clone()
    np.testing.assert_array_equal(there[0].cpu().numpy(), pixels)


@pytest.mark.parametrize("device", DEVICES)
def test_staged_region_gives_the_same_answer(device):
    network = freeze(load_network()[0]).to(device)
    (pixels,) = regions(1)
    staging = Staging(torch.device(device))
    there = staging.receive(staging.send(pixels))
    np.testing.assert_array_equal(infer_with_features(network, there)[0], infer(network, pixels[None]))
    on_device = torch.from_numpy(pixels[None]).to(device)
    torch.testing.assert_close(as_image(network, there), as_image(network, on_device), rtol=0, atol=0)
