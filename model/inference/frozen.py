"""The network as a plain convolution graph for inference: the same mathematics, with nothing left to compute twice.

* Each filter bank is expanded once.
* A dense block's grown channels meet nothing but the next norm, with no ReLU between, so that norm's affine on them
  is folded into the block's own convolution (it gains a bias). Channels that skip the block, and the norm before its
  ReLU, keep one per-channel affine each.
* The input's normalisation is folded into the lifting convolution (exact: no padding).
* Pooling stands before the transition's 1×1.
* channels_last.

Equal to `DenseNet.eval()` to rounding.
"""

import copy
from abc import abstractmethod
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.groups.batch_norm import GroupBatchNorm2d
from model.groups.pooling import group_mean
from model.inference.detector import Detector
from model.inference.folding import Affine, PlaneAffine, expand_banks, plain_conv
from model.networks.densenet import DenseBlock, DenseNet


class FrozenBlock(nn.Module):
    """Dense block and the norm after it: f → relu([A(crop f), B(conv(relu(norm f)))]), A and B that norm's halves."""

    def __init__(self, block: DenseBlock, after: nn.Module) -> None:
        super().__init__()
        bank = block.conv.bank()
        skipped, grown = Affine.from_norm(after).split(bank.shape[1])
        self.norm = PlaneAffine(Affine.from_norm(block.norm))
        self.conv = plain_conv(bank, grown)
        self.skip = PlaneAffine(skipped)

    def forward(self, planes: Tensor) -> Tensor:
        grown = self.conv(torch.relu_(self.norm(planes)))
        return torch.relu_(torch.cat([self.skip(planes[:, :, 1:-1, 1:-1]), grown], 1))


class Frozen(Detector):
    """A detector as torch layers, in float32 unless it is moved to another type."""

    def __init__(self, network: DenseNet) -> None:
        super().__init__()
        self.config, self.group = network.config, network.group
        self.classifier = copy.deepcopy(network.classifier)
        self._take(network)
        self.requires_grad_(False).eval()
        nn.Module.to(self, memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs lack it

    @abstractmethod
    def _take(self, network: DenseNet) -> None:
        """Make the layers of `cells`."""

    def in_bfloat16(self) -> "Frozen":
        """A copy that computes in bfloat16: 8 bits of mantissa, so that logits move by hundredths."""
        return copy.deepcopy(self).to(torch.bfloat16)


class Folded(Frozen):
    """A family whose norms are affine and whose ReLU is pointwise: everything foldable is folded."""

    def _take(self, network: DenseNet) -> None:
        self.planes = network.family.planes
        with torch.no_grad():
            self.lifting = _normalised_lifting(network)
            blocks, transitions = network.stages()
            norms = [transition.norm for transition in transitions] + [network.norm]
            pairs = zip(blocks, norms, strict=True)
            self.blocks = nn.ModuleList(FrozenBlock(block, norm) for block, norm in pairs)
            self.mixers = nn.ModuleList(plain_conv(transition.conv.bank()) for transition in transitions)

    def first_block(self) -> FrozenBlock:
        """What stands on the lifting convolution."""
        return cast(FrozenBlock, self.blocks[0])

    def later_blocks(self) -> Iterator[tuple[nn.Conv2d, FrozenBlock]]:
        """Each 1×1 that mixes what was pooled, and the block on it."""
        return zip(cast(list[nn.Conv2d], self.mixers), cast(list[FrozenBlock], self.blocks[1:]), strict=True)

    def cells(self, image: Tensor) -> Tensor:
        planes = self.first_block()(self.lifting(image))
        for mixer, block in self.later_blocks():
            planes = block(mixer(F.avg_pool2d(planes, 2)))
        return F.avg_pool2d(group_mean(planes, self.planes), 2, stride=1)


class Expanded(Frozen):
    """A family that norms magnitudes: its filter banks are expanded once, nothing else changes."""

    def _take(self, network: DenseNet) -> None:
        self.network = expand_banks(network)

    def cells(self, image: Tensor) -> Tensor:
        return self.network.cells(image)


def _normalised_lifting(network: DenseNet) -> nn.Conv2d:
    bank = network.lifting.bank() / network.std  # (out·|G|, 3, 3, 3)
    shift = -(bank * network.mean).sum((1, 2, 3))
    return plain_conv(bank, Affine(torch.ones_like(shift), shift))


def freeze(network: DenseNet) -> Frozen:
    """The frozen form of a network, in its dtype."""
    network.eval()
    return Folded(network) if isinstance(network.norm, GroupBatchNorm2d) else Expanded(network)
