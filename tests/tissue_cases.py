"""Twenty pictures with tissue, ink and glass whose truth is known, for the tissue mask.

Eighteen are drawn, so that their truth is exact; two are a real scan (CMU-1-Small-Region.svs of OpenSlide's test data,
under QUARTERTURN_TEST_DATA) with an outline drawn by hand. `python -m tests.tissue_cases PICTURE FOLDER` draws all with
the mask beside each, and prints the recall of each.
"""

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from core.pixels import tissue
from core.pixels.frame import NETWORK_MPP
from core.pixels.levels import Level, SlideInfo
from core.pixels.sampling import sample_blocks

ROWS, COLS = 960, 1280  # px of the drawn pictures, at the network's resolution
WHITE = (243, 243, 244)
STROMA, NODE, EOSIN, BLOOD = (226, 168, 200), (150, 105, 175), (222, 84, 148), (178, 44, 66)
GREEN, BLUE, BLACK, RED = (30, 160, 70), (40, 60, 190), (35, 35, 40), (225, 25, 30)


@dataclass(frozen=True)
class Case:
    """A picture, uint8 (h, w, 3), and its truth, each bool (h, w): `tissue` must be analysed, `ink` must not."""

    name: str
    picture: np.ndarray
    tissue: np.ndarray
    ink: np.ndarray
    mpp: float = NETWORK_MPP


