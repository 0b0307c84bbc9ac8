"""Lesion-level evaluation against outlines: free-response ROC (FROC), in two modes that never mix.

`camelyon16` is the challenge's own procedure (Ehteshami Bejnordi et al. 2017, JAMA 318:2199, and its published code):
the mask is grown by 37.5 µm, so that gaps under 75 µm join; holes are filled; parts are 8-connected; a lesion whose
fitted ellipse has a major axis under 275 µm (200 + 75) counts as isolated tumour cells, and detections on it are
ignored; a lesion keeps its best score; false positives are averaged over all slides; sensitivity at ¼, ½, 1, 2, 4 and 8
false positives a slide is interpolated, and averaged. Where the published code is odd (its lowest threshold is dropped,
missed lesions' 0 or else the lowest score) this is too, so that figures can be compared.

`strict` takes the outlines as they are: holes are kept, nothing is joined, lesions under 200 µm are ignored, and the
sensitivity at f is the best one reached with at most f false positives a slide, without interpolation.

A slide that is not exhaustively annotated is left out: what it shows beyond its outlines is unknown, not false.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from core.marks.outlines import Annotation
from core.marks.polygons import Mask, fill

Mode = Literal["camelyon16", "strict"]
Labels = NDArray[np.int32]
MODES: tuple[Mode, ...] = ("camelyon16", "strict")
RESOLUTION_UM = 0.243 * 32  # Camelyon16's level 5
JOIN_UM, ITC_UM, STRICT_UM = 75.0, 275.0, 200.0
FALSE_POSITIVES = (0.25, 0.5, 1, 2, 4, 8)


@dataclass(frozen=True)
class Place:
    """A slide's level 0: its size in px and µm per px. Masks have pixels of RESOLUTION_UM."""

    width: int
    height: int
    mpp_x: float
    mpp_y: float

    def mask_shape(self) -> tuple[int, int]:
        """(rows, cols) of the evaluation mask."""
        size_um = (self.height * self.mpp_y, self.width * self.mpp_x)
        return max(1, math.ceil(size_um[0] / RESOLUTION_UM)), max(1, math.ceil(size_um[1] / RESOLUTION_UM))

    def to_mask(self, points_l0: NDArray[np.float64]) -> NDArray[np.float64]:
        return points_l0 * (self.mpp_x / RESOLUTION_UM, self.mpp_y / RESOLUTION_UM)

    def to_l0(self, x_mask: float, y_mask: float) -> tuple[float, float]:
        return float(x_mask * RESOLUTION_UM / self.mpp_x), float(y_mask * RESOLUTION_UM / self.mpp_y)


@dataclass(frozen=True)
class Detection:
    """A point in level-0 px with its score."""

    x_l0: float
    y_l0: float
    score: float


@dataclass(frozen=True)
class Lesion:
    """One part of the evaluation mask. `counted`: not too small. `score`: of its best detection, 0 if missed."""

    label: int
    counted: bool
    major_axis_um: float
    area_um2: float
    centre_l0: tuple[float, float]
    bbox_l0: tuple[float, float, float, float]
    score: float = 0.0
    found: bool = False


@dataclass(frozen=True)
class SlideResult:
    """The part of one slide in the curve."""

    lesions: list[Lesion]
    false_positives: list[Detection]

    @property
    def misses(self) -> list[Lesion]:
        return [lesion for lesion in self.lesions if lesion.counted and not lesion.found]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def tumour_mask(annotation: Annotation, place: Place) -> Mask:
    """Returns the mask inside any tumour outline and outside every hole, at RESOLUTION_UM."""
    shape = place.mask_shape()
    mask = np.zeros(shape, bool)
    # Holes last: a hole is no tumour, whichever outlines it lies in.
    for polygon in sorted(annotation.polygons, key=lambda p: p.hole):
        inside = fill(place.to_mask(polygon.vertices), shape)
        for vertices in polygon.inner:
            inside &= ~fill(place.to_mask(vertices), shape)
        mask = mask & ~inside if polygon.hole else mask | inside
    return mask


def label_lesions(mask: Mask, mode: Mode) -> Labels:
    """Returns the parts of the evaluation mask, int32, numbered from 1; 0 is background."""
    if mode == "camelyon16":
        mask = fill_holes(grow(mask, JOIN_UM / 2))  # half from each side closes a gap of JOIN_UM
    return np.asarray(cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1], np.int32)


def grow(mask: Mask, by_um: float) -> Mask:
    """Returns the pixels nearer than `by_um` to the mask, centre to centre, by exact Euclidean distance."""
    if not mask.any():
        return mask
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance < by_um / RESOLUTION_UM)


def fill_holes(mask: Mask) -> Mask:
    """Adds background that is not connected to the border: by 4 neighbours, the dual of lesions' 8."""
    _, labels = cv2.connectedComponents((~mask).astype(np.uint8), connectivity=4)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return mask | ~np.isin(labels, np.unique(edge))


