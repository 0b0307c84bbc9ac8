"""Golden outputs: the logits of a network for pictures that anyone can compute again.

They detect wrong weights, a wrong build and swapped colour channels, to which the rotation check is blind. The pictures
are blobs in haematoxylin and eosin colours, from integer arithmetic alone, so they are the same on every machine.
"""

import numpy as np
from torch import nn

from model.inference.dense import Pixels, infer
from model.networks.densenet import PATCH_PX
from model.weights.card import Card, WeightsRefused

COUNT = 8
TOLERANCE = 2e-3  # logits; float32 backends differ by about 1e-5


def pictures() -> Pixels:
    """The golden pictures, (8, 96, 96, 3) uint8."""
    state = np.uint64(88172645463325252)
    images = np.empty((COUNT, PATCH_PX, PATCH_PX, 3), np.uint8)
    y, x = np.mgrid[:PATCH_PX, :PATCH_PX]
    for n in range(COUNT):
        images[n] = (226 - 6 * n, 160 + 7 * n, 200)
        for _ in range(12 + 6 * n):
            state, (cy, cx, radius, dark) = _draw(state)
            inside = (y - cy % PATCH_PX) ** 2 + (x - cx % PATCH_PX) ** 2 < (3 + radius % 7) ** 2
            images[n][inside] = (90 + dark % 50, 50 + dark % 60, 130 + dark % 40)
    return images


def _draw(state: np.uint64) -> tuple[np.uint64, tuple[int, int, int, int]]:
    """The next state of Marsaglia's xorshift64, and four small numbers from it."""
    value, mask = int(state), 2**64 - 1
    value ^= (value << 13) & mask
    value ^= value >> 7
    value ^= (value << 17) & mask
    return np.uint64(value), (value & 0xFFFF, value >> 16 & 0xFFFF, value >> 32 & 0xFFFF, value >> 48 & 0xFFFF)


def outputs(network: nn.Module) -> list[float]:
    """A network's logits of the golden pictures."""
    return [float(value) for value in infer(network, pictures())[:, 0, 0]]


def check(network: nn.Module, card: Card) -> float:
    """The largest difference from the card's golden outputs, in logits.

    Raises:
        WeightsRefused: the card has none, or the difference exceeds the tolerance.
    """
    if len(card.golden) != COUNT:
        raise WeightsRefused(f"the card of {card.name} has no golden outputs")
    difference = float(np.abs(np.array(outputs(network)) - np.array(card.golden)).max())
    if not difference <= TOLERANCE:
        raise WeightsRefused(
            f"{card.name} answers the golden pictures {difference:.3g} logits off (tolerance {TOLERANCE:g}): "
            "wrong weights, a wrong build or swapped colour channels"
        )
    return difference
