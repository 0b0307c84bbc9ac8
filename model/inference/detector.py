"""The detector."""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from model.groups.group import Group
from model.networks.densenet import DenseNetConfig
from model.networks.views import over_views

Precision = Literal["float32", "bfloat16"]


class Detector(nn.Module, ABC):
    """(N, 3, H, W) RGB in 0..255 → logits (N, (H−96)/16+1, (W−96)/16+1), whatever computes them."""

    config: DenseNetConfig
    group: Group
    classifier: nn.Conv2d

    @abstractmethod
    def cells(self, image: Tensor) -> Tensor:
        """One view, channels last: the invariant features of each cell, (N, C, H', W')."""

    def pooled(self, image: Tensor) -> Tensor:
        """The features before the classifier, (N, C, H', W')."""
        return over_views(self.cells, image.contiguous(memory_format=torch.channels_last), self.config.views)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pooled(image))
        return logits[:, 0]