def major_axis_px(rows: NDArray[Any], cols: NDArray[Any]) -> float:
    """Returns 4·√λ₁, λ₁ the larger eigenvalue of the pixel centres' covariance.

    That is the major axis of the ellipse with the same second central moments.
    """
    covariance = np.cov(np.stack([rows, cols]).astype(float), bias=True)
    return float(4 * np.sqrt(max(0.0, np.linalg.eigvalsh(covariance)[1])))


def describe(labels: Labels, place: Place, mode: Mode) -> list[Lesion]:
    """Returns every part as a lesion, in the order of labels."""
    smallest, lesions = (ITC_UM if mode == "camelyon16" else STRICT_UM), []
    flat = labels.ravel()
    # Pixels sorted by label: one pass, where a comparison for each lesion would read the whole mask every time.
    order = np.argsort(flat, kind="stable")
    bounds = np.searchsorted(flat[order], np.arange(1, int(labels.max(initial=0)) + 2))
    for label, (first, last) in enumerate(pairwise(bounds), 1):
        rows, cols = np.unravel_index(order[first:last], labels.shape)
        axis = major_axis_px(rows, cols) * RESOLUTION_UM
        lesions.append(
            Lesion(
                label=label,
                counted=axis >= smallest,
                major_axis_um=axis,
                area_um2=len(rows) * RESOLUTION_UM**2,
                centre_l0=place.to_l0(cols.mean() + 0.5, rows.mean() + 0.5),
                bbox_l0=(*place.to_l0(cols.min(), rows.min()), *place.to_l0(cols.max() + 1, rows.max() + 1)),
            )
        )
    return lesions


def evaluate_slide(annotation: Annotation, place: Place, detections: Iterable[Detection], mode: Mode) -> SlideResult:
    """Returns which lesions detections hit, and which detections hit none. Those on uncounted lesions are ignored."""
    labels = label_lesions(tumour_mask(annotation, place), mode)
    lesions = {lesion.label: lesion for lesion in describe(labels, place, mode)}
    false: list[Detection] = []
    for detection in detections:
        label = _label_at(labels, place, detection)
        if label == 0:
            false.append(detection)
        elif lesions[label].counted and (not lesions[label].found or detection.score > lesions[label].score):
            lesions[label] = replace(lesions[label], score=detection.score, found=True)
    return SlideResult(list(lesions.values()), false)


def _label_at(labels: Labels, place: Place, detection: Detection) -> int:
    """The label under a detection; 0 on background and off the slide."""
    x, y = place.to_mask(np.array([detection.x_l0, detection.y_l0]))
    row, col = int(np.floor(y)), int(np.floor(x))
    inside = 0 <= row < labels.shape[0] and 0 <= col < labels.shape[1]
    return int(labels[row, col]) if inside else 0


def _at_least(values: NDArray[np.float64], thresholds: list[float]) -> NDArray[np.float64]:
    """Returns how many values are ≥ each threshold."""
    counts: NDArray[np.float64] = len(values) - np.searchsorted(np.sort(values), thresholds).astype(np.float64)
    return counts


def froc(results: list[SlideResult], mode: Mode) -> dict[str, Any]:
    """Returns the curve, the sensitivity at each of FALSE_POSITIVES, and their mean, JSON-ready.

    Raises:
        ValueError: no slide has a lesion that counts, so there is no sensitivity.
    """
    scores = np.array([lesion.score for result in results for lesion in result.lesions if lesion.counted])
    false = np.array([detection.score for result in results for detection in result.false_positives])
    if not len(scores):
        raise ValueError("no slide has a lesion that counts: there is no sensitivity to measure")
    ignored = sum(not lesion.counted for result in results for lesion in result.lesions)
    thresholds = sorted({*scores.tolist(), *false.tolist()})
    if mode == "camelyon16":  # the published code lists ignored lesions with score 0, and drops the lowest of the list
        thresholds = sorted({*thresholds, *([0.0] if ignored else [])})[1:]
    else:
        thresholds = [t for t in thresholds if t > 0]
    # The curve ends at (0, 0), above every score, so that each of FALSE_POSITIVES has a point at or below it.
    rates = [*(_at_least(false, thresholds) / len(results)).tolist(), 0.0]
    sensitivity = [*(_at_least(scores, thresholds) / len(scores)).tolist(), 0.0]
    if mode == "camelyon16":
        at = [float(np.interp(f, rates[::-1], sensitivity[::-1])) for f in FALSE_POSITIVES]
    else:
        at = [max(s for rate, s in zip(rates, sensitivity, strict=True) if rate <= f) for f in FALSE_POSITIVES]
    return {
        "mode": mode,
        "score": float(np.mean(at)),
        "sensitivity_at": dict(zip(map(str, FALSE_POSITIVES), at, strict=True)),
        "curve": {"thresholds": [*thresholds, None], "false_positives_per_slide": rates, "sensitivity": sensitivity},
        "slides": len(results),
        "lesions": len(scores),
        "ignored_lesions": ignored,
    }
