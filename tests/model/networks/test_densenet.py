"""The whole network: its size, its symmetry, its frozen form and its dense maps."""

import numpy as np
import pytest
import torch

from model.groups.action import act, turn
from model.groups.batch_norm import GroupBatchNorm2d
from model.groups.group import get_group, transform
from model.inference.dense import infer, infer_patchwise
from model.inference.frozen import freeze
from model.networks.densenet import DenseNet, DenseNetConfig

names = pytest.mark.parametrize("name", ["z2", "p4", "p4m"])


def lively(name, **changes):
    """A network in float64 with non-trivial norms, as after training."""
    torch.manual_seed(1)
    network = DenseNet(DenseNetConfig(family=name, **changes)).double()
    for module in network.modules():
        if isinstance(module, GroupBatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 2.0)
            torch.nn.init.uniform_(module.weight, -1.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.eval()


def picture(height, width, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (1, 3, height, width)).astype(np.float64))


@pytest.mark.parametrize(("name", "expected"), [("p4m", 118_379), ("p4", 124_565), ("z2", 125_993)])
def test_parameter_counts(name, expected):
    assert sum(p.numel() for p in DenseNet(DenseNetConfig(family=name)).parameters()) == expected


@names
@pytest.mark.parametrize("size", [(96, 96), (128, 112)])
def test_the_network_is_exactly_equivariant(name, size):
    network, x = lively(name), picture(*size)
    with torch.no_grad():
        logits = network(x)
        for element in network.group.elements:
            torch.testing.assert_close(network(turn(x, element)), turn(logits, element), rtol=0, atol=1e-10)


def test_its_features_move_on_the_group_layer_by_layer():
    network, x = lively("p4m"), picture(96, 112)
    group = network.group

    def trace(image):
        planes = [network.lifting((image - network.mean) / network.std)]
        for i, block in enumerate(network.blocks):
            planes.append(block(planes[-1]))
            if i < len(network.transitions):
                planes.append(network.transitions[i](planes[-1]))
        return planes

    with torch.no_grad():
        plain = trace(x)
        for u in range(len(group)):
            for moved, still in zip(trace(turn(x, group.elements[u])), plain, strict=True):
                torch.testing.assert_close(moved, act(still, group, u), rtol=0, atol=1e-10)


def test_a_plain_network_is_not_equivariant():
    network, x = lively("z2"), picture(96, 96)
    with torch.no_grad():
        assert (network(turn(x, get_group("p4").elements[1])) - network(x)).abs().max() > 1e-4


@pytest.mark.slow
@names
def test_the_gradient_turns_with_the_input(name):
    network = lively(name)

    def gradient(image):
        image = image.clone().requires_grad_()
        network(image).sum().backward()
        return image.grad

    x = picture(96, 96)
    for element in network.group.elements:
        torch.testing.assert_close(gradient(turn(x, element)), turn(gradient(x), element), rtol=0, atol=1e-10)


def test_sizes_that_are_no_multiple_of_16_break_equivariance():
    network, x = lively("p4m"), picture(104, 104)
    with torch.no_grad():
        assert (
            network(turn(x, network.group.elements[2])) - turn(network(x), network.group.elements[2])
        ).abs().max() > 1e-4


@names
def test_frozen_network_equals_the_network(name):
    network = lively(name)
    frozen = freeze(network)
    x = picture(128, 144)
    with torch.no_grad():
        torch.testing.assert_close(frozen(x), network(x), rtol=0, atol=1e-10)


@names
def test_freezing_leaves_the_network_as_it_was(name):
    network, x = lively(name), picture(96, 96)
    with torch.no_grad():
        before = network(x).clone()
        freeze(network)
        torch.testing.assert_close(network(x), before, rtol=0, atol=0)


@pytest.mark.slow
def test_dense_equals_patchwise():
    frozen = freeze(lively("p4m"))
    region = np.random.default_rng(3).integers(0, 256, (144, 176, 3), dtype=np.uint8)
    np.testing.assert_allclose(infer(frozen, region[None])[0], infer_patchwise(frozen, region), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_dense_maps_turn_in_float32():
    frozen = freeze(lively("p4m").float())
    region = np.random.default_rng(4).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    logits = infer(frozen, region[None])[0]
    assert logits.shape == (27, 27)
    for element in get_group("p4m").elements:
        turned = infer(frozen, transform(region, element)[None])[0]
        np.testing.assert_allclose(turned, transform(logits, element), rtol=0, atol=1e-4)


@pytest.mark.parametrize("side", [80, 100, 0])
def test_wrong_region_sizes_are_refused(side):
    with pytest.raises(ValueError, match="multiple of 16"):
        infer(freeze(lively("p4m", n0=8, growth=8)), np.zeros((1, side, 96, 3), np.uint8))
