"""A second implementation of both convolutions, straight from the definition: sums over the group, in plain loops.

    lifting (eq. 10):  [f ⋆ ψ](x, s) = Σ_k Σ_y f_k(y) ψ_k((x, s)⁻¹ y)
    group   (eq. 11):  [f ⋆ ψ](x, s) = Σ_k Σ_t Σ_y f_k(y, t) ψ_k((x, s)⁻¹ (y, t))

with (x, s)⁻¹ y = s⁻¹(y − x) and (x, s)⁻¹ (y, t) = (s⁻¹(y − x), s⁻¹ t). Elements act on points as 2×2 integer matrices
about the filter's centre; nothing is shared with the package but the order in which elements are listed.
"""

import numpy as np

TURN = np.array([[0, 1], [-1, 0]])  # on (x right, y down): a quarter turn counter-clockwise as seen
MIRROR = np.array([[-1, 0], [0, 1]])


def matrices(name):
    """The elements as matrices, in the order 4m + r: mirror first, then r turns."""
    mirrors, turns = {"z2": (1, 1), "p4": (1, 4), "p4m": (2, 4)}[name]
    power = np.linalg.matrix_power
    return [power(TURN, r) @ power(MIRROR, m) for m in range(mirrors) for r in range(turns)]


def position(matrix, elements):
    return next(i for i, e in enumerate(elements) if (e == matrix).all())


def offsets(k):
    """(row, column) and the point relative to the centre, for k odd or 1."""
    return [((i, j), np.array([j - (k - 1) // 2, i - (k - 1) // 2])) for i in range(k) for j in range(k)]


def lifting(image, psi, name):
    """image (C, H, W), psi (O, C, k, k) → (O, |G|, H−k+1, W−k+1)."""
    elements, k = matrices(name), psi.shape[-1]
    height, width = image.shape[1] - k + 1, image.shape[2] - k + 1
    out = np.zeros((psi.shape[0], len(elements), height, width))
    for s, matrix in enumerate(elements):
        for (i, j), point in offsets(k):
            x, y = matrix.T @ point  # the inverse of an orthogonal matrix
            value = psi[:, :, y + (k - 1) // 2, x + (k - 1) // 2]
            out[:, s] += np.einsum("oc,chw->ohw", value, image[:, i : i + height, j : j + width])
    return out


def group(features, psi, name):
    """features (C, |G|, H, W), psi (O, C, |G|, k, k) → (O, |G|, H−k+1, W−k+1)."""
    elements, k = matrices(name), psi.shape[-1]
    height, width = features.shape[2] - k + 1, features.shape[3] - k + 1
    out = np.zeros((psi.shape[0], len(elements), height, width))
    for s, matrix in enumerate(elements):
        for t, other in enumerate(elements):
            source = position(matrix.T @ other, elements)
            for (i, j), point in offsets(k):
                x, y = matrix.T @ point
                value = psi[:, :, source, y + (k - 1) // 2, x + (k - 1) // 2]
                out[:, s] += np.einsum("oc,chw->ohw", value, features[:, t, i : i + height, j : j + width])
    return out
