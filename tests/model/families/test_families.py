"""Every family satisfies its own law, in float64, for every element of its exact group, and no more."""

import itertools
import math

import numpy as np
import pytest
import torch

from model.families import harmonic, steerable
from model.families.circular import exact_rings, wave
from model.families.family import FamilyName, get_family
from model.groups.action import act, turn
from model.groups.batch_norm import GroupBatchNorm2d
from model.networks.densenet import DenseNet
from model.networks.registry import SYSTEMS, get_system

NAMES = FamilyName.__args__
families = pytest.mark.parametrize("name", NAMES)
systems = pytest.mark.parametrize("name", list(SYSTEMS))
CLOSE = {"rtol": 0, "atol": 1e-10}


def picture(height, width, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (1, 3, height, width)).astype(np.float64))


def features(family, channels=2, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels * family.planes, 7, 9, dtype=torch.float64, generator=rng)


def lively(name, **changes):
    """A small network in float64 with non-trivial norms, as after training."""
    torch.manual_seed(1)
    network = get_system(name).build(**{"n0": 8, "growth": 6, **changes}).double()
    for module in network.modules():
        if isinstance(module, GroupBatchNorm2d | torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 2.0)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.eval()


def check(layer, family, before=None, after=None):
    """Φ(L_u f) = L_u Φ(f) for every u."""
    before, after = before or family.act, after or family.act
    f = features(family)
    for u in range(len(family.group)):
        torch.testing.assert_close(layer(before(f, u)), after(layer(f), u), **CLOSE)


def as_image(family):
    return lambda planes, u: turn(planes, family.group.elements[u])


@families
def test_the_representation_is_one(name):
    """ρ(g)ρ(h) = ρ(gh), so that acting twice is acting with the product."""
    family = get_family(name)
    for g in range(len(family.group)):
        for h in range(len(family.group)):
            product = family.representation(g) @ family.representation(h)
            torch.testing.assert_close(product, family.representation(int(family.group.product[g, h])), **CLOSE)


@pytest.mark.parametrize("name", ["z2", "p4", "p4m"])
def test_the_regular_action_is_the_permutation_of_planes(name):
    family = get_family(name)
    for u in range(len(family.group)):
        torch.testing.assert_close(family.act(features(family), u), act(features(family), family.group, u), **CLOSE)


@families
@pytest.mark.parametrize("k", [1, 3])
def test_lifting_and_convolution_are_equivariant(name, k):
    family, image = get_family(name), torch.randn(1, 3, 8, 6, dtype=torch.float64)
    lifting = family.lifting(3, 2, k).double()
    for u in range(len(family.group)):
        turned = as_image(family)(image, u)
        torch.testing.assert_close(lifting(turned), family.act(lifting(image), u), **CLOSE)
    check(family.convolution(2, 3, k).double(), family)


@families
@pytest.mark.parametrize("training", [True, False])
def test_norm_activation_and_invariant_respect_the_action(name, training):
    family = get_family(name)
    norm = family.norm(2).double().train(training)
    check(lambda f: family.activation(norm(f)), family)
    check(family.invariant, family, after=as_image(family))


def test_pointwise_relu_would_break_a_harmonic_network():
    family = get_family("harmonic")
    with pytest.raises(AssertionError):
        check(torch.relu, family)


def test_a_harmonic_filter_of_an_order_other_than_zero_has_no_centre_tap():
    basis = harmonic.stream_basis(3)
    between_orders = torch.cat([basis[:, :2, 2:], basis[:, 2:, :2]], 1)
    assert between_orders[..., 1, 1].abs().max() == 0
    assert between_orders.abs().max() > 0.9


@pytest.mark.parametrize("n", [-1, 0, 1])
def test_harmonic_filters_are_complex_multiplication(n):
    """The real block of a filter acts on (re, im) as the complex filter on re + i·im."""
    rng = np.random.default_rng(0)
    patch = rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3))
    filters = harmonic.complex_filters(3, n)
    expected = (filters * patch).sum((1, 2))
    responses = np.einsum("fstyx,tyx->fs", harmonic.real_block(filters), np.stack([patch.real, patch.imag]))
    np.testing.assert_allclose(responses[:, 0] + 1j * responses[:, 1], expected, atol=1e-12)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_turning_a_circular_harmonic_is_a_phase(order):
    """T_θ ψ = e^{−imθ} ψ, exactly for quarter turns of the pixel grid."""
    values = wave(3, order)
    np.testing.assert_allclose(np.rot90(values), np.exp(-1j * order * np.pi / 2) * values, atol=1e-12)
    assert exact_rings(3).sum(0).min() == exact_rings(3).sum(0).max() == 1


