"""Fields of known lesions, composed of labelled patches: what a network finds of a lesion of so many cells.

A field is a mosaic of patches without tumour, each once, turned and mirrored at random. A lesion of n cells is the
compact set of n grid cells around a centre; where the labels of its cells look, at the 32×32 px around each cell's
centre (PCam's label), the field shows a mosaic of tumour patches instead, one of which is centred on the lesion. So a
lesion of one cell is the labelled centre of one tumour patch, amid normal tissue.

Seams stand where patches meet, and around a lesion: no real slide has them. The patches are PCam's, of which hard
negatives are a part. Such fields compare thresholds and ways to sum a slide up; they do not replace annotated slides.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.groups.group import get_group, transform
from model.inference.dense import Pixels
from model.networks.densenet import PATCH_PX, STRIDE_PX

FIELD_PATCHES = 8  # a side
FIELD_CELLS = (FIELD_PATCHES - 1) * PATCH_PX // STRIDE_PX + 1  # a side
LABEL_PX = 32  # the side of the square that a cell's label speaks of
FIELD_MM2 = (FIELD_CELLS * STRIDE_PX * 0.972) ** 2 / 1e6  # at PCam's 0.972 µm a pixel
REACH_CELLS = 4  # cells around a lesion whose patch shows some of it
MOST_SHARE = 0.1  # of a field's cells that may be lesions, beyond the first lesion
Cells = NDArray[np.int64]


@dataclass(frozen=True)
class Field:
    """A mosaic with its lesions.

    `pixels`: (H, W, 3) uint8. `lesions`: (FIELD_CELLS, FIELD_CELLS), the number of the lesion that a cell belongs to,
    from 1, or 0. `background`: the number of the mosaic beneath, which fields of other lesions share.
    """

    pixels: Pixels
    lesions: Cells
    background: int


def disc(cells: int) -> Cells:
    """The offsets (row, column) of the `cells` grid cells nearest to the origin, (cells, 2); ties in reading order."""
    reach = int(np.sqrt(cells)) + 1
    row, col = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    order = np.lexsort((col, row, row**2 + col**2))[:cells]
    return np.stack([row, col], 1)[order]


def mosaic(patches: Pixels, rows: int, cols: int, rng: np.random.Generator) -> Pixels:
    """rows × cols patches side by side, each turned and mirrored at random: (N, 96, 96, 3) → (96·rows, 96·cols, 3).

    Patches are used in order, and again from the first where there are too few.
    """
    elements = get_group("p4m").elements
    turned = [transform(patches[i % len(patches)], elements[rng.integers(8)]) for i in range(rows * cols)]
    return np.concatenate([np.concatenate(turned[i : i + cols], 1) for i in range(0, len(turned), cols)])


def backgrounds(normal: Pixels, rng: np.random.Generator) -> Iterator[Pixels]:
    """Mosaics of FIELD_PATCHES² patches without tumour. No patch is in two of them; the last patches may be in none."""
    order, each = rng.permutation(len(normal)), FIELD_PATCHES**2
    for first in range(0, len(order) - each + 1, each):
        yield mosaic(normal[order[first : first + each]], FIELD_PATCHES, FIELD_PATCHES, rng)


def empty(background: Pixels, number: int) -> Field:
    """A field without lesions."""
    return Field(background, np.zeros((FIELD_CELLS, FIELD_CELLS), np.int64), number)


def with_lesions(background: Pixels, number: int, cells: int, tumour: Pixels, rng: np.random.Generator) -> Field:
    """A field with lesions of `cells` cells: as many as fit apart from each other, up to MOST_SHARE, at least one.

    `tumour`: patches whose label is positive, (N, 96, 96, 3); drawn at random for each lesion.
    """
    pixels, lesions = background.copy(), np.zeros((FIELD_CELLS, FIELD_CELLS), np.int64)
    offsets = disc(cells)
    low, high = -offsets.min(0), FIELD_CELLS - offsets.max(0)
    occupied = np.zeros(lesions.shape, bool)
    count = 0
    for _ in range(200):
        if count and (count + 1) * cells > MOST_SHARE * lesions.size:
            break
        place = offsets + rng.integers(low, high)
        around = surroundings(place, 2 * REACH_CELLS, lesions.shape)
        if occupied[around].any():
            continue
        count += 1
        occupied[tuple(place.T)], lesions[tuple(place.T)] = True, count
        _paint(pixels, place, tumour, rng)
    return Field(pixels, lesions, number)


def surroundings(place: Cells, reach: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The rectangle of cells around some, (N, 2), `reach` cells wider on every side and within the grid."""
    first, last = np.maximum(place.min(0) - reach, 0), np.minimum(place.max(0) + reach + 1, shape)
    return slice(first[0], last[0]), slice(first[1], last[1])


def _paint(pixels: Pixels, place: Cells, tumour: Pixels, rng: np.random.Generator) -> None:
    """Shows tumour where the labels of the cells look, (N, 2) with the central cell first."""
    margin = (PATCH_PX - LABEL_PX) // 2
    top, left = place.min(0) * STRIDE_PX
    height, width = (place.max(0) - place.min(0)) * STRIDE_PX + PATCH_PX
    # The lattice of tumour patches has one whose centre is the central cell's.
    before = -(-(place[0] * STRIDE_PX - (top, left)) // PATCH_PX)  # whole patches before it
    after = -(-(np.array([top + height, left + width]) - place[0] * STRIDE_PX) // PATCH_PX)
    rows, cols = before + after
    drawn = tumour[rng.choice(len(tumour), rows * cols, replace=rows * cols > len(tumour))]
    layer = mosaic(drawn, rows, cols, rng)
    y, x = before * PATCH_PX - (place[0] * STRIDE_PX - (top, left))
    layer = layer[y : y + height, x : x + width]
    mask = np.zeros((height, width), bool)
    for row, col in place * STRIDE_PX - (top, left) + margin:
        mask[row : row + LABEL_PX, col : col + LABEL_PX] = True
    window = pixels[top : top + height, left : left + width]
    window[mask] = layer[mask]
