"""What a finished analysis says: heat map statistics, regions, coverage, self-test, and whether to withhold it all."""

from typing import Any

import numpy as np

from core.heatmap.planes import Values, to_scores
from core.heatmap.regions import find_regions
from core.pixels.frame import NETWORK_MPP
from core.pixels.levels import SlideInfo
from core.pixels.tissue import Mask
from model.checks.familiarity import Familiarity
from model.weights.card import COMPARISON, Card

MOST_UNREADABLE = 0.02
CONSTANT_LOGITS = 1e-6
NOT_A_NUMBER = 1e30  # what JSON carries for a residual that is not finite


def gather(
    logits: Values, mask: Mask, info: SlideInfo, settings: dict[str, Any], checks: list[dict[str, Any]]
) -> dict[str, Any]:
    """The results of an analysis, JSON-ready."""
    frame, scores = info.frame(), to_scores(logits)
    analysed, wanted = int(np.isfinite(logits).sum()), int(mask.sum())
    cell_mm2 = frame.cell_area_um2() / 1e6
    regions = find_regions(scores, settings["threshold"], frame)
    share = analysed / wanted if wanted else 0.0
    return {
        "preliminary": True,
        "threshold": settings["threshold"],
        "grid": {
            "rows": logits.shape[0],
            "cols": logits.shape[1],
            "affine_l0": list(frame.affine_to_l0()),
            "network_mpp": NETWORK_MPP,
        },
        "coverage": {
            "analysed_cells": analysed,
            "wanted_cells": wanted,
            "share": share,
            "analysed_mm2": analysed * cell_mm2,
            "tissue_mm2": wanted * cell_mm2,
        },
        "max_score": float(np.nanmax(scores)) if analysed else None,
        "regions": [region.to_dict() for region in regions],
        "summary": summary(len(regions), share),
        "rotation_check": rotation_summary(checks),
    }


def purpose_notes(card: Card) -> list[dict[str, str]]:
    """A banner for the reader where a network is not one to rely on."""
    if card.purpose != COMPARISON:
        return []
    sentence = f"{card.name} is shipped for comparison only: a smaller network, trained for minutes. Do not rely on it."
    return [{"code": "comparison", "sentence": sentence}]


def summary(count: int, share: float) -> str:
    """One sentence that claims no more than was looked at."""
    looked = f"in the {share:.0%} of tissue analysed"
    if count == 0:
        return f"No region above the threshold {looked}."
    regions = "1 region" if count == 1 else f"{count} regions"
    return f"{regions} above the threshold {looked}. Preliminary: to be read by a pathologist."


def rotation_summary(checks: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The worst residual of the sampled regions; None when no check was asked for.

    `passed` is None for a network that promises no symmetry. `spread_logits` is of views outside its own group, where
    there are any: information, no test.
    """
    if not checks:
        return None
    residual = float(np.max([check["residual"] for check in checks]))
    looked = [check for check in checks if check["elements"] or check["outside"]]  # the others could not be read
    tolerance, elements = checks[0]["tolerance"], _union(checks, "elements")
    spreads = [check["spread"] for check in checks if check["spread"] is not None]
    return {
        "residual_logits": residual if elements and residual < NOT_A_NUMBER else None,
        "tolerance_logits": tolerance,
        "passed": bool(residual <= tolerance) if elements else None,
        "regions": len(looked),
        "elements": elements,
        "spread_logits": max(spreads, default=None),
        "outside": _union(checks, "outside"),
        "drift_logits": min(NOT_A_NUMBER, max(check["drift"] for check in checks)),
        "meaning": "a software self-test: it says nothing about a score being right",
    }


def familiarity(strange: Values, known: Familiarity | None) -> dict[str, Any] | None:
    """How much of the tissue that was analysed looks unlike the network's training patches; None where nobody can say.

    `unusual`: the share is above that of PatchCamelyon's patches of every held-out slide that was measured.
    """
    told = strange[np.isfinite(strange)]
    if known is None or not told.size:
        return None
    share = float((told > known.threshold).mean())
    return {
        "unfamiliar_share": share,
        "usual_share": known.usual_share,
        "unusual": share > known.usual_share,
        "threshold": known.threshold,
    }


def unfamiliar_notes(found: dict[str, Any] | None) -> list[dict[str, str]]:
    """The banner over a slide of which more is unfamiliar than of any held-out one."""
    if found is None or not found["unusual"]:
        return []
    share = f"{found['unfamiliar_share']:.0%} of this tissue looks unlike anything the network was trained on"
    return [{"code": "unfamiliar", "sentence": f"{share}; see the layer 'unfamiliar'."}]


def _union(checks: list[dict[str, Any]], key: str) -> list[str]:
    return sorted({element for check in checks for element in check[key]})


def withhold(logits: Values, mask: Mask, results: dict[str, Any]) -> dict[str, Any] | None:
    """Why the results must not be shown, or None."""
    check, values = results["rotation_check"], logits[np.isfinite(logits)]
    if not mask.any():
        return _reason(
            "no-tissue", "no tissue was found on the slide", "look at the slide, or analyse with tissue: all"
        )
    if check is not None and check["passed"] is False:
        return _reason(
            "rotation-check", "the rotation self-test failed: turned regions got other answers", "tell support"
        )
    if values.size > 1 and np.ptp(values) < CONSTANT_LOGITS:
        return _reason("constant-output", "every cell got the same score", "look at the slide: it may be blank")
    return None


def too_little_read(results: dict[str, Any], unreadable: int) -> dict[str, Any] | None:
    """Why the analysis fails when more than 2 % of its cells could not be read."""
    wanted = results["coverage"]["wanted_cells"]
    if unreadable <= MOST_UNREADABLE * wanted:
        return None
    return _reason("unreadable", f"{unreadable} of {wanted} tissue cells could not be read", "copy the slide again")


def _reason(code: str, detail: str, action: str) -> dict[str, Any]:
    return {"code": code, "detail": detail, "action": action}
