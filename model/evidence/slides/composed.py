"""Slides composed of fields, and how well slide scores tell those with lesions from those without.

A slide is SLIDE_FIELDS fields. At a prevalence, the share of its cells that are lesions, some of its fields have one
lesion each, or several where there are more lesions than fields. A lesion changes the heat map near it alone, so the
map with one lesion of a field is the map without, with the lesion's surroundings replaced.

    peak, area    as model.checks.slide_score has them
    combined      logistic(b0 + b1 · logit(peak) + b2 · logit(share)), share the area's of the slide, fitted on half of
                  the fields and judged on the other

Every slide is composed of the same few fields, so slides differ less from each other than real ones do. That flatters
the area above a threshold most, since real slides differ in how many of their normal cells reach one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.checks.slide_score import neighbourhoods
from model.evidence.slides.detection import Map
from model.evidence.slides.lesions import FIELD_CELLS, REACH_CELLS, surroundings
from model.inference.dense import Logits
from model.train.metrics import auc, logistic_regression

SLIDE_FIELDS = 20
SLIDE_CELLS = SLIDE_FIELDS * FIELD_CELLS**2
SLIDES = 200  # of each kind, with and without lesions
ROUNDS = 200  # of the bootstrap over backgrounds
PREVALENCES = (0.001, 0.01, 0.1)
SCORES = ("peak", "area", "combined")
LEAST = 1e-6  # and 1 less it: where the logit of a peak or share is cut off
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Parts:
    """What slides are composed of.

    For each background its peak and area, (B,). For each lesion its background, the field's peak with it, and by how
    many cells it adds to the area, (L,).
    """

    peaks: Values
    areas: Values
    backgrounds: NDArray[np.int64]
    lesion_peaks: Values
    lesion_areas: Values

    def most(self) -> float:
        """Lesions that a field has room for: how many its fields have on average."""
        return len(self.backgrounds) / len(self.peaks)

    def draw(self, backgrounds: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """The place of a lesion of each background, drawn at random; lesions are in order of their background."""
        counts = np.bincount(self.backgrounds, minlength=len(self.peaks))
        first = np.cumsum(counts) - counts
        drawn: NDArray[np.int64] = first[backgrounds] + rng.integers(counts[backgrounds])
        return drawn

    def select(self, chosen: NDArray[np.int64]) -> "Parts":
        """The parts of some backgrounds, which may be named several times."""
        places = np.concatenate([np.flatnonzero(self.backgrounds == b) for b in chosen])
        numbers = np.repeat(np.arange(len(chosen)), [int((self.backgrounds == b).sum()) for b in chosen])
        lesions = self.lesion_peaks[places], self.lesion_areas[places]
        return Parts(self.peaks[chosen], self.areas[chosen], numbers, *lesions)


def _scores(logits: Logits) -> NDArray[np.float32]:
    return (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)


def parts_of(normal: Sequence[Map], maps: Sequence[Map], threshold: float) -> Parts:
    """The parts of the fields without lesions, in order of their background, and of those with lesions of one size.

    `threshold`: the score from which a cell counts into the area.
    """
    plain = [_scores(one.logits) for one in normal]
    rows = []
    for one in maps:
        scores, background = _scores(one.logits), one.field.background
        for number in range(1, int(one.field.lesions.max()) + 1):
            place = np.argwhere(one.field.lesions == number)
            window = surroundings(place, REACH_CELLS, one.field.lesions.shape)
            alone = plain[background].copy()
            alone[window] = scores[window]
            more = int((alone >= threshold).sum()) - int((plain[background] >= threshold).sum())
            rows.append((background, float(neighbourhoods(alone).max()), more))
    peaks = np.array([float(neighbourhoods(scores).max()) for scores in plain])
    areas = np.array([float((scores >= threshold).sum()) for scores in plain])
    table = np.array(rows, np.float64).reshape(-1, 3)
    return Parts(peaks, areas, table[:, 0].astype(np.int64), table[:, 1], table[:, 2])


def lesions_at(prevalence: float, cells: int, most: float) -> int:
    """How many lesions of `cells` cells a slide has at a prevalence.

    0 where one of them is more than twice the prevalence, or where they do not fit apart from each other.

    Args:
        most: lesions that a field has room for.
    """
    exact = prevalence * SLIDE_CELLS / cells
    return max(1, round(exact)) if 0.5 <= exact <= most * SLIDE_FIELDS else 0


def compose(parts: Parts, lesions: int, slides: int, rng: np.random.Generator) -> Values:
    """Peak and area of slides with so many lesions each, (slides, 2)."""
    drawn = rng.integers(len(parts.peaks), size=(slides, SLIDE_FIELDS))
    peaks, area = parts.peaks[drawn], parts.areas[drawn].sum(1)
    if lesions:
        # Lesions are of the slide's own fields: another field's peak would be that of one field more.
        order = rng.permuted(np.tile(np.arange(SLIDE_FIELDS), (slides, 1)), axis=1)
        places = order[:, np.arange(lesions) % SLIDE_FIELDS]  # (slides, lesions)
        which = parts.draw(np.take_along_axis(drawn, places, 1), rng)
        with_lesions = np.full(peaks.shape, -np.inf)
        np.maximum.at(with_lesions, (np.arange(slides)[:, None], places), parts.lesion_peaks[which])
        peaks = np.where(np.isinf(with_lesions), peaks, with_lesions)
        area = np.maximum(0, area + parts.lesion_areas[which].sum(1))
    return np.stack([peaks.max(1), area], 1)


def _with_and_without(parts: Parts, lesions: int, seed: int) -> tuple[NDArray[np.uint8], Values]:
    rng = np.random.default_rng(seed)
    both = [compose(parts, 0, SLIDES, rng), compose(parts, lesions, SLIDES, rng)]
    return np.repeat([0, 1], SLIDES).astype(np.uint8), np.concatenate(both)


def _features(composed: Values) -> Values:
    """What the coefficients of the combined score multiply: 1, the peak's logit, and the share's. (N, 2) → (N, 3)."""
    shares = np.clip(np.stack([composed[:, 0], composed[:, 1] / SLIDE_CELLS], 1), LEAST, 1 - LEAST)
    return np.concatenate([np.ones((len(shares), 1)), np.log(shares / (1 - shares))], 1)


def fit(by_size: dict[int, Parts], seed: int = 0) -> Values:
    """The coefficients of the combined score, (3,): fitted on slides of all sizes and prevalences in equal numbers."""
    labels, rows = [], []
    for cells, parts in by_size.items():
        for prevalence in PREVALENCES:
            lesions = lesions_at(prevalence, cells, parts.most())
            if lesions:
                y, composed = _with_and_without(parts, lesions, seed + cells)
                labels.append(y)
                rows.append(_features(composed))
    return logistic_regression(np.concatenate(rows), np.concatenate(labels))


def _aucs(parts: Parts, lesions: int, coefficients: Values, seed: int) -> list[float]:
    """The AUC of peak, area and combined."""
    labels, composed = _with_and_without(parts, lesions, seed)
    columns = (composed[:, 0], composed[:, 1], _features(composed) @ coefficients)
    return [auc(labels, column) for column in columns]


def compare(by_size: dict[int, Parts], rounds: int = ROUNDS) -> dict[str, Any]:
    """The AUC of each slide score by prevalence and size, with intervals that resample backgrounds; JSON-ready.

    The combined score is fitted on the even backgrounds and judged on the odd ones, and the reverse; its figure is the
    mean of both, as those of the others are.
    """
    first = next(iter(by_size.values()))
    halves = [np.arange(start, len(first.peaks), 2) for start in (0, 1)]
    fitted = [fit({cells: parts.select(half) for cells, parts in by_size.items()}) for half in halves]
    result: dict[str, Any] = {}
    for prevalence in PREVALENCES:
        for cells, parts in by_size.items():
            lesions = lesions_at(prevalence, cells, parts.most())
            if lesions:
                judged = _judge(parts, lesions, halves, fitted, rounds)
                result.setdefault(str(prevalence), {})[str(cells)] = {"lesions": lesions, **judged}
    return result


def _judge(
    parts: Parts, lesions: int, halves: list[NDArray[np.int64]], fitted: list[Values], rounds: int
) -> dict[str, Any]:
    """Each score's AUC, judged on each half with the other half's coefficients, and its interval."""
    rng = np.random.default_rng(0)

    def both(samples: list[NDArray[np.int64]], seed: int) -> list[float]:
        values = [
            _aucs(parts.select(sample), lesions, coefficients, seed)
            for sample, coefficients in zip(samples, reversed(fitted), strict=True)
        ]
        return [float(value) for value in np.mean(values, 0)]

    value = both(halves, 0)
    drawn = [both([rng.choice(half, len(half)) for half in halves], seed) for seed in range(1, rounds + 1)]
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return {name: {"auc": value[i], "interval": (float(low[i]), float(high[i]))} for i, name in enumerate(SCORES)}
