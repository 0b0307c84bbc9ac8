"""The cost of a cell: floating-point operations, and speed on this machine."""

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.inference.dense import REGION_PX, cells_a_side, infer
from model.inference.frozen import Frozen


@torch.inference_mode()
def flops(frozen: Frozen, side_px: int) -> int:
    """Multiplications and additions of all convolutions for one square region of `side_px`."""
    total = 0

    def count(layer: nn.Module, _: Any, out: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d)
        total += 2 * layer.weight[0].numel() * out.numel()

    convs = [layer for layer in frozen.modules() if isinstance(layer, nn.Conv2d)]
    handles = [layer.register_forward_hook(count) for layer in convs]
    infer(frozen, np.zeros((1, side_px, side_px, 3), np.uint8))
    for handle in handles:
        handle.remove()
    return total


def flops_per_cell(frozen: Frozen, side_px: int = REGION_PX) -> float:
    """FLOPs of one cell of a dense region, with its share of the halo."""
    return flops(frozen, side_px) / cells_a_side(side_px) ** 2


def cells_per_second(frozen: Frozen, rounds: int = 3) -> float:
    """Cells a wall second in dense regions of 512 px on torch's threads: the best of `rounds` after a warm-up."""
    region = np.random.default_rng(0).integers(0, 256, (1, REGION_PX, REGION_PX, 3), dtype=np.uint8)
    infer(frozen, region)
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        infer(frozen, region)
        seconds.append(time.perf_counter() - began)
    return cells_a_side(REGION_PX) ** 2 / min(seconds)