class Slide:
    """A slide that is drawn on; its truth is kept beside it."""

    def __init__(self, glass=WHITE, seed=0):
        self.rng = np.random.default_rng(seed)
        self.pixels = np.full((ROWS, COLS, 3), glass, float)
        self.tissue, self.ink = np.zeros((ROWS, COLS), bool), np.zeros((ROWS, COLS), bool)

    def draw(self, place, colour, density=1.0, nuclei=0.12, texture=9.0):
        """Tissue by Beer and Lambert: `density` times the optical density of `colour`, with nuclei of haematoxylin."""
        variation = 1 + self._smooth(24) * texture / 100
        dots = cv2.GaussianBlur((self.rng.random((ROWS, COLS)) < nuclei / 12).astype(float), (0, 0), 2.2) > 0.012
        absorbance = -np.log(np.array(colour) / 245) * density * variation[..., None]
        absorbance[dots] += -np.log(np.array((90, 60, 140)) / 245) * density
        self.pixels[place] = (245 * np.exp(-absorbance))[place]
        self.tissue |= place
        return self

    def fat(self, place, density=1.0):
        """Adipocytes: empty cells of some 70 µm with thin pink membranes."""
        seeds = np.ones((ROWS, COLS), np.uint8)
        points = self.rng.integers(0, (ROWS, COLS), (ROWS * COLS // 70**2, 2))
        seeds[points[:, 0], points[:, 1]] = 0
        _, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5)
        edges = cv2.dilate((cv2.Laplacian(labels.astype(np.float32), -1) != 0).astype(np.uint8), np.ones((3, 3)))
        membrane = cv2.GaussianBlur(edges.astype(float), (0, 0), 1.0)[..., None] * density
        self.pixels[place] = (self.pixels * (1 - 0.8 * membrane) + np.array(STROMA) * 0.8 * membrane)[place]
        self.tissue |= place
        return self

    def mark(self, place, colour, opacity=0.85):
        """Ink over whatever lies there. Only opaque ink is ink in the truth, and hides tissue."""
        self.pixels[place] = opacity * np.array(colour, float) + (1 - opacity) * self.pixels[place]
        self.ink |= place
        self.tissue &= ~place
        return self

    def shade(self, lowest=(205, 208, 196)):
        """Uneven light: the glass falls to `lowest` at one corner, and its tint drifts with it."""
        y, x = np.mgrid[:ROWS, :COLS]
        share = ((y / ROWS + x / COLS) / 2)[..., None]
        self.pixels *= 1 - share * (1 - np.array(lowest) / 244)
        return self

    def case(self, name, quality=None):
        noise = 2 * self.rng.standard_normal(self.pixels.shape, np.float32)
        noisy = np.clip(self.pixels + noise, 0, 255).astype(np.uint8)
        if quality:
            buffer = io.BytesIO()
            Image.fromarray(noisy).save(buffer, "JPEG", quality=quality)
            noisy = np.asarray(Image.open(buffer))
        return Case(name, noisy, self.tissue, self.ink)

    def _smooth(self, period):
        coarse = self.rng.normal(0, 1, (ROWS // period + 2, COLS // period + 2))
        return cv2.resize(coarse, (COLS, ROWS), interpolation=cv2.INTER_CUBIC)


def ellipse(y, x, height, width):
    """A place: centre and half axes as shares of the picture."""
    rows, cols = np.mgrid[:ROWS, :COLS]
    return ((rows / ROWS - y) / height) ** 2 + ((cols / COLS - x) / width) ** 2 < 1


def box(top, left, bottom, right):
    place = np.zeros((ROWS, COLS), bool)
    place[int(top * ROWS) : int(bottom * ROWS), int(left * COLS) : int(right * COLS)] = True
    return place


LEFT, RIGHT, STROKE = ellipse(0.5, 0.3, 0.36, 0.2), ellipse(0.5, 0.75, 0.36, 0.18), box(0.1, 0.62, 0.9, 0.72)
EVERYWHERE = box(0, 0, 1, 1)


def _ring():
    return ellipse(0.5, 0.3, 0.42, 0.25) & ~ellipse(0.5, 0.3, 0.3, 0.17)


def _margin():
    return ellipse(0.5, 0.3, 0.39, 0.22) & ~ellipse(0.5, 0.3, 0.36, 0.2)


def _islands():
    """White fill around two scanned fields, whose glass is grey."""
    slide = Slide((255, 255, 255))
    for field in (box(0.05, 0.05, 0.95, 0.5), box(0.1, 0.6, 0.8, 0.95)):
        slide.pixels[field] = (228, 226, 231)
    return slide.draw(LEFT & box(0.05, 0.05, 0.95, 0.5), STROMA, 0.5)


def _edges():
    """A cover-slip's edge across the slide and an air bubble."""
    slide = Slide().draw(LEFT, STROMA, 0.4)
    for place in (box(0, 0.6, 1, 0.612), ellipse(0.5, 0.8, 0.2, 0.1) & ~ellipse(0.5, 0.8, 0.19, 0.094)):
        slide.pixels[place] = (150, 152, 150)
    return slide


def _immune():
    """DAB in half of a node, with a pale blue counterstain."""
    slide = Slide().draw(LEFT, (205, 210, 226), 1.0, 0.05)
    return slide.draw(LEFT & box(0, 0, 0.5, 1), (150, 100, 62), 1.0, 0.05)


DRAWN: dict[str, Callable[[], Case]] = {
    "green pen beside pale tissue": lambda: Slide().draw(LEFT, STROMA, 0.35).mark(STROKE, GREEN).case(""),
    "blue pen beside pale tissue": lambda: Slide().draw(LEFT, STROMA, 0.35).mark(STROKE, BLUE).case(""),
    "black pen beside pale tissue": lambda: Slide().draw(LEFT, STROMA, 0.35).mark(STROKE, BLACK).case(""),
    "red pen beside pale tissue": lambda: Slide().draw(LEFT, STROMA, 0.35).mark(STROKE, RED, 0.95).case(""),
    "pen around a node": lambda: Slide().draw(LEFT, NODE, 0.8).mark(_ring(), BLUE).case(""),
    "ink at the margin": lambda: Slide().draw(LEFT, STROMA).mark(_margin(), GREEN).case(""),
    "very pale tissue": lambda: Slide().draw(LEFT, STROMA, 0.15).case(""),
    "blood beside pale tissue": lambda: Slide().draw(LEFT, STROMA, 0.3).draw(RIGHT, BLOOD, nuclei=0).case(""),
    "muscle beside a node": lambda: Slide().draw(LEFT, NODE, 0.35).draw(RIGHT, EOSIN, nuclei=0.01).case(""),
    "fat beside pale tissue": lambda: Slide().draw(LEFT, STROMA, 0.3).fat(RIGHT).case(""),
    "blue dye beside pale tissue": lambda: Slide().draw(LEFT, STROMA, 0.3).mark(RIGHT, (70, 140, 205), 0.8).case(""),
    "coloured label": lambda: Slide().draw(LEFT, STROMA, 0.4).mark(box(0, 0.7, 1, 1), (245, 215, 60), 1).case(""),
    "cover-slip edge and bubble": lambda: _edges().case(""),
    "uneven light": lambda: Slide().draw(LEFT, STROMA, 0.35).draw(RIGHT, STROMA, 0.35).shade().case(""),
    "two fields on white": lambda: _islands().case(""),
    "immunohistochemistry": lambda: _immune().case(""),
    "nothing but pale tissue": lambda: Slide().draw(EVERYWHERE, STROMA, 0.4).case("", quality=40),
    "empty slide, tinted": lambda: Slide((232, 236, 228)).shade((225, 229, 221)).case("", quality=40),
}

# Level-0 pixels of CMU-1-Small-Region.svs, by hand: the piece with its lumen, without the strand at its left.
OUTLINE = [
    (1000, 90), (1140, 110), (1320, 250), (1560, 420), (1640, 640), (1640, 900), (1800, 1010), (1980, 1330),
    (1700, 1560), (1640, 1830), (1880, 1890), (1860, 2460), (1830, 2960), (560, 2960), (560, 2650), (790, 2200),
    (840, 1500), (880, 1100), (1000, 620), (900, 300),
]  # fmt: skip


def real_cases(folder: Path) -> Iterator[Case]:
    """The real scan as it is, and pale with a green stroke beside it."""
    import openslide  # the drawn cases do without

    with openslide.OpenSlide(str(folder / "slides" / "CMU-1-Small-Region.svs")) as slide:
        pixels = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
    truth = np.zeros(pixels.shape[:2], np.uint8)
    cv2.fillPoly(truth, [np.array(OUTLINE)], 1)
    none = np.zeros(truth.shape, bool)
    yield Case("real scan", pixels, truth.astype(bool), none, 0.499)
    pale, ink = 255 - (255 - pixels.astype(float)) * 0.35, none.copy()
    ink[200:2700, 40:400] = True
    pale[ink] = 0.85 * np.array(GREEN) + 0.15 * pale[ink]
    yield Case("real scan, pale, green pen", pale.astype(np.uint8), truth.astype(bool) & ~ink, ink, 0.499)


def drawn_cases() -> Iterator[Case]:
    for name, make in DRAWN.items():
        case = make()
        yield Case(name, case.picture, case.tissue, case.ink, case.mpp)


def blocks_of(picture: np.ndarray, mpp: float) -> np.ndarray:
    """Means of 16×16 network pixels, as an inspection makes them of a slide."""
    height, width = picture.shape[:2]

    def read(_, x, y, across, down):
        out = np.full((down, across, 3), 255, np.uint8)
        top, left, bottom, right = max(y, 0), max(x, 0), min(y + down, height), min(x + across, width)
        out[top - y : bottom - y, left - x : right - x] = picture[top:bottom, left:right]
        return out

    info = SlideInfo("", width, height, [Level(width, height, 1.0, 1.0)], mpp, mpp, None)
    return sample_blocks(read, info.sources(False), info.frame())


def cells_of(truth: np.ndarray, mpp: float) -> np.ndarray:
    """The cells whose own 32×32 network pixels lie in the truth by more than half, bool (rows, cols) of the grid."""
    shares = blocks_of(np.repeat(truth[..., None], 3, 2).astype(np.uint8) * 255, mpp)[..., 0] / 255.0
    padded = np.pad(shares, 1)
    return (padded[:-1, :-1] + padded[:-1, 1:] + padded[1:, :-1] + padded[1:, 1:]) / 4 > 0.5


def judge(case: Case) -> tuple[np.ndarray, float, float]:
    """The kinds of the case's cells; the share of tissue cells that is tissue; the share of ink cells that is not."""
    kinds = tissue.cell_kinds(tissue.block_kinds(blocks_of(case.picture, case.mpp)))
    truth, ink = cells_of(case.tissue, case.mpp), cells_of(case.ink, case.mpp)
    recall = float((kinds[truth] == tissue.Kind.TISSUE).mean()) if truth.any() else 1.0
    return kinds, recall, float((kinds[ink] != tissue.Kind.TISSUE).mean()) if ink.any() else 1.0


COLOURS = np.array([(255, 255, 255), (199, 64, 128), (40, 150, 60), (255, 170, 30)], np.uint8)  # by Kind
TILE = (288, 216)


def panel(case: Case, kinds: np.ndarray) -> np.ndarray:
    """The picture, and its mask beside it, with the case's name below."""
    picture = cv2.resize(case.picture, TILE, interpolation=cv2.INTER_AREA)
    mask = cv2.resize(COLOURS[kinds], TILE, interpolation=cv2.INTER_NEAREST)
    both = cv2.copyMakeBorder(np.hstack([picture, mask]), 8, 26, 8, 8, cv2.BORDER_CONSTANT, value=(250, 250, 250))
    words = (8, both.shape[0] - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA
    return cv2.putText(both, case.name, *words)


def main(path: Path, folder: Path | None) -> None:
    panels = []
    for case in [*drawn_cases(), *(real_cases(folder) if folder else [])]:
        kinds, recall, left_out = judge(case)
        glass = (kinds == tissue.Kind.TISSUE) & ~cells_of(case.tissue | case.ink, case.mpp)
        print(
            f"{case.name:32s} recall {recall:.4f}, ink left out {left_out:.4f}, more than the truth {glass.mean():.3f}"
        )
        panels.append(panel(case, kinds))
    rows = [np.hstack(panels[first : first + 4]) for first in range(0, len(panels), 4)]
    Image.fromarray(np.vstack([row for row in rows if row.shape == rows[0].shape])).save(path, quality=88)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
