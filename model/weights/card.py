"""The card of a network's weights: data, protocol, figures, limits."""

import json
from dataclasses import dataclass, field
from typing import Any

from model.families.family import get_family
from model.networks.densenet import DenseNetConfig

FORMAT = 1
RARE = 0.01
COMPARISON = "comparison"  # the purpose of a card whose network is there to be held against the service's own


class WeightsRefused(ValueError):
    """Weights or card that are missing, altered, or of a kind that this version does not know."""


def _odds(share: float) -> float:
    return share / (1 - share)


@dataclass(frozen=True)
class Card:
    """What is known of a checkpoint. `digest` is the sha256 of the safetensors file."""

    name: str
    digest: str
    architecture: dict[str, Any]
    temperature: float = 1.0
    threshold: float = 0.5
    scope: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    golden: list[float] = field(default_factory=list)
    purpose: str = ""
    format: int = FORMAT

    @property
    def config(self) -> DenseNetConfig:
        return config_of(self.architecture)

    @property
    def prevalence(self) -> float | None:
        """The share of positive patches for which scores are calibrated: that of valid. None where it is not known."""
        valid = self.metrics.get("valid", {})
        return valid["positive"] / valid["patches"] if valid.get("patches") and valid.get("positive") else None

    def score_at(self, score: float, prevalence: float) -> float:
        """What a score would be where another share of cells holds tumour (Bayes; Saerens et al. 2002, eq. 2.4).

        It holds if tumour looks like valid's tumour and the rest like valid's rest, which no slide promises.

        Raises:
            ValueError: the card does not say for which share its scores are calibrated.
        """
        if self.prevalence is None:
            raise ValueError(f"the card of {self.name} knows no prevalence")
        odds = score / (1 - score) * _odds(prevalence) / _odds(self.prevalence)
        return odds / (1 + odds)

    def calibration(self) -> dict[str, Any] | None:
        """For readers: for which mix scores are calibrated, and what some are worth where 1 % of cells hold tumour."""
        if self.prevalence is None:
            return None
        worth = {str(score): self.score_at(score, RARE) for score in (0.5, 0.9, 0.99)}
        return {"prevalence": self.prevalence, "rare_prevalence": RARE, "worth_where_rare": worth}

    def to_json(self) -> str:
        return json.dumps(self.__dict__, indent=1, sort_keys=True) + "\n"


def config_of(architecture: dict[str, Any]) -> DenseNetConfig:
    """A config from its JSON form.

    Raises:
        WeightsRefused: fields or values that this version does not know.
    """
    try:
        known = {**architecture, "mean": tuple(architecture["mean"]), "std": tuple(architecture["std"])}
        config = DenseNetConfig(**known)
        get_family(config.family)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsRefused(f"the architecture {architecture} is not known here: {error}") from error
    return config
