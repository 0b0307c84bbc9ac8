"""The action of a group on feature maps."""

import torch
from torch import Tensor

from model.groups.group import Element, Group


def by_element(features: Tensor, order: int) -> Tensor:
    """(N, C·|G|, H, W) → (N, C, |G|, H, W)."""
    n, channels, *size = features.shape
    return features.reshape(n, channels // order, order, *size)


def turn(planes: Tensor, element: Element) -> Tensor:
    """T_g on the last two axes, of any tensor."""
    mirrored = planes.flip(-1) if element.mirror else planes
    return torch.rot90(mirrored, element.turns, (-2, -1))


def act(features: Tensor, group: Group, u: int) -> Tensor:
    """L_u of a feature map (N, C·|G|, H, W)."""
    planes = by_element(features, len(group))
    source = group.product[group.inverse[u]]  # s → u⁻¹ s
    return turn(planes[:, :, source], group.elements[u]).flatten(1, 2)
