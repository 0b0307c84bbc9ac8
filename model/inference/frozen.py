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
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.groups.group import Group
from model.groups.layers import BankConv2d, GroupBatchNorm2d, group_mean
from model.networks.densenet import DenseBlock, DenseNet, DenseNetConfig, over_views

Precision = Literal["float32", "bfloat16"]
Module = TypeVar("Module", bound=nn.Module)
Part = TypeVar("Part", bound=nn.Module)


@dataclass(frozen=True)
class Affine:
    """x → scale·x + shift, one of each a plane, (C,)."""

    scale: Tensor
    shift: Tensor

    @classmethod
    def of(cls, norm: nn.Module) -> "Affine":
        assert isinstance(norm, GroupBatchNorm2d)
        return cls(*norm.affine(norm.running_mean, norm.running_var))

    def split(self, first: int) -> tuple["Affine", "Affine"]:
        """The affine of the first planes, and of the rest."""
        return Affine(self.scale[:first], self.shift[:first]), Affine(self.scale[first:], self.shift[first:])


class PlaneAffine(nn.Module):
    """One multiply-add a plane."""

    scale: Tensor
    shift: Tensor

    def __init__(self, affine: Affine) -> None:
        super().__init__()
        self.register_buffer("scale", affine.scale.detach()[:, None, None].clone())
        self.register_buffer("shift", affine.shift.detach()[:, None, None].clone())

    def forward(self, planes: Tensor) -> Tensor:
        return torch.addcmul(self.shift, planes, self.scale)


def plain_conv(bank: Tensor, after: Affine | None = None, padding: int = 0) -> nn.Conv2d:
    """A convolution with a fixed bank, an affine on its output folded in."""
    out, channels, k, _ = bank.shape
    conv = nn.Conv2d(channels, out, k, padding=padding, bias=after is not None, dtype=bank.dtype)
    with torch.no_grad():
        conv.weight.copy_(bank if after is None else bank * after.scale[:, None, None, None])
        if after is not None and conv.bias is not None:
            conv.bias.copy_(after.shift)
    return conv


def replaced(module: Module, kind: type[Part], make: Callable[[Part], nn.Module]) -> Module:
    """A copy in which something else stands for every part of a kind."""
    plain = copy.deepcopy(module)
    for parent in list(plain.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kind):
                setattr(parent, name, make(child))
    return plain


def expand_banks(module: Module) -> Module:
    """A copy whose group convolutions are plain ones, each bank expanded once."""
    kind: type[BankConv2d] = BankConv2d  # type: ignore[type-abstract] # only asked whether something is one
    return replaced(module, kind, lambda conv: plain_conv(conv.bank().detach()))


class FrozenBlock(nn.Module):
    """Dense block and the norm after it: f → relu([A(crop f), B(conv(relu(norm f)))]), A and B that norm's halves."""

    def __init__(self, block: DenseBlock, after: nn.Module) -> None:
        super().__init__()
        bank = block.conv.bank()
        skipped, grown = Affine.of(after).split(bank.shape[1])
        self.norm = PlaneAffine(Affine.of(block.norm))
        self.conv = plain_conv(bank, grown)
        self.skip = PlaneAffine(skipped)

    def forward(self, planes: Tensor) -> Tensor:
        grown = self.conv(torch.relu_(self.norm(planes)))
        return torch.relu_(torch.cat([self.skip(planes[:, :, 1:-1, 1:-1]), grown], 1))


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
