"""e3nn as an independent reference: the group table and regular representation against representations of O(3).

e3nn knows nothing of this package. Its matrices are made from a rotation about the z axis and a reflection, so they
multiply as turns and mirrors do in space, and the table must follow them. Equal characters would not do: any Latin
square with the right traces has those.
"""

import numpy as np
import pytest
import torch
from e3nn import o3

from model.families.family import get_family
from model.groups.group import get_group

P4M = get_group("p4m")
# Restricted to the symmetries of the square, a pseudo-vector is A₂ + E, and order 2 is A₁ + B₁ + B₂ + E: together each
# irrep as often as its dimension, which is the regular representation.
IRREPS = o3.Irreps("1e + 2e")
CLOSE = {"rtol": 0, "atol": 1e-9}


def in_space(element):
    """Mirror x → −x first (a reflection, determinant −1), then quarter turns about z."""
    angle = element.turns * np.pi / 2
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    mirror = np.diag([-1.0 if element.mirror else 1.0, 1, 1])
    return torch.from_numpy(turn @ mirror)


@pytest.fixture(scope="module")
def judged():
    """D(g) for every element, (8, 8, 8) float64; e3nn keeps its constants in torch's default dtype."""
    torch.set_default_dtype(torch.float64)
    try:
        return torch.stack([IRREPS.D_from_matrix(in_space(element)) for element in P4M.elements])
    finally:
        torch.set_default_dtype(torch.float32)


def errors(judged, table):
    """The largest entry of D(g)D(h) − D(table[g][h]), for each of the 64 pairs."""
    products = torch.einsum("gij,hjk->ghik", judged, judged)
    return (products - judged[torch.from_numpy(np.asarray(table))]).abs().amax((2, 3))


def test_mirrors_are_reflections_and_the_representation_is_faithful(judged):
    for element in P4M.elements:
        assert torch.linalg.det(in_space(element)).round() == (-1 if element.mirror else 1)
    apart = (judged[:, None] - judged[None]).abs().amax((2, 3)) + torch.eye(8)
    assert apart.min() > 0.5, "no two elements have the same matrix"


def test_all_64_products_are_the_tables(judged):
    assert errors(judged, P4M.product).max() < 1e-9


@pytest.mark.parametrize("wrong", ["transposed", "abelian", "quaternion"])
def test_wrong_group_table_is_detected(judged, wrong):
    """Each is a Latin square with the identity first; the last two are even groups of order eight."""
    product = np.asarray(P4M.product)
    if wrong == "transposed":
        table = product.T
    elif wrong == "abelian":
        table = np.array([[4 * ((g // 4 + h // 4) % 2) + (g + h) % 4 for h in range(8)] for g in range(8)])
    else:  # like the square's group, but the mirror's square is a half turn
        table = np.array(
            [
                [4 * ((g // 4 + h // 4) % 2) + (product[g, h] + 2 * (g // 4) * (h // 4)) % 4 for h in range(8)]
                for g in range(8)
            ]
        )
    assert all(sorted(row) == list(range(8)) for row in table.tolist())
    assert errors(judged, table).max() > 0.5


def test_an_explicit_intertwiner_makes_it_our_regular_representation(judged):
    """Q, averaged over the group from any matrix, has Q D(g) = P(g) Q and an inverse: D(g) = Q⁻¹ P(g) Q."""
    regular = torch.stack([get_family("p4m").representation(g) for g in range(8)])
    start = torch.from_numpy(np.random.default_rng(0).normal(size=(8, 8)))
    inverse = [int(g) for g in P4M.inverse]
    intertwiner = sum(regular[g] @ start @ judged[inverse[g]] for g in range(8)) / 8
    assert torch.linalg.cond(intertwiner) < 1e3
    for g in range(8):
        torch.testing.assert_close(intertwiner @ judged[g], regular[g] @ intertwiner, **CLOSE)
        torch.testing.assert_close(torch.linalg.solve(intertwiner, regular[g] @ intertwiner), judged[g], **CLOSE)


def test_the_plane_of_the_representation_is_how_pixels_move(judged):
    """A point (x right, y up) moved in space lands where the grid action takes its pixel."""
    side = 5
    for g, element in enumerate(P4M.elements):
        for row, col in [(0, 1), (1, 4), (3, 2)]:
            x, y = col - side // 2, side // 2 - row
            moved = in_space(element)[:2, :2].numpy() @ np.array([x, y])
            target = (side // 2 - round(moved[1])) * side + round(moved[0]) + side // 2
            assert P4M.grid_action(side)[g][target] == row * side + col
