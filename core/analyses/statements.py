"""Statements: sentences of the service, each as a code with named parameters and in English.

A client that speaks another language translates the code and fills in the parameters; the English sentence is for all
others. The templates of an analysis's sentences are in this file. The reasons of slides and of regions that were not
read are made where the error is raised (core.errors). Codes and the names and units of parameters are part of the API:
shares are fractions of 1, counts are of cells or regions.
"""

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from core.errors import QuarterturnError

Parameter = str | int | float | tuple[str, ...]

# RotationCheck.meaning, the same for every check.
SELF_TEST = "a software self-test: it says nothing about a score being right"
# SlideScore.meaning, the same for every slide.
SLIDE_SCORE = "sums the heat map up, for sorting slides: measured on composed fields, not on annotated slides"

AREA = "the {share:.0%} of tissue analysed ({slide_share:.0%} of the slide's area)"
READ = "Preliminary: to be read by a pathologist."
STRANGE = "{unfamiliar_share:.0%} of it looks unlike anything the network was trained on."
STATEMENTS = {
    # The summary. It claims no more than the share of tissue that was analysed.
    "no-region": f"No region above the threshold in {AREA}.",
    "one-region": f"1 region above the threshold in {AREA}. {READ}",
    "regions": f"{{count}} regions above the threshold in {AREA}. {READ}",
    "no-region-unfamiliar": f"No region above the threshold in {AREA}. {STRANGE}",
    "one-region-unfamiliar": f"1 region above the threshold in {AREA}. {STRANGE} {READ}",
    "regions-unfamiliar": f"{{count}} regions above the threshold in {AREA}. {STRANGE} {READ}",
    # What was left out of the analysis, as shares of the slide's area.
    "glass": "{share:.0%} of the slide is glass: bright, nearly colourless and even.",
    "ink": "{share:.0%} of the slide is ink, dye or black: of a colour that no stain has.",
    "unsure": "{share:.0%} of the slide is unsure: it differs from glass by less than pale tissue usually does.",
    # Notes: what limits the answer's validity.
    "organ-unknown": "The network was trained on {scope} only; the organ of this slide is not stated.",
    "organ": "Outside the network's scope: it was trained on {scope}, this slide is {organ!r}.",
    "stain": "Outside the network's scope: it was trained on {scope}, this slide is {stain!r}.",
    "scanner": "Outside the network's scope: it was trained on scans of {scope}; this one is of {scanner}.",
    "coarser-than-network": "The slide has {mpp:.3g} µm per pixel, the network reads {network_mpp:g}: its pixels are "
    "divided, which moves the scores a little (docs/usage.md).",
    "mpp-guessed": "The slide's {mpp:.3g} µm per pixel are a guess from its objective ({power:g}×); "
    "the file states none.",
    "made-at-another-mpp": "Made at {mpp:.4g} µm per pixel; the slide was corrected to {slide_mpp:.4g} since. Scores, "
    "areas and regions are those of the former scale.",
    "comparison": "{model} is shipped for comparison only: a smaller network, trained for minutes. Do not rely on it.",
    "unfamiliar": "{share:.0%} of this tissue looks unlike anything the network was trained on; "
    "see the layer 'unfamiliar'.",
    "tissue-unsure": "{share:.0%} of the slide lies near the limit between glass and tissue and was left out; "
    "analyse with tissue: all to include it.",
    "tissue-ink": "{share:.0%} of the slide is covered by ink, dye or black and was left out; "
    "tissue below it was not read.",
    "tissue-outdated": "An earlier version made this slide's tissue mask, which could leave out pale tissue; "
    "inspect the slide again, then analyse it again.",
    "unread": "{cells} of {wanted} tissue cells, in {region_images} region images, could not be read: {cause}.",
}

