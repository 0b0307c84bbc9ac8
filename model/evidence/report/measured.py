"""Measured sections."""

from typing import Any

import numpy as np

from model.checks import familiarity_file
from model.evidence.measure import TURNED_PATCHES
from model.evidence.report.tables import between, table
from model.weights.checkpoint import DEFAULT_NAME, read_card


def introduction(found: dict[str, Any]) -> str:
    machine = found["machine"]
    return f"""# The detector and its rivals

*Made by `make evaluate DIR=…` (`python -m model.evidence.study`, `model.evidence.measure`, `model.evidence.report`). Figures are of files that these
commands wrote; what was trained on what is quoted from the card.*
Networks compared with each other were trained and tested alike on a subset of PatchCamelyon, all of it Camelyon16
*training* slides: no figure here is comparable with published ones on PatchCamelyon's official test set. Intervals are
95 % bootstrap percentiles over slide groups; with 11 groups in valid and in test they are too narrow, and still wide.
Measured on {machine["processor"]}, {machine["cores"]} cores, {machine["capability"]}, torch {machine["torch"]}."""


def shipped(found: dict[str, Any]) -> str:
    card = read_card(DEFAULT_NAME)
    rows = []
    for name in ("valid", "test"):
        one = found["shipped"][name]
        rows.append(
            [name, f"{one['auc']:.3f} {between(one['auc_interval'])}", f"{one['within_slide_auc']:.3f}"]
            + [f"{one[key]:.3f}" for key in ("accuracy", "nll", "brier", "calibration_error", "calibration_slope")]
        )
    head = ["split", "AUC", "within slides", "accuracy", "NLL", "Brier", "calibration error", "slope"]
    known, warm = card.data.get("known_only", "not made"), found["shipped"]["temperature"]
    return f"""## The shipped weights

{table(head, rows)}

Trained on {card.data["train"]}. {card.data["recipe"]}. On slides that are known by name alone: {known}.

Calibration error is the root mean square over 15 bins of equal mass, debiased; 0 and slope 1 would be perfect. The card's
temperature is {card.temperature:.3f}; with each slide of valid left out in turn it lies between {warm["least"]:.3f} and
{warm["most"]:.3f}. The temperature was fitted on valid, so the row of test is the one to read.

![Reliability](detector-reliability.png)"""


def exactness(found: dict[str, Any]) -> str:
    views, rows = found["eight_views"], []
    for name, one in found["controls"].items():
        passed = "passes" if one["residual_logits"] <= one["tolerance_logits"] else "fails"
        rows.append([name, f"{one['residual_logits']:.1e}", passed, _spread(one["auc"])])
    return f"""## Exactness, and what it does not say

Over the eight views of every patch of test, scores differ by at most {views["score"]:.1e} (logits: {views["logit"]:.1e},
float32).

{table(["network", "largest residual, logits", "rotation check", "AUC on test"], rows)}

Random weights pass the rotation check: it tests software, never scores. What they seem to know is what a random filter
makes of brightness and colour, to one side as well as to the other. An unturned plane of one filter bank fails the
check, and its AUC shows nothing of the fault: the two see different things."""


def _spread(values: list[float]) -> str:
    """The mean, and of several its range."""
    mean = f"{np.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean}, {len(values)} draws from {min(values):.3f} to {max(values):.3f}"


def angles(found: dict[str, Any]) -> str:
    one = found["angles"]
    off = [i for i, angle in enumerate(one["angle"]) if angle % 90]
    moved, back = (np.mean([one[key][i] for i in off]) for key in ("moved", "there_and_back"))
    return f"""## Score against angle

![Angles](detector-angles.png)

Between quarter turns a score moves by {moved:.3f} on average; turned there and back again, which is resampling alone
(twice), by {back:.3f}. A turn cannot be had without resampling, so the first number is of both together.

The networks for comparison, every 15°, about {TURNED_PATCHES} patches, scores as trained: what eight views may do to one patch, a quarter turn on average, turns
between them, and resampling alone.

{_turned(found["rivals"])}"""


def _turned(rivals: dict[str, dict[str, float]]) -> str:
    keys = ("eight_views", "quarter_turns", "between", "there_and_back")
    rows = [
        [name, *(f"{one[key]:.3f}" if one[key] > 1e-4 else f"{one[key]:.0e}" for key in keys)]
        for name, one in rivals.items()
    ]
    return table(["network", "eight views, largest", "quarter turns, mean", "between, mean", "there and back"], rows)


def stability(found: dict[str, Any]) -> str:
    rows = [
        [name, f"{one['moved_logits']:.2f}", f"{one['changed_sides']:.1%}", f"{one['auc']:.3f}"]
        for name, one in found["stability"].items()
    ]
    plain = found["shipped"]["test"]["auc"]
    return f"""## Stability

What is not exact is measured: patches of test, changed ({plain:.3f} unchanged).

{table(["change", "logits move by (mean)", "change sides of 0.5", "AUC"], rows)}"""


def familiar(found: dict[str, Any]) -> str:
    path = familiarity_file.path_of(DEFAULT_NAME)
    if not path.exists():
        return "## What is familiar\n\nNot made yet: `python -m model.train.familiarity DIR`."
    known = familiarity_file.read(path, read_card(DEFAULT_NAME).digest).record
    rows = [_told_apart(name, one) for name, one in known["test"].items() if name != "unchanged"]
    other = found.get("other_tissue")
    if other:
        rows.append(_told_apart(f"*instead:* {other['patches']} of {other['picture']}", other))
    usual = known["test"]["unchanged"]["over_threshold"]
    return f"""## What is familiar

A density of what an equivariant autoencoder and the detector see, told from both sides (decision 9). {known["train"]};
usual is what valid's slides have; corruptions are told from the patches of test.

{table(["test's patches with", "AUC, two-sided", "distance alone", "raw error", "over the limit"], rows)}

Unchanged, {usual:.1%} of test's patches are over the limit, where 2 % of valid's are. The raw reconstruction error alone
would call blurred and blank pictures the most familiar of all: an AUC under 0.5 points the wrong way.
{_not_told_apart({**known["test"], **({other["picture"]: other} if other else {})})}"""


def _not_told_apart(found: dict[str, dict[str, float]]) -> str:
    """What this measure does not see, in a sentence; nothing where it sees all."""
    missed = [name for name, one in found.items() if one.get("auc", 1) < 0.6]
    if not missed:
        return ""
    return (
        f"**Not told apart (AUC under 0.6): {', '.join(missed)}. What looks familiar need not be of the right kind.**"
    )


def _told_apart(name: str, one: dict[str, float]) -> list[str]:
    aucs = (f"{one[key]:.3f}" for key in ("auc", "auc_one_sided", "auc_raw_error"))
    return [name, *aucs, f"{one['over_threshold']:.1%}"]
