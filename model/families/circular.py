"""Circular harmonics on a small pixel grid, the basis of harmonic and steerable filters (NumPy only).

    ψ(r, φ) = τ(r) e^{imφ}                     (Worrall et al. 2017, Weiler et al. 2018)

with a radial profile τ and an order m. Points are relative to the filter's centre, x to the right and y up, so that φ
grows counter-clockwise as seen, like every angle in this package. An order m ≠ 0 is zero at the centre, where an angle
has no meaning. Turning such a filter by θ multiplies it by a phase, (T_θ ψ)(r, φ) = ψ(r, φ − θ) = e^{−imθ} ψ(r, φ).
On the grid that is exact for quarter turns, which map the grid onto itself, and approximate for other angles.
"""

import numpy as np
from numpy.typing import NDArray

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]

# Width of a ring. On 3×3, order 2 responds to ½(x² − y²) by 2τ(1) and to xy by 4τ(√2). An eighth turn maps one onto the
# other, so both must be equal: τ(√2) = τ(1)/2, that is σ = (√2 − 1)/√(2 ln 2) = 0.352 px (the paper has 0.6 on larger
# grids).
SIGMA_PX = (np.sqrt(2) - 1) / np.sqrt(2 * np.log(2))


def polar(k: int) -> tuple[Real, Real]:
    """Radius in px and angle in radians of each pixel of a k×k filter; (k, k) each, rows downward.

    Raises:
        ValueError: k is even, so there is no centre pixel.
    """
    if k % 2 == 0:
        raise ValueError(f"a filter of {k}×{k} px has no centre pixel")
    reach = k // 2
    x, y = np.meshgrid(np.arange(-reach, reach + 1), np.arange(reach, -reach - 1, -1))
    return np.hypot(x, y), np.arctan2(y, x)


def wave(k: int, order: int, turned_by: float = 0.0) -> Complex:
    """e^{im(φ − θ)}, (k, k), θ = `turned_by` in radians; zero at the centre for m ≠ 0."""
    radius, angle = polar(k)
    values = np.exp(1j * order * (angle - turned_by))
    return values if order == 0 else np.where(radius == 0, 0, values)


def exact_rings(k: int) -> Real:
    """One indicator function a distinct radius, (rings, k, k), the centre first; for k = 3 the radii are 0, 1 and √2.

    Any radial profile on the grid is a sum of them.
    """
    radius = polar(k)[0].round(9)  # equal radii differ in their last bits
    return np.stack([(radius == r).astype(float) for r in np.unique(radius)])


def gaussian_rings(k: int, sigma_px: float = SIGMA_PX) -> Real:
    """exp(−(r − j)² / 2σ²), j = 0 … k//2: (rings, k, k); profiles after Weiler et al. 2018, §3.4."""
    radius, _ = polar(k)
    return np.stack([np.exp(-0.5 * ((radius - j) / sigma_px) ** 2) for j in range(k // 2 + 1)])
