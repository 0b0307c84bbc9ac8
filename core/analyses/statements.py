"""Statements: sentences of the service, each as a code with named parameters and in English.

A client that speaks another language translates the code and fills in the parameters; the English sentence is for all
others. The templates of an analysis's sentences are in this file. The reasons of slides and of regions that were not
read are made where the error is raised (core.errors). Codes and the names and units of parameters are part of the API:
shares are fractions of 1, counts are of cells or regions.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from core.errors import QuarterturnError

Parameter = str | int | float | tuple[str, ...]

# RotationCheck.meaning, the same for every check.
SELF_TEST = "a software self-test: it says nothing about a score being right"

STATEMENTS = {
    # The summary. It claims no more than the share of tissue that was analysed.
    "no-region": "No region above the threshold in the {share:.0%} of tissue analysed.",
    "one-region": "1 region above the threshold in the {share:.0%} of tissue analysed. "
    "Preliminary: to be read by a pathologist.",
    "regions": "{count} regions above the threshold in the {share:.0%} of tissue analysed. "
    "Preliminary: to be read by a pathologist.",
    # Notes: what limits the answer's validity.
    "organ-unknown": "The network was trained on {scope} only; the organ of this slide is not stated.",
    "organ": "Outside the network's scope: it was trained on {scope}, this slide is {organ!r}.",
    "stain": "Outside the network's scope: it was trained on {scope}, this slide is {stain!r}.",
    "scanner": "Outside the network's scope: it was trained on scans of {scope}; this one is of {scanner}.",
    "comparison": "{model} is shipped for comparison only: a smaller network, trained for minutes. Do not rely on it.",
    "unfamiliar": "{share:.0%} of this tissue looks unlike anything the network was trained on; "
    "see the layer 'unfamiliar'.",
    "unread": "{cells} of {wanted} tissue cells, in {region_images} region images, could not be read: {cause}.",
}

WORK_FAILED = ("{kind} was tried {attempts} times and failed: {cause}", "look at the worker's log, then try again")
REASONS = {  # code: (detail, action)
    "no-tissue": ("no tissue was found on the slide", "look at the slide, or analyse with tissue: all"),
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

WithheldCode = Literal["no-tissue", "rotation-check", "constant-output"]


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


def summarise(region_count: int, share: float) -> Statement:
    """The summary: how many regions there are above the threshold, and in what share (0..1) of the tissue."""
    if region_count == 0:
        return state("no-region", share=share)
    if region_count == 1:
        return state("one-region", share=share)
    return state("regions", count=region_count, share=share)


def _fill(template: str, parameters: dict[str, Parameter]) -> str:
    words = {name: " and ".join(value) if isinstance(value, tuple) else value for name, value in parameters.items()}
    return template.format(**words)
