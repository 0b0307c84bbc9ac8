"""The frozen network: the same function as a plain convolution graph in which nothing is computed twice.

* Each filter bank is computed once.
* No ReLU stands between a dense block's convolution and the next norm, so that norm's affine on the grown channels is
  folded into the convolution, which gains a bias. Channels that skip the block keep one affine, as does the norm before
  the convolution, since a ReLU follows it.
* The input's normalisation is folded into the lifting convolution. That is exact, since nothing is padded.
* Pooling comes before the transition's 1×1: the two commute, and it then costs a quarter.
* Memory is channels last.

Equal to `DenseNet.eval()` to rounding; tests/model/networks compares them in float64.
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
    """A dense block and the norm after it: f → relu([A(crop f), B(conv(relu(norm f)))]), A and B the norm's halves."""

    def __init__(self, block: DenseBlock, after: nn.Module) -> None:
        super().__init__()
        bank = block.conv.bank()  # (grown planes, planes, 3, 3)
        skipped, grown = Affine.from_norm(after).split(bank.shape[1])  # the block concatenates [skip, grown]
        self.norm = PlaneAffine(Affine.from_norm(block.norm))
        self.conv = plain_conv(bank, grown)
        self.skip = PlaneAffine(skipped)

    def forward(self, planes: Tensor) -> Tensor:
        """(N, planes, H, W) → (N, planes + grown planes, H − 2, W − 2)."""
        # In place: both tensors are fresh results, and a copy of a map of tens of megabytes costs as much as its ReLU.
        grown = self.conv(torch.relu_(self.norm(planes)))  # (N, grown planes, H − 2, W − 2)
        return torch.relu_(torch.cat([self.skip(planes[:, :, 1:-1, 1:-1]), grown], 1))


class Frozen(Detector):
    """A detector as torch layers, in the dtype of its network."""

    def __init__(self, network: DenseNet) -> None:
        super().__init__()
        self.config, self.group = network.config, network.group
        self.classifier = copy.deepcopy(network.classifier)
        self._freeze_layers(network)
        self.requires_grad_(False).eval()
        nn.Module.to(self, memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs lack it

    @abstractmethod
    def _freeze_layers(self, network: DenseNet) -> None:
        """Makes the layers that `cells` computes with."""

    def in_bfloat16(self) -> "Frozen":
        """A copy that computes in bfloat16. With its 8 bits of mantissa, logits move by hundredths."""
        return copy.deepcopy(self).to(torch.bfloat16)


class Folded(Frozen):
    """A network whose norms are affine and whose ReLU is pointwise (group and steerable families): all is folded."""

    def _freeze_layers(self, network: DenseNet) -> None:
        self.planes = network.family.planes
        with torch.no_grad():
            self.lifting = _normalised_lifting(network)
            blocks, transitions = network.stages()
            # A block is folded with the norm that follows it: the next transition's, or at the end the network's.
            norms = [transition.norm for transition in transitions] + [network.norm]
            pairs = zip(blocks, norms, strict=True)
            self.blocks = nn.ModuleList(FrozenBlock(block, norm) for block, norm in pairs)
            self.mixers = nn.ModuleList(plain_conv(transition.conv.bank()) for transition in transitions)

    def first_block(self) -> FrozenBlock:
        """The block after the lifting convolution."""
        return cast(FrozenBlock, self.blocks[0])

    def later_blocks(self) -> Iterator[tuple[nn.Conv2d, FrozenBlock]]:
        """Each transition's 1×1 convolution, and the block after it."""
        return zip(cast(list[nn.Conv2d], self.mixers), cast(list[FrozenBlock], self.blocks[1:]), strict=True)

    def cells(self, image: Tensor) -> Tensor:
        planes = self.first_block()(self.lifting(image))  # (N, C·planes, H − 4, W − 4)
        for mixer, block in self.later_blocks():
            planes = block(mixer(F.avg_pool2d(planes, 2)))  # (N, C·planes, H/2 − 2, W/2 − 2)
        return F.avg_pool2d(group_mean(planes, self.planes), 2, stride=1)  # (N, C, H', W')


class Expanded(Frozen):
    """A network whose norms act on magnitudes (harmonic family): its filter banks are computed once, no more."""

    def _freeze_layers(self, network: DenseNet) -> None:
        self.network = expand_banks(network)

    def cells(self, image: Tensor) -> Tensor:
        return self.network.cells(image)


def _normalised_lifting(network: DenseNet) -> nn.Conv2d:
    """conv((image − mean)/std; bank) = conv(image; bank/std) − Σ mean·bank/std."""
    bank = network.lifting.bank() / network.std  # (out·planes, 3, 3, 3)
    shift = -(bank * network.mean).sum((1, 2, 3))  # (out·planes,)
    return plain_conv(bank, Affine(torch.ones_like(shift), shift))


def freeze(network: DenseNet) -> Frozen:
    """The frozen form of a network, in its dtype. The network itself is set to eval mode and otherwise left alone."""
    network.eval()
    return Folded(network) if isinstance(network.norm, GroupBatchNorm2d) else Expanded(network)
