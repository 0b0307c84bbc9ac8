"""The section on composed slides (`model.evidence.slides`): lesions detected, false regions, slide scores, presets."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from model.evidence.report.figures import draw_froc
from model.evidence.report.tables import Row, between, table
from model.evidence.slides.__main__ import SLIDES
from model.evidence.slides.composed import SCORES
from model.evidence.slides.lesions import FIELD_PATCHES

MISSING = "## Composed slides\n\nNot measured yet: `python -m model.evidence.slides DIR`."
SHOWN = ("1", "4", "9", "25", "49", "100", "400")  # sizes in the tables
RARITIES = (0.001, 0.01, 0.1, 0.5)  # shares of cells that are tumour
CROWDED = 0.5  # share of places without tumour that are detected: above it lesions found say little
CELL_UM = 16 * 0.972  # the side of a cell


def read_slides(weights: str) -> dict[str, Any] | None:
    """What `model.evidence.slides` measured with these weights (their digest); None where it has not."""
    content: dict[str, Any] | None = json.loads(SLIDES.read_text()) if SLIDES.exists() else None
    return content if content is not None and content["weights"] == weights else None


def draw(content: dict[str, Any], folder: Path) -> None:
    """Draws the section's figure into `folder`."""
    draw_froc(folder / "detector-froc.png", content["curve"], SHOWN)


def slide_level(content: dict[str, Any] | None) -> str:
    """The section; says so where nothing was measured."""
    if content is None:
        return MISSING
    curve = content["curve"]
    return f"""## Composed slides

What a threshold costs on lesions, and whether a slide has one. No annotated slides are in the data: **Camelyon16's FROC and its
slide AUC are not measured.** Instead {content["fields"]} fields were composed, each a mosaic of {FIELD_PATCHES**2} of official valid's patches
without tumour, no patch in two of them: {content["field_mm2"]:.2f} mm² each. Lesions were put into them, each a compact set of cells; where the
labels of its cells look, tumour patches show. A cell is {CELL_UM:.1f} µm wide, so 100 cells are {100 * CELL_UM**2 / 1e6:.3f} mm².

Such fields have seams that no slide has, and PatchCamelyon's normal patches were selected to be hard: a real node may have fewer
false regions in the same area. The figures compare thresholds; they predict no slide. Valid's patches also chose the network, its
calibration and the thresholds, so the figures of fields lean towards it. Intervals resample the fields, and all fields are mixtures of
the same slides: they are too narrow.

### Lesions found and false regions

![Lesions found against false regions](detector-froc.png)

{_presets(content)}

{_at_one_false_region(content)}

{_costs(content)}

Lesions of each size: {", ".join(f"{curve['lesions'][size]} of {_cells(size)}" for size in curve["lesions"])}.

### A score for the slide

{content["slide_mm2"]:.1f} mm² of tissue, {round(content["slide_mm2"] / content["field_mm2"])} fields, with lesions against without: AUC by the share of cells that are lesions, and by their size. *Peak* is the
highest mean of 2×2 cells, the smallest smoothing that the eight views respect; *area* counts the cells above the card's threshold;
*combined* is a logistic regression on both, fitted on half of the fields and judged on the other.

{_scores(content)}

{_verdict(content)}"""


def _cells(size: str) -> str:
    return "1 cell" if size == "1" else f"{size} cells"


def _presets(content: dict[str, Any]) -> str:
    rows: list[Row] = []
    for name, one in content["presets"].items():
        patches = [f"{one[key]:.3f} {between(one[f'{key}_interval'])}" for key in ("sensitivity", "specificity")]
        false = one["false_regions_per_10_mm2"]
        counted = f"{false['value']:.0f} [{false['interval'][0]:.0f}, {false['interval'][1]:.0f}]"
        rows.append([name, f"{one['threshold']:g}", *patches, counted])
    head = ["preset", "score", "test patches: sensitivity", "specificity", "fields: false regions in 10 mm²"]
    sizes = [[name, *(_share(one["detected"][size]) for size in SHOWN)] for name, one in content["presets"].items()]
    return f"""{table(head, rows)}

{_worth(content)}

The share of lesions detected, by their size in cells:

{table(["preset", *SHOWN], sizes)}

{_sham(content)}

*Screening* is the score that 95 % of official valid's tumour patches reach, *specific* the one that 1 % of its other patches reach,
*default* the card's. They are offered by name in the API and in the viewer, with these figures."""


def _worth(content: dict[str, Any]) -> str:
    """Of the cells that reach a preset, the share that is tumour, by how rare tumour is (Bayes, test's patches)."""
    rows = []
    for name, one in content["presets"].items():
        true, false = one["sensitivity"], 1 - one["specificity"]
        rows.append([name, *(f"{p * true / (p * true + (1 - p) * false):.1%}" for p in RARITIES)])
    return f"""Of the cells that reach it, the share that is tumour, by the share of cells that are (Bayes, from test's patches, whose normal ones
were selected to be hard):

{table(["preset", *(f"{p:g}" if p < 0.001 else f"{p:.1%}" for p in RARITIES)], rows)}"""


