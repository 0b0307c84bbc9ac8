"""The eight views of an image."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from model.groups.action import turn
from model.groups.group import get_group

Views = Literal["one", "max", "mean"]


def over_views(compute: Callable[[Tensor], Tensor], image: Tensor, how: Views) -> Tensor:
    """`compute` of the image, or of its eight views, each turned back, and pooled. Law: turns with the image."""
    if how == "one":
        return compute(image)
    group = get_group("p4m")
    seen = [
        turn(compute(turn(image, element)), group.elements[int(group.inverse[g])])
        for g, element in enumerate(group.elements)
    ]
    return torch.stack(seen).amax(0) if how == "max" else torch.stack(seen).mean(0)
