"""How a group moves images and feature maps.

An image is a function f on ℤ². An element g of the stabilizer moves it by (Cohen & Welling 2016, eq. 4)

    (T_g f)(x) = f(g⁻¹ x)                                   `turn`

A feature map is a function on ℤ² × stabilizer, stored as (N, C·|G|, H, W) with (channel, element) flattened. An
element u turns every plane and permutes the planes:

    (L_u f)(s, x) = f(u⁻¹ s, u⁻¹ x)                         `act`

A layer Φ is equivariant when Φ(L_u f) = L_u Φ(f) for every u.
"""

import torch
from torch import Tensor

from model.groups.group import Element, Group


def by_element(features: Tensor, order: int) -> Tensor:
    """Separates channels from group elements: (N, C·|G|, H, W) → (N, C, |G|, H, W). `order` is |G|."""
    n, channels, *size = features.shape
    return features.reshape(n, channels // order, order, *size)


def turn(planes: Tensor, element: Element) -> Tensor:
    """T_g on the last two axes (row, column) of a tensor of any rank; values are moved, never interpolated."""
    mirrored = planes.flip(-1) if element.mirror else planes  # the mirror comes first: g = ρ^r μ^m
    return torch.rot90(mirrored, element.turns, (-2, -1))


def act(features: Tensor, group: Group, u: int) -> Tensor:
    """L_u of a feature map (N, C·|G|, H, W); `u` is an index into `group.elements`."""
    planes = by_element(features, len(group))  # (N, C, |G|, H, W)
    source = group.product[group.inverse[u]]  # (|G|,): s → u⁻¹ s
    return turn(planes[:, :, source], group.elements[u]).flatten(1, 2)  # (N, C·|G|, H, W)