def _sham(content: dict[str, Any]) -> str:
    """What is found where lesions show normal patches: the part of the table above that says nothing of tumour."""
    sham = {name: one["sham"] for name, one in content["presets"].items()}
    sizes = [*next(iter(sham.values()))]
    rows = [[name, *(_share(detected[size]) for size in sizes)] for name, detected in sham.items()]
    crowded = [name for name, detected in sham.items() if max(one["value"] for one in detected.values()) > CROWDED]
    warning = f"""

**At {" and ".join(crowded)} false regions stand so close that the largest of these places touches one more often than not**: lesions found say
little there, and the figures of patches are the ones to read."""
    return f"""The same with patches *without* tumour in the lesions' place: what is found there is found by chance, or for the seams.

{table(["preset", *sizes], rows)}{warning if crowded else ""}"""


def _share(one: dict[str, Any]) -> str:
    return f"{one['value']:.2f} [{one['interval'][0]:.2f}, {one['interval'][1]:.2f}]"


def _rare(content: dict[str, Any]) -> str:
    """What the best score reaches where lesions are rarest."""
    prevalence = min(content["scores"], key=float)
    sizes = content["scores"][prevalence]
    best = {size: max(one[name]["auc"] for name in SCORES) for size, one in sizes.items()}
    low, high = min(best, key=best.__getitem__), max(best, key=best.__getitem__)
    return f"""At {float(prevalence):.1%} the best of them reaches {best[high]:.2f} with lesions of {_cells(high)} and {best[low]:.2f} with lesions of {_cells(low)}."""


def _at_one_false_region(content: dict[str, Any]) -> str:
    """The smallest lesion that is found where a slide of all fields has one false region."""
    curve, area = content["curve"], content["fields"] * content["field_mm2"]
    false = np.array(curve["false_regions_per_10_mm2"]) * area / 10
    below = np.flatnonzero(false <= 1)
    if not len(below):
        return f"At no threshold measured does a slide of {area:.1f} mm² have one false region or less."
    at = int(below[0])
    score = 1 / (1 + np.exp(-curve["logits"][at]))
    detected = {int(size): shares[at] for size, shares in curve["detected"].items()}
    return f"""**At one false region in a slide of {area:.1f} mm²** (a score of {score:.4f}) the smallest lesion of which half are found has {_smallest(detected, 0.5)},
and nine in ten {_smallest(detected, 0.9)}. Below that size most lesions cost more false regions than one."""


def _smallest(detected: dict[int, float], share: float) -> str:
    """The smallest size from which on at least this share is detected."""
    smallest = None
    for size in sorted(detected, reverse=True):
        if detected[size] < share:
            break
        smallest = size
    if smallest is None:
        return "more cells than were measured"
    return f"{smallest} cells ({smallest * CELL_UM**2 / 1e6:.3f} mm²)"


def _costs(content: dict[str, Any]) -> str:
    """What each preset finds of lesions of one size, and by chance."""
    size = "9"
    parts = [
        f"*{name}* {one['detected'][size]['value']:.2f} (chance: {one['sham'][size]['value']:.2f})"
        for name, one in content["presets"].items()
    ]
    return f"Of lesions of {size} cells {', '.join(parts)} are detected."


def _scores(content: dict[str, Any]) -> str:
    rows = [
        [f"{float(prevalence):.1%}", size, str(one["lesions"]), *_aucs(one)]
        for prevalence, sizes in content["scores"].items()
        for size, one in sizes.items()
        if size in SHOWN
    ]
    return table(["cells that are lesions", "size", "lesions", *SCORES], rows)


def _aucs(one: dict[str, Any]) -> Row:
    """The AUC of each score, with intervals but for the peak: a bootstrap of a maximum gives none."""
    return [f"{one['peak']['auc']:.2f}", *(_auc(one[name]) for name in ("area", "combined"))]


def _auc(one: dict[str, Any]) -> str:
    return f"{one['auc']:.2f} [{one['interval'][0]:.2f}, {one['interval'][1]:.2f}]"


def _verdict(content: dict[str, Any]) -> str:
    every = [one for sizes in content["scores"].values() for one in sizes.values()]
    area = sum(one["area"]["auc"] > one["peak"]["auc"] for one in every)
    combined = sum(one["combined"]["interval"][0] > one["area"]["auc"] for one in every)
    return f"""The area tells slides apart better than the peak in {area} of {len(every)} rows; the combination's interval lies above the area's value in {combined}. That is
in part an artefact. All these slides are composed of the same fields, so their number of false cells differs less than that of real
slides, on which an area's baseline is unknown; most of them contain the field with the highest peak, so peaks hardly differ (and a
bootstrap of a maximum gives no interval); and the seams around lesions raise some scores. An analysis therefore gives peak and area as
they are, for sorting, and no combined score (decision 29). {_rare(content)}"""
