"""The eight views of an image: computed one by one, turned back, pooled.

    Φ_views(f) = pool_{g ∈ D4}  T_g⁻¹ Φ(T_g f)

"max" over features before the classifier is TI-Pooling (Laptev et al. 2016); "mean" is test-time averaging of logits
(the classifier is linear, so averaging its input averages its output). Either makes any Φ exactly equivariant to p4m,
at eight times the cost.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from model.groups.action import turn
from model.groups.group import get_group

Views = Literal["one", "max", "mean"]


def over_views(compute: Callable[[Tensor], Tensor], image: Tensor, how: Views) -> Tensor:
    """`compute` of an image (N, 3, H, W), or pooled over its eight views. Law: the result turns with the image.

    Args:
        compute: (N, 3, H, W) → (N, C, H', W').
        how: "one" computes the image as it is.
    """
    if how == "one":
        return compute(image)
    group = get_group("p4m")
    views = [
        turn(compute(turn(image, element)), group.elements[int(group.inverse[g])])  # (N, C, H', W')
        for g, element in enumerate(group.elements)
    ]
    return torch.stack(views).amax(0) if how == "max" else torch.stack(views).mean(0)
