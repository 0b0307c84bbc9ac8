"""The group axioms, and that the action is one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.groups.group import Element, get_group, transform

names = pytest.mark.parametrize("name", ["z2", "p4", "p4m"])


@names
def test_the_table_is_a_group(name):
    group = get_group(name)
    order, table = len(group), group.product
    for a in range(order):
        assert sorted(table[a]) == list(range(order)), "closed, and each row a permutation"
        assert table[a, 0] == a == table[0, a], "identity first"
        assert table[a, group.inverse[a]] == 0 == table[group.inverse[a], a]
        for b in range(order):
            for c in range(order):
                assert table[table[a, b], c] == table[a, table[b, c]]


def test_p4m_is_dihedral_and_not_abelian():
    table = get_group("p4m").product
    assert len(table) == 8
    assert (table != table.T).any()
    turn, mirror = Element(0, 1), Element(1, 0)
    assert mirror @ turn @ mirror == Element(0, 3)


@names
@given(st.data())
def test_the_action_is_a_homomorphism(name, data):
    group = get_group(name)
    g, h = (data.draw(st.integers(0, len(group) - 1)) for _ in range(2))
    image = np.arange(3 * 5 * 2).reshape(3, 5, 2)
    composed = transform(transform(image, group.elements[h]), group.elements[g])
    np.testing.assert_array_equal(composed, transform(image, group.elements[group.product[g, h]]))


@names
@pytest.mark.parametrize("k", [1, 3, 4])
def test_the_grid_action_gathers_the_transform(name, k):
    group, image = get_group(name), np.random.default_rng(0).normal(size=(k, k))
    for g, element in enumerate(group.elements):
        np.testing.assert_array_equal(image.flat[group.grid_action(k)[g]], transform(image, element).flat)


def test_cosets_part_the_group():
    group = get_group("p4m")
    for name in ("identity", "rotations", "mirror", "all"):
        cosets = group.left_cosets(group.subgroup(name))
        assert sorted(cosets.flat) == list(range(8))
        assert len(cosets) * len(group.subgroup(name)) == 8


def test_sets_that_are_no_subgroup_are_refused():
    with pytest.raises(ValueError, match="not a subgroup"):
        get_group("p4").left_cosets([0, 1])
    with pytest.raises(ValueError, match="no mirrors"):
        get_group("p4").subgroup("mirror")
    with pytest.raises(ValueError, match="unknown group"):
        get_group("p6")
