"""Each layer against its law, in float64, for every element; convolutions against their definition."""

import pytest
import torch
from model_definition import group as group_by_definition
from model_definition import lifting as lifting_by_definition
from torch.nn import functional as F

from model.groups import pooling
from model.groups.action import act, turn
from model.groups.batch_norm import GroupBatchNorm2d
from model.groups.convolution import GroupConv2d, LiftingConv2d
from model.groups.group import get_group

names = pytest.mark.parametrize("name", ["z2", "p4", "p4m"])
CLOSE = {"rtol": 0, "atol": 1e-10}


def features(name, channels=2, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels * len(get_group(name)), 7, 9, dtype=torch.float64, generator=rng)


def check_law(layer, name, before=act, after=act):
    """Φ(L_u f) = L_u Φ(f) for every u."""
    group, f = get_group(name), features(name)
    for u in range(len(group)):
        torch.testing.assert_close(layer(before(f, group, u)), after(layer(f), group, u), **CLOSE)


def as_image(planes, group, u):
    return turn(planes, group.elements[u])


@names
@pytest.mark.parametrize("k", [1, 3])
def test_lifting_is_its_definition_and_lifts(name, k):
    group, image = get_group(name), torch.randn(1, 3, 8, 6, dtype=torch.float64)
    layer = LiftingConv2d(group, 3, 2, k).double()
    out = layer(image)
    expected = lifting_by_definition(image[0].numpy(), layer.weight.detach().numpy(), name)
    torch.testing.assert_close(out.detach()[0].unflatten(0, (2, -1)), torch.from_numpy(expected), **CLOSE)
    for u in range(len(group)):
        torch.testing.assert_close(layer(as_image(image, group, u)), act(out, group, u), **CLOSE)


@names
@pytest.mark.parametrize("k", [1, 3])
def test_group_convolution_is_its_definition(name, k):
    group, f = get_group(name), features(name)
    layer = GroupConv2d(group, 2, 3, k).double()
    expected = group_by_definition(f[0].unflatten(0, (2, -1)).numpy(), layer.weight.detach().numpy(), name)
    torch.testing.assert_close(layer(f).detach()[0].unflatten(0, (3, -1)), torch.from_numpy(expected), **CLOSE)


@names
@pytest.mark.parametrize("k", [1, 3])
def test_group_convolution_is_equivariant(name, k):
    check_law(GroupConv2d(get_group(name), 2, 3, k).double(), name)


def test_a_bank_plane_left_unturned_breaks_the_law():
    layer = GroupConv2d(get_group("p4m"), 2, 3, 3).double()
    layer.index[1] = layer.index[0]
    with pytest.raises(AssertionError):
        check_law(layer, "p4m")


@names
def test_group_batch_norm_is_equivariant_and_normalises(name):
    norm = GroupBatchNorm2d(len(get_group(name)), 2).double()
    check_law(norm, name)
    planes = norm(3 + 2 * features(name)).unflatten(1, (2, -1))
    torch.testing.assert_close(planes.mean((0, 2, 3, 4)), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-9)
    assert torch.allclose(planes.var((0, 2, 3, 4), unbiased=False), torch.ones(2, dtype=torch.float64), atol=1e-4)
    norm.eval()
    check_law(norm, name)


def test_group_batch_norm_of_z2_is_batch_norm():
    mine, theirs = GroupBatchNorm2d(1, 2).double(), torch.nn.BatchNorm2d(2).double()
    f = features("z2")
    torch.testing.assert_close(mine(f), theirs(f), rtol=0, atol=1e-10)
    torch.testing.assert_close(mine.running_mean, theirs.running_mean)
    torch.testing.assert_close(mine.running_var, theirs.running_var)


@names
@pytest.mark.parametrize("pointwise", [torch.relu, torch.tanh, torch.sigmoid, torch.abs])
def test_pointwise_functions_commute(name, pointwise):
    check_law(pointwise, name)


@names
def test_group_mean_turns_like_an_image(name):
    group = get_group(name)
    check_law(lambda f: pooling.group_mean(f, len(group)), name, after=as_image)


@names
def test_average_pooling_commutes_on_even_sizes_only(name):
    group, f = get_group(name), features(name)[:, :, :6, :8]
    for u in range(len(group)):
        torch.testing.assert_close(pooling.halve(act(f, group, u)), act(pooling.halve(f), group, u), **CLOSE)
    if len(group) > 1:
        odd = features(name)
        assert not torch.allclose(pooling.halve(act(odd, group, 2)), act(pooling.halve(odd), group, 2))


@names
def test_halving_is_the_mean_over_two_by_two(name):
    f, g = (features(name).requires_grad_() for _ in range(2))
    mine, theirs = pooling.halve(f), F.avg_pool2d(g, 2)
    torch.testing.assert_close(mine, theirs, **CLOSE)
    weights = torch.randn_like(mine)
    (mine * weights).sum().backward()
    (theirs * weights).sum().backward()
    torch.testing.assert_close(f.grad, g.grad, **CLOSE)


@pytest.mark.parametrize("how", ["max", "mean"])
def test_coset_pooling_over_all_rotations_of_p4_turns_like_an_image(how):
    group = get_group("p4")
    pool = lambda f: pooling.coset_pool(f, group, group.subgroup("rotations"), how)  # noqa: E731 - a law in one line
    check_law(pool, "p4", after=as_image)


@pytest.mark.parametrize("subgroup", ["identity", "rotations", "mirror", "all"])
def test_coset_pooling_moves_on_cosets(subgroup):
    """Φ(L_u f)(gH, x) = Φ(f)(u⁻¹gH, u⁻¹x), in p4m for every subgroup."""
    group, f = get_group("p4m"), features("p4m")
    cosets = group.left_cosets(group.subgroup(subgroup))
    place = {int(g): i for i, coset in enumerate(cosets) for g in coset}
    pooled = pooling.coset_pool(f, group, group.subgroup(subgroup))
    for u in range(len(group)):
        source = [place[int(group.product[group.inverse[u], coset[0]])] for coset in cosets]
        expected = turn(pooled.unflatten(1, (-1, len(cosets)))[:, :, source], group.elements[u]).flatten(1, 2)
        moved = pooling.coset_pool(act(f, group, u), group, group.subgroup(subgroup))
        torch.testing.assert_close(moved, expected, **CLOSE)


@pytest.mark.parametrize("domain", [(0, 1), (0, 1, 2, 3), (0, 4), (0, 3, 5)])
def test_pooling_without_stride_is_equivariant_for_any_domain(domain):
    group = get_group("p4m")
    check_law(lambda f: pooling.group_pool(f, group, domain), "p4m")


@pytest.mark.parametrize("subgroup", ["rotations", "mirror"])
def test_pooling_over_h_then_subsampling_on_h_is_equivariant_to_h_and_not_to_g(subgroup):
    """C&W §6.3. On H a feature map moves by H's own product; outside H no action is defined."""
    group, f = get_group("p4m"), features("p4m")
    members = list(group.subgroup(subgroup))

    def pool(x):
        return pooling.subsample(pooling.group_pool(x, group, members), group, members)

    def move(x, u):
        source = [members.index(int(group.product[group.inverse[u], s])) for s in members]
        return turn(x.unflatten(1, (-1, len(members)))[:, :, source], group.elements[u]).flatten(1, 2)

    for u in members:
        torch.testing.assert_close(pool(act(f, group, u)), move(pool(f), u), **CLOSE)
    for u in set(range(len(group))) - set(members):
        turned_only = turn(pool(f), group.elements[u])
        assert (pool(act(f, group, u)) - turned_only).abs().max() > 0.1
