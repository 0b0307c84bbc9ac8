"""The recipe of a run on a GPU, its learning rate, and the number of steps that fit into its time.

AdamW (Loshchilov & Hutter 2019) with decay on filters only, a warm-up and half a cosine, gradients clipped at norm 1,
an exponential moving average of the parameters. The length of a run is a number of passes, but a run that must end by
a moment shortens its schedule, so that the learning rate still falls to zero.
"""

import math
from dataclasses import dataclass, field

from model.networks.densenet import DenseNetConfig
from model.train.gpu.augmentation import Strength
from model.train.recipe import warm_cosine


@dataclass(frozen=True)
class Recipe:
    """One run: its name, architecture and hyperparameters."""

    name: str
    config: DenseNetConfig = field(default_factory=DenseNetConfig)
    passes: float = 30  # patches that are visited, as a multiple of all training patches, also where `share` is under 1
    least: float = 0.6  # share of `passes` under which the run is left out; 1: the run is never shortened
    batch: int = 128
    lr: float = 4e-3  # the peak
    weight_decay: float = 0.01
    warm_up: float = 0.05  # share of the steps
    cycles: int = 1  # cosines, one after the other; above 1 the rate restarts (Loshchilov & Hutter 2017)
    ema: float = 0.998  # decay of the moving average of the parameters
    seed: int = 0
    share: float = 1.0  # of the training patches, in 0..1
    smoothing: float = 0.0  # labels are smoothing / 2 and 1 − smoothing / 2
    strength: Strength = field(default_factory=Strength)  # of augmentation
    teachers: tuple[str, ...] = ()  # names of runs whose mean logits this one learns from (Hinton et al. 2015)
    soft: float = 0.0  # share of a target that teachers give
    versions: int = 0  # fixed augmentations of each patch that the teachers see, and this run with them
    begin_from: str = ""  # name of a run whose weights this one starts from

    def steps(self, patches: int) -> int:
        """Steps of the whole run. `patches`: all training patches."""
        return max(1, round(self.passes * patches / self.batch))

    def used(self, patches: int) -> int:
        """How many of the training patches the run uses: the first ones, which are in random order."""
        return min(patches, math.ceil(self.share * patches))


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of a step."""
    return warm_cosine(recipe.lr, recipe.warm_up, step, steps, recipe.cycles)


class Schedule:
    """The steps of a run: as many as planned, or as many as fit by its pace until a moment."""

    def __init__(
        self,
        planned: int,
        until: float | None = None,
        validation_s: float = 0.0,
        validations: int = 0,
        end_s: float = 0.0,
    ) -> None:
        """Times in seconds. They put aside what is no step.

        Args:
            until: of `time.monotonic`; None: no bound.
            validation_s: of one of the `validations` to come.
            end_s: after the last step.
        """
        self.planned = self.steps = planned
        self._validation_s = validation_s
        self._last_step = math.inf if until is None else until - validations * validation_s - end_s
        self._start: tuple[int, float] | None = None

    def measure(self, step: int, now: float) -> None:
        """Shortens the run to what fits, or lengthens it again, up to the plan.

        The first call only starts the clock, since late compilation is over by then.
        """
        if self._start is None:
            self._start = (step, now)
        elif self._last_step < math.inf:
            first, then = self._start
            step_s = max(now - then, 1e-9) / (step - first)
            self.steps = min(self.planned, step + max(0, int((self._last_step - now) / step_s)))

    def validated(self, seconds: float) -> None:
        """Takes a validation out of the pace, and what was put aside for it back."""
        self._last_step += self._validation_s
        if self._start is not None:
            step, then = self._start
            self._start = (step, then + seconds)
