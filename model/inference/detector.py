"""The detector: what answers for a network, whichever engine computes it."""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from model.groups.group import Group
from model.networks.densenet import DenseNetConfig
from model.networks.views import over_views

Precision = Literal["float32", "bfloat16"]


class Detector(nn.Module, ABC):
    """(N, 3, H, W) RGB in 0..255 → logits (N, H', W'), H' = (H − 96)/16 + 1 and W' alike."""

    config: DenseNetConfig
    group: Group
    classifier: nn.Conv2d

    @abstractmethod
    def cells(self, image: Tensor) -> Tensor:
        """The invariant features of each cell in one view, channels last: (N, 3, H, W) → (N, C, H', W')."""

    def pooled(self, image: Tensor) -> Tensor:
        """The features before the classifier, pooled over views: (N, 3, H, W) → (N, C, H', W')."""
        # Channels last (NHWC): kernels for so few channels are faster in it, and the pixels come in it.
        return over_views(self.cells, image.contiguous(memory_format=torch.channels_last), self.config.views)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pooled(image))  # (N, 1, H', W')
        return logits[:, 0]
