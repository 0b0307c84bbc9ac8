"""The test-time rotation check: run a region under other elements of the network's own group and turn the maps back.

An exactly equivariant network leaves nothing but rounding. The residual is compared in logits, since scores saturate.
It is a software self-test (weights, kernels, region sizes, resampling); random weights pass it too, so passing says
nothing about a score being right. A network with a smaller group than p4m is checked under its own; how much the other
views change its answer is measured beside it, and shown.
"""

import numpy as np
from torch import nn

from model.groups.group import Group, get_group, transform
from model.inference.dense import Pixels, infer

P4M = get_group("p4m")
TOLERANCE = 1e-3  # logits, float32: some hundred times the rounding seen, far below a fault's


def residual(network: nn.Module, region: Pixels, elements: list[int]) -> float:
    """The largest |T_g⁻¹ Φ(T_g x) − Φ(x)| over cells and elements, in logits.

    Args:
        network: takes (N, 3, H, W) float in 0..255.
        region: (H, W, 3) uint8; H and W multiples of 16.
        elements: indices into p4m, of which p4 and z2 are the first four and the first; the identity adds nothing.

    Returns:
        A number ≥ 0; not finite when any logit is not.
    """
    reference = infer(network, region[None])[0]
    if not np.isfinite(reference).all():
        return float("inf")
    worst = 0.0
    for g in elements:
        turned = infer(network, transform(region, P4M.elements[g])[None])[0]
        back = transform(turned, P4M.elements[int(P4M.inverse[g])])
        if not np.isfinite(back).all():
            return float("inf")  # max() would drop a NaN, and it would pass for no difference
        worst = max(worst, float(np.abs(back - reference).max(initial=0.0)))
    return worst


def sample_elements(group: Group, seed: int) -> list[int]:
    """Two elements other than the identity (fewer when the group is smaller), a mirror among them when there is one."""
    rng = np.random.default_rng(seed)
    rotations = [g for g in range(1, len(group)) if not group.elements[g].mirror]
    mirrors = [g for g in range(1, len(group)) if group.elements[g].mirror]
    return [int(rng.choice(kind)) for kind in (rotations, mirrors) if kind]


def sample_outside(group: Group, seed: int) -> list[int]:
    """One of the eight views under which the network promises nothing, by index into p4m; none for p4m itself.

    The residual there is information about the network, no self-test.
    """
    outside = range(len(group), len(P4M))
    return [int(np.random.default_rng(seed).choice(outside))] if outside else []
