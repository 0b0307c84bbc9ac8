"""The device, the patches on it, and the compiled functions that all runs share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from model.networks.densenet import DenseNet, DenseNetConfig
from model.train.gpu.augmentation import DRAWS, Augmentation, Strength
from model.train.gpu.forward import Forward, forward_of, norms_in_order, statistics_of
from model.train.pcam import Split

MOST_FORMS = 64  # compiled from one function
STATISTICS_SEED, VERSIONS_SEED = 7_000_003, 5_000_011  # apart from those of epochs


@dataclass(frozen=True)
class Patches:
    """Patches (N, 96, 96, 3) uint8 RGB and labels (N,) float32, on a device."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of_split(cls, split: Split, device: torch.device) -> "Patches":
        """A split on a device."""
        return cls(torch.from_numpy(split.patches).to(device), torch.from_numpy(split.labels).float().to(device))


class Accelerator:
    """A device with training and validation patches. Convolutions compute in bfloat16 on a GPU, in float32 on a CPU."""

    def __init__(self, train: Patches, valid: Patches, batch: int, compiled: bool) -> None:
        """`batch`: patches of a forward pass outside training. `compiled`: with torch.compile, once a shape."""
        self.train, self.valid, self.batch, self.compiled = train, valid, batch, compiled
        self.device = train.pixels.device
        self.dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.augmentation = Augmentation(self.dtype).to(self.device)
        self.augment = self._compile(self.augmentation)
        self._forwards: dict[tuple[DenseNetConfig, str], Forward] = {}

    def _compile(self, function: Any) -> Any:
        if not self.compiled:
            return function
        # All architectures share the code of one function, of which PyTorch compiles eight forms and interprets others.
        torch._dynamo.config.cache_size_limit = MOST_FORMS
        return torch.compile(function, dynamic=False)

    def forward(self, config: DenseNetConfig, use: str) -> Forward:
        """The forward pass of an architecture, compiled once for each use ("training", "inference")."""
        key = (config, use)
        if key not in self._forwards:
            self._forwards[key] = self._compile(forward_of(config, self.device, self.dtype))
        return self._forwards[key]

    def wait(self) -> None:
        """Returns when the device is idle."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def draws(self, seed: int, count: int) -> Tensor:
        """Random numbers for the augmentation of `count` patches, (count, DRAWS) in 0..1."""
        generator = torch.Generator(self.device).manual_seed(seed)
        return torch.rand(count, DRAWS, generator=generator, device=self.device)

    def order(self, seed: int, count: int) -> Tensor:
        """A random order of the first `count` training patches, (count,)."""
        return torch.randperm(count, generator=torch.Generator().manual_seed(seed)).to(self.device)

    @torch.no_grad()
    def predict(self, networks: Sequence[DenseNet], images: Callable[[Tensor], Tensor], count: int) -> Tensor:
        """The logits (networks, count) in eval mode on what `images` makes of the places of a batch.

        The last batch is filled up from the beginning, since another shape would be compiled again.
        """
        forwards = [self.forward(network.config, "inference") for network in networks]
        states = [(dict(network.named_parameters()), statistics_of(network)) for network in networks]
        places, parts = torch.arange(-(-count // self.batch) * self.batch, device=self.device) % count, []
        for rows in places.split(self.batch):
            batch = images(rows)
            pairs = zip(forwards, states, strict=True)
            parts.append(torch.stack([forward(values, batch, stats)[0] for forward, (values, stats) in pairs]))
        return torch.cat(parts, 1)[:, :count].float()

    def predict_valid(self, network: DenseNet) -> Tensor:
        """The logits of the validation patches, (N,)."""
        pixels = self.valid.pixels
        return self.predict([network], lambda places: self.augmentation.unchanged(pixels[places]), len(pixels))[0]

    @torch.no_grad()
    def renew_statistics(
        self, network: DenseNet, strength: Strength, seed: int, count: int, batches: int, dtype: torch.dtype
    ) -> None:
        """Sets batch-norm statistics to the mean over some augmented batches (Izmailov et al. 2018).

        The averaged parameters never ran in training, so no batch has left them statistics of their own.

        Args:
            count: of training patches, from the first.
            batches: at most; two passes of few patches are enough.
            dtype: of the convolutions.
        """
        forward, parameters = forward_of(network.config, self.device, dtype), dict(network.named_parameters())
        order, draws = self.order(STATISTICS_SEED + seed, count), self.draws(STATISTICS_SEED + seed, count)
        amounts, collected = strength.on(self.device), []
        for i in range(min(batches, max(2, 2 * count // self.batch))):
            rows = order[torch.arange(i * self.batch, (i + 1) * self.batch, device=self.device) % count]
            images = self.augment(self.train.pixels[rows], draws[rows], amounts)
            collected.append(forward(parameters, images.to(dtype), None)[1])
        for place, norm in enumerate(norms_in_order(network)):
            norm.running_mean.copy_(torch.stack([statistics[place][0] for statistics in collected]).mean(0))
            norm.running_var.copy_(torch.stack([statistics[place][1] for statistics in collected]).mean(0))

    @torch.no_grad()
    def soft_targets(self, teachers: Sequence[DenseNet], strength: Strength, versions: int) -> Tensor:
        """The probability (versions, N) that the mean of the teachers' logits gives each augmented training patch."""
        amounts, rows = strength.on(self.device), []
        for version in range(versions):
            draws = self.draws(VERSIONS_SEED + version, len(self.train))

            def images(places: Tensor, draws: Tensor = draws) -> Tensor:
                augmented: Tensor = self.augment(self.train.pixels[places], draws[places], amounts)
                return augmented

            rows.append(torch.sigmoid(self.predict(teachers, images, len(self.train)).mean(0)))
        return torch.stack(rows)
