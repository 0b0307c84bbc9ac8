"""The rotation check: computes a region under other elements of the network's own group and turns the maps back.

    residual = max_{g, x} |(T_g⁻¹ Φ T_g f)(x) − Φ(f)(x)|        zero but for rounding where Φ T_g = T_g Φ

The residual is in logits, since scores saturate. The check is a software self-test of weights, kernels, region sizes
and resampling. Random weights pass it too, so passing says nothing about a score being right. A network with a smaller
group than p4m is checked under its own; the spread over the remaining views is measured too, as information.
"""

import numpy as np
from torch import nn

from model.groups.group import Group, get_group, transform
from model.inference.dense import Pixels, infer

P4M = get_group("p4m")
TOLERANCE = 1e-3  # logits, float32: some hundred times the rounding that was measured, far below any fault


def residual(network: nn.Module, region: Pixels, elements: list[int]) -> float:
    """The largest |T_g⁻¹ Φ(T_g x) − Φ(x)| over cells and elements, in logits.

    Args:
        network: takes (N, 3, H, W) float in 0..255.
        region: (H, W, 3) uint8; H and W multiples of 16.
        elements: indices into p4m. The identity adds nothing.

    Returns:
        A number ≥ 0; not finite when any logit is not.
    """
    reference = infer(network, region[None])[0]
    if not np.isfinite(reference).all():
        return float("inf")
    worst = 0.0  # each view is computed by itself: a batch of several could round differently from one
    for g in elements:
        turned = infer(network, transform(region, P4M.elements[g])[None])[0]
        back = transform(turned, P4M.elements[int(P4M.inverse[g])])
        if not np.isfinite(back).all():
            return float("inf")  # max() would drop a NaN, and it would pass for no difference
        worst = max(worst, float(np.abs(back - reference).max(initial=0.0)))
    return worst


def sample_elements(group: Group, seed: int) -> list[int]:
    """A random turn and a random mirrored element of the group, as far as it has them, by index into p4m."""
    rng = np.random.default_rng(seed)
    # The identity is left out: its residual is zero whatever the network computes.
    rotations = [P4M.elements.index(element) for element in group.elements[1:] if not element.mirror]
    mirrors = [P4M.elements.index(element) for element in group.elements[1:] if element.mirror]
    return [int(rng.choice(kind)) for kind in (rotations, mirrors) if kind]


def sample_outside(group: Group, seed: int) -> list[int]:
    """A random element of p4m outside the network's own group, by index into p4m; none for p4m itself.

    The network guarantees nothing there: its residual is information, not a self-test.
    """
    outside = [g for g, element in enumerate(P4M.elements) if element not in group.elements]
    return [int(np.random.default_rng(seed).choice(outside))] if outside else []
