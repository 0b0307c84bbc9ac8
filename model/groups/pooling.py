"""Pooling over the group and over the grid (Cohen & Welling 2016, §6.3).

Pooling is two steps. The first takes the maximum over a neighbourhood U of every point,

    (P f)(g) = max_{h ∈ gU} f(h)                            P L_u f = L_u P f for any U

and keeps the full symmetry. The second keeps fewer points and with them the symmetry of the points that remain: of a
subgroup H (`subsample`), of the cosets gH (`coset_pool`), or of every second pixel (`halve`).
"""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from model.groups.action import by_element
from model.groups.group import Group


def group_mean(features: Tensor, order: int) -> Tensor:
    """Mean over the stabilizer: (N, C·|G|, H, W) → (N, C, H, W).

    Law: Φ(L_u f) = T_u Φ(f). The result turns like an image, so each of its values is an invariant of its cell.
    """
    return by_element(features, order).mean(2)


def halve(features: Tensor) -> Tensor:
    """Mean over 2×2 pixels with stride 2: (N, C, H, W) → (N, C, ⌊H/2⌋, ⌊W/2⌋).

    Law: Φ(T_u f) = T_u Φ(f) for even H and W. An odd side loses its last row or column, which breaks the symmetry.
    """
    height, width = (size // 2 * 2 for size in features.shape[-2:])
    # Rows, then columns: on a CPU with channels first, forward and backward take a third of avg_pool2d's time.
    rows = features[..., 0:height:2, :width] + features[..., 1:height:2, :width]  # (N, C, H/2, W)
    return 0.25 * (rows[..., 0::2] + rows[..., 1::2])  # (N, C, H/2, W/2)


def coset_pool(features: Tensor, group: Group, subgroup: Iterable[int], how: Literal["max", "mean"] = "max") -> Tensor:
    """Pools over each coset gH: G → G/H, (N, C·|G|, H, W) → (N, C·|G/H|, H, W).

    Law: Φ(L_u f)(gH, x) = Φ(f)(u⁻¹gH, u⁻¹x). Over all rotations of p4 the result turns like an image.

    Raises:
        ValueError: `subgroup` (indices into `group.elements`) is not closed under the product.
    """
    # Left cosets: u maps gH onto ugH, so turning the map permutes the pooled planes.
    cosets = torch.from_numpy(group.left_cosets(subgroup))  # (|G/H|, |H|)
    planes = by_element(features, len(group))[:, :, cosets]  # (N, C, |G/H|, |H|, H, W)
    return (planes.amax(3) if how == "max" else planes.mean(3)).flatten(1, 2)


def group_pool(features: Tensor, group: Group, domain: Iterable[int]) -> Tensor:
    """Maximum over gU for every g, without stride: (N, C·|G|, H, W) → the same. Law: P L_u f = L_u P f, for any U."""
    neighbours = torch.from_numpy(group.product[:, list(domain)])  # (|G|, |U|): (g, u) → gu
    return by_element(features, len(group))[:, :, neighbours].amax(3).flatten(1, 2)


def subsample(features: Tensor, group: Group, subgroup: Iterable[int]) -> Tensor:
    """Keeps the planes of H: G → H, (N, C·|G|, H, W) → (N, C·|H|, H, W).

    Equivariant to H and not to G ("subsampling on a subgroup", §6.3).
    """
    return by_element(features, len(group))[:, :, list(subgroup)].flatten(1, 2)
