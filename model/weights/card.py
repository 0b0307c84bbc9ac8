"""The card of a network's weights: architecture, training data, figures, scope, calibration."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.families.family import get_family
from model.networks.densenet import DenseNetConfig

FORMAT = 1
RARE = 0.01  # share of tumour cells at which the card says what scores are worth
COMPARISON = "comparison"  # purpose of a network that is served for comparison alone


class WeightsRefused(ValueError):
    """Weights or a card that are missing, altered, or of a kind that this version does not support."""


def _odds(share: float) -> float:
    return share / (1 - share)


def _is_share(value: object) -> bool:
    """Whether a value is a figure with its interval, as presets have them."""
    if not isinstance(value, dict) or not isinstance(value.get("value"), float):
        return False
    interval = value.get("interval")
    return isinstance(interval, list | tuple) and len(interval) == 2 and all(isinstance(x, float) for x in interval)


def _has_costs(preset: dict[str, Any]) -> bool:
    """Whether what a preset says of its costs has the form that the API shows; what it does not say is no fault."""
    pairs = [
        {"value": preset[name], "interval": preset.get(f"{name}_interval")}
        for name in ("sensitivity", "specificity")
        if name in preset
    ]
    by_size = [preset.get(name, {}) for name in ("detected", "sham")]
    if not all(isinstance(one, dict) for one in by_size):
        return False
    others = [preset["false_regions_per_10_mm2"]] if "false_regions_per_10_mm2" in preset else []
    return all(_is_share(one) for one in [*pairs, *others, *(share for sizes in by_size for share in sizes.values())])


@dataclass(frozen=True)
class Card:
    """The facts of a checkpoint, as NAME.card.json stores them."""

    name: str
    digest: str  # sha256 of the safetensors file, hexadecimal
    architecture: dict[str, Any]  # JSON form of `DenseNetConfig`
    temperature: float = 1.0  # logits are divided by it before the sigmoid (Guo et al. 2017)
    bias: float = 0.0  # is added to the quotient: scores of new slides may be too low, or too high, throughout
    threshold: float = 0.5  # default score above which cells form a region
    scope: dict[str, Any] = field(default_factory=dict)  # organ, stain, scanners, µm per pixel it was trained for
    data: dict[str, Any] = field(default_factory=dict)  # what it was trained on, and how
    metrics: dict[str, Any] = field(default_factory=dict)  # figures by split
    presets: dict[str, Any] = field(default_factory=dict)  # thresholds for other uses, and what each costs
    golden: list[float] = field(default_factory=list)  # logits of the golden pictures
    purpose: str = ""  # COMPARISON, or nothing
    format: int = FORMAT

    @property
    def config(self) -> DenseNetConfig:
        """The architecture. Raises WeightsRefused where this version does not support it."""
        return config_of(self.architecture)

    def check(self) -> None:
        """Raises WeightsRefused where this version does not support the card's architecture or presets."""
        _ = self.config
        if not isinstance(self.presets, dict):
            raise WeightsRefused(f"the presets of {self.name} are no object")
        for name, preset in self.presets.items():
            self._check_preset(name, preset)

    def _check_preset(self, name: str, preset: object) -> None:
        threshold = preset.get("threshold") if isinstance(preset, dict) else None
        if not isinstance(preset, dict) or not isinstance(threshold, float) or not 0 < threshold < 1:
            raise WeightsRefused(f"the preset {name!r} of {self.name} has no threshold between 0 and 1")
        if not _has_costs(preset):
            raise WeightsRefused(f"the costs of the preset {name!r} of {self.name} are no shares with intervals")
        if name == "default" and threshold != self.threshold:
            own = f"the card's threshold is {self.threshold:g}"
            raise WeightsRefused(f"the preset 'default' of {self.name} has the threshold {threshold:g}, {own}")

    def calibrate(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrated logits: logits / temperature + bias. Any shape.

        In float32: in float64 the quotient would be rounded twice, to other bits.
        """
        return logits / np.float32(self.temperature) + np.float32(self.bias)

    @property
    def prevalence(self) -> float | None:
        """The share of positive patches that scores are calibrated for, valid's, in 0..1; None where it is unknown."""
        valid = self.metrics.get("valid", {})
        return valid["positive"] / valid["patches"] if valid.get("patches") and valid.get("positive") else None

    def score_at(self, score: float, prevalence: float) -> float:
        """The score at another prevalence (Bayes; Saerens et al. 2002, eq. 2.4).

            odds' = odds · [π'/(1 − π')] / [π/(1 − π)]        π the card's prevalence, π' the other

        It assumes that tumour looks like valid's tumour and the rest like valid's rest, which no slide guarantees.

        Args:
            score: in 0..1, calibrated.
            prevalence: share of tumour cells, in 0..1.

        Raises:
            ValueError: the card has no prevalence.
        """
        if self.prevalence is None:
            raise ValueError(f"the card of {self.name} has no prevalence")
        odds = _odds(score) * _odds(prevalence) / _odds(self.prevalence)
        return odds / (1 + odds)

    def calibration(self) -> dict[str, Any] | None:
        """The prevalence that scores are calibrated for, and what some scores are worth at 1 % (`RARE`)."""
        if self.prevalence is None:
            return None
        worth = {str(score): self.score_at(score, RARE) for score in (0.5, 0.9, 0.99)}
        return {"prevalence": self.prevalence, "rare_prevalence": RARE, "worth_where_rare": worth}

    def to_json(self) -> str:
        return json.dumps(self.__dict__, indent=1, sort_keys=True) + "\n"


def config_of(architecture: dict[str, Any]) -> DenseNetConfig:
    """A config from its JSON form.

    Raises:
        WeightsRefused: it has fields or values that this version does not support.
    """
    try:
        fields = {**architecture, "mean": tuple(architecture["mean"]), "std": tuple(architecture["std"])}
        config = DenseNetConfig(**fields)
        get_family(config.family)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsRefused(f"the architecture {architecture} is not supported: {error}") from error
    return config
