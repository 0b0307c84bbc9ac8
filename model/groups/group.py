"""The stabilizers of p4 and p4m: their elements, product, inverses and action on a square grid (NumPy only).

p4m is the group of translations, quarter turns and mirrors of the plane grid (Cohen & Welling 2016, §4). Every
element is a translation after an element of the stabilizer of the origin, here written

    g = ρ^r μ^m          ρ: a quarter turn counter-clockwise,  μ: the left-right mirror,  r in 0..3, m in 0..1

that is, mirror first, then turn. With μρ = ρ⁻¹μ the product is

    (ρ^r μ^m)(ρ^s μ^n) = ρ^(r + (−1)^m s) μ^(m + n)

p4 has m = 0 only; z2 (plain convolution) has the identity only. The element ρ^r μ^m has index 4m + r.

An element acts on an image f as (T_g f)(x) = f(g⁻¹ x), the left action of the paper's eq. 4, so T_g T_h = T_gh.

A further group of these elements is added here: its name in `GroupName` and its elements in `get_group`. Filter banks
and layers read the product, the inverses and the grid action. Groups are named in `model.families.family`, which makes
a family of each, in `model.networks.registry` and `densenet`, which choose a family, and in the figures of
`model.evidence`. `model.networks.views` and `model.checks.rotation_check` use p4m as the set of all eight views of an
image, and find a group's elements in it by equality, not by index.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
GroupName = Literal["z2", "p4", "p4m"]


@dataclass(frozen=True)
class Element:
    """ρ^turns μ^mirror: the mirror is applied first."""

    mirror: int  # 0 or 1
    turns: int  # quarter turns counter-clockwise, 0 to 3

    def __matmul__(self, other: "Element") -> "Element":
        """The product: `self` after `other`."""
        sign = -1 if self.mirror else 1  # μρ = ρ⁻¹μ
        return Element((self.mirror + other.mirror) % 2, (self.turns + sign * other.turns) % 4)

    def __str__(self) -> str:
        return f"{'mirrored, ' if self.mirror else ''}turned {90 * self.turns}°"


def transform(image: NDArray[Any], element: Element, axes: tuple[int, int] = (0, 1)) -> NDArray[Any]:
    """T_g of an array of any shape: its `axes` (row, column) are mirrored left-right, then turned; a view, no copy."""
    mirrored = np.flip(image, axes[1]) if element.mirror else image
    return np.rot90(mirrored, element.turns, axes)


@dataclass(frozen=True)
class Group:
    """A stabilizer, as an ordered tuple of elements with the identity first."""

    name: GroupName
    elements: tuple[Element, ...]

    def __len__(self) -> int:
        return len(self.elements)

    @cached_property
    def product(self) -> Indices:
        """The Cayley table, (|G|, |G|): the index of elements[a] @ elements[b]."""
        index = {element: i for i, element in enumerate(self.elements)}
        return np.array([[index[a @ b] for b in self.elements] for a in self.elements])

    @cached_property
    def inverse(self) -> Indices:
        """The index of each element's inverse, (|G|,)."""
        return np.argwhere(self.product == 0)[:, 1]  # the identity has index 0 and stands once in every row

    def grid_action(self, k: int) -> Indices:
        """The action on a k×k grid as a gather, (|G|, k·k): (T_g f).flat == f.flat[grid_action(k)[g]]."""
        grid = np.arange(k * k).reshape(k, k)
        return np.stack([transform(grid, element).reshape(-1) for element in self.elements])

    def subgroup(self, name: Literal["identity", "rotations", "mirror", "all"]) -> tuple[int, ...]:
        """Indices of a subgroup's elements, ascending; `mirror` is {e, μ}.

        Raises:
            ValueError: the group has no such subgroup.
        """
        turns = (0, 1, 2, 3) if name in ("rotations", "all") else (0,)
        mirrors = (0, 1) if name in ("mirror", "all") else (0,)
        members = tuple(
            i for i, element in enumerate(self.elements) if element.turns in turns and element.mirror in mirrors
        )
        if name == "mirror" and len(members) != 2:
            raise ValueError(f"{self.name} has no mirrors")
        return members

    def left_cosets(self, subgroup: Iterable[int]) -> Indices:
        """The cosets gH, (|G|/|H|, |H|): indices ascending within a coset, cosets in order of their first.

        Raises:
            ValueError: `subgroup` is not closed under the product.
        """
        members = sorted(subgroup)
        if not members or not set(self.product[np.ix_(members, members)].flat) <= set(members):
            raise ValueError(f"{members} is not a subgroup of {self.name}")
        cosets = {tuple(sorted(self.product[g, members])) for g in range(len(self))}
        return np.array(sorted(cosets))


@lru_cache
def get_group(name: GroupName) -> Group:
    """A group by name: z2 (1 element), p4 (4) or p4m (8).

    Raises:
        ValueError: any other name.
    """
    counts = {"z2": (1, 1), "p4": (1, 4), "p4m": (2, 4)}
    if name not in counts:
        raise ValueError(f"unknown group {name!r}: choose z2, p4 or p4m")
    mirrors, turns = counts[name]
    return Group(name, tuple(Element(m, r) for m in range(mirrors) for r in range(turns)))