WORK_FAILED = ("{kind} was tried {attempts} times and failed: {cause}", "look at the worker's log, then try again")
REASONS = {  # code: (detail, action)
    "no-tissue": (
        "no tissue was found on the slide: {glass:.0%} is glass, {ink:.0%} ink, {unsure:.0%} unsure",
        "look at the slide, or analyse with tissue: all",
    ),
    "unfamiliar": (
        "{share:.0%} of the tissue looks unlike anything the network was trained on, more than {limit:.0%}",
        "look at the slide: the network was trained on {scope} only",
    ),
    "rotation-check": (
        "the rotation self-test failed: turned regions got other answers, by more than {tolerance:g} logits",
        "check the worker's installation and report the fault",
    ),
    "constant-output": ("every cell got the same score", "look at the slide: it may be blank"),
    "unreadable": ("{cells} of {wanted} tissue cells could not be read: {cause}", "{remedy}"),
    "no-finite-score": (
        "the network's answer for {cells} of {wanted} tissue cells is not a finite number",
        "look at the worker's log, then try again",
    ),
    "band-failed": WORK_FAILED,
    "check-failed": WORK_FAILED,
    "finish-failed": WORK_FAILED,
    "inspect-failed": WORK_FAILED,
}

WithheldCode = Literal["no-tissue", "rotation-check", "constant-output", "unfamiliar"]


class Value(BaseModel):
    """A frozen value, stored and sent as JSON. NaN and infinity are refused: JSON (RFC 8259) cannot express them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Statement(Value):
    """A sentence. `parameters` is empty where it was stored by a version that kept the sentence alone."""

    code: str
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    sentence: str


class Reason(Value):
    """Why something failed: `detail` says what is wrong, `action` what to do. `parameters` as in a statement."""

    code: str
    detail: str
    action: str = ""
    parameters: dict[str, Parameter] = Field(default_factory=dict)

    @classmethod
    def from_error(cls, error: QuarterturnError) -> "Reason":
        return cls(code=error.code, detail=error.detail, action=error.action, parameters=dict(error.parameters))


class Withheld(Reason):
    """Why the results of a succeeded analysis must not be shown."""

    code: WithheldCode


def state(code: str, **parameters: Parameter) -> Statement:
    """The statement of a code. Raises KeyError for an unknown code or a missing parameter."""
    return Statement(code=code, parameters=parameters, sentence=_fill(STATEMENTS[code], parameters))


def reason(code: str, **parameters: Parameter) -> Reason:
    """The reason of a code. Raises KeyError for an unknown code or a missing parameter."""
    detail, action = (_fill(template, parameters) for template in REASONS[code])
    return Reason(code=code, detail=detail, action=action, parameters=parameters)


def withhold(code: WithheldCode, **parameters: Parameter) -> Withheld:
    """Why results are withheld."""
    return Withheld(**reason(code, **parameters).model_dump())


def summarise(region_count: int, share: float, slide_share: float, unfamiliar_share: float | None = None) -> Statement:
    """The summary: how many regions there are above the threshold, and where that was looked for.

    Args:
        share: of the tissue that was analysed, 0..1. slide_share: of the slide's area.
        unfamiliar_share: of what was analysed; given where it is more than usual, so that the summary says it.
    """
    parameters: dict[str, Parameter] = {"share": share, "slide_share": slide_share}
    code = {0: "no-region", 1: "one-region"}.get(region_count, "regions")
    if code == "regions":
        parameters["count"] = region_count
    if unfamiliar_share is not None:
        code, parameters = f"{code}-unfamiliar", {**parameters, "unfamiliar_share": unfamiliar_share}
    return state(code, **parameters)


class _Number(float):
    """A float whose percentage is "100%" or "0%" only where it is exactly so: 0.998 is "99.8%"."""

    def __format__(self, spec: str) -> str:
        text = super().__format__(spec)
        if text == "100%" and self < 1:
            return f"{math.floor(self * 1000) / 10:.1f}%"
        if text == "0%" and self > 0:
            return f"{math.ceil(self * 1000) / 10:.1f}%"
        return text


def _fill(template: str, parameters: dict[str, Parameter]) -> str:
    return template.format(**{name: _word(value) for name, value in parameters.items()})


def _word(value: Parameter) -> Parameter:
    if isinstance(value, tuple):
        return " and ".join(value)
    return _Number(value) if isinstance(value, float) else value