def test_steerable_filters_turn_by_an_eighth_through_their_phases():
    """Two eighth turns make the quarter turn of the grid; a full turn is the identity."""
    for mirror, s in itertools.product(range(2), range(steerable.ORIENTATIONS)):
        here, there = steerable.oriented_basis(3, s, mirror), steerable.oriented_basis(3, s + 2, mirror)
        np.testing.assert_allclose(np.rot90(here, axes=(1, 2)), there, atol=1e-12)
    np.testing.assert_allclose(steerable.oriented_basis(3, 8), steerable.oriented_basis(3, 0), atol=1e-12)


def test_mirrored_steerable_filters_are_the_mirrored_filters_of_the_grid():
    mirrored = np.flip(steerable.oriented_basis(3, 0), 2)
    np.testing.assert_allclose(steerable.oriented_basis(3, 0, mirror=1), mirrored, atol=1e-12)


@pytest.mark.parametrize("mirrors", [1, 2])
def test_relative_elements_are_those_of_the_dihedral_group_of_the_octagon(mirrors):
    """g · g⁻¹h = h, with the elements as 2×2 matrices."""

    def matrix(index):
        angle = index % 8 * math.pi / 4
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        return turn @ np.diag([-1 if index >= 8 else 1, 1])

    source = steerable.relative(mirrors)
    for g, h in itertools.product(range(8 * mirrors), repeat=2):
        np.testing.assert_allclose(matrix(g) @ matrix(int(source[g, h])), matrix(h), atol=1e-12)


@pytest.mark.parametrize("name", ["steerable", "steerable-d8"])
def test_a_steerable_lifting_follows_eighth_turns_of_a_smooth_image(name):
    """Between quarter turns it is not exact, but far nearer than not turning at all."""
    side, sigma = 65, 25.0
    y, x = np.mgrid[:side, :side] - side // 2

    def image(theta):
        u, v = np.cos(theta) * x - np.sin(theta) * y, np.sin(theta) * x + np.cos(theta) * y
        return torch.from_numpy(np.exp(-((u / sigma) ** 2) - (v / (3 * sigma)) ** 2) * (1 + u / sigma))[None, None]

    filters, centre = 64, side // 2 - 1  # many drawn filters, so that no single one decides
    lifting = get_family(name).lifting(1, filters, 3).double()
    plain, turned = (lifting(image(angle))[0, :, centre, centre].view(filters, -1, 8) for angle in (0.0, math.pi / 4))
    followed, stayed = (turned.roll(-1, 2) - plain).norm(), (turned - plain).norm()
    assert followed < 0.05 * stayed


@systems
@pytest.mark.parametrize("size", [(96, 96), (112, 128)])
def test_every_system_is_exact_under_its_own_group(name, size):
    network, x = lively(name), picture(*size)
    with torch.no_grad():
        logits = network(x)
        for element in network.group.elements:
            torch.testing.assert_close(network(turn(x, element)), turn(logits, element), **CLOSE)


@pytest.mark.parametrize("name", ["p4-densenet", "harmonic", "steerable"])
def test_turns_alone_bring_no_mirrors(name):
    network, x = lively(name), picture(96, 96)
    with torch.no_grad():
        mirrored = network(x.flip(-1)) - network(x)
    assert mirrored.abs().max() > 1e-5


@systems
def test_parameters_are_equal_within_eight_percent(name):
    count = sum(p.numel() for p in get_system(name).build().parameters())
    if name == "z2-wide":
        assert count > 900_000, "equal FLOPs, not equal parameters"
    else:
        assert abs(count / 118_379 - 1) < 0.08


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != "z2-wide"])
def test_small_forms_are_of_equal_size_too(name):
    count = sum(p.numel() for p in DenseNet(get_system(name).small()).parameters())
    assert abs(count / 29_970 - 1) < 0.08


def test_only_systems_without_all_eight_symmetries_train_on_turned_patches():
    turned = {name for name, system in SYSTEMS.items() if system.dihedral}
    assert turned == {"p4-densenet", "z2-densenet", "z2-wide", "harmonic", "steerable"}


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="p4m-densenet"):
        get_system("resnet")
    with pytest.raises(ValueError, match="choose z2"):
        get_family("p6m")
