"""The network as a plain convolution graph for inference: the same mathematics, with nothing left to compute twice.

* Each filter bank is expanded once.
* A dense block's grown channels meet nothing but the next norm, with no ReLU between, so that norm's affine on them
  is folded into the block's own convolution (it gains a bias). Channels that skip the block, and the norm before its
  ReLU, keep one per-channel affine each.
* The input's normalisation is folded into the lifting convolution (exact: no padding).
* The mean over the group is folded into the classifier; pooling stands before the transition's 1×1.
* channels_last.

Equal to `DenseNet.eval()` to rounding.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.densenet import DenseBlock, DenseNet
from model.layers import GroupBatchNorm2d


@dataclass(frozen=True)
class Affine:
    """x → scale·x + shift, one of each a plane, (C,)."""

    scale: Tensor
    shift: Tensor

    @classmethod
    def of(cls, norm: GroupBatchNorm2d) -> "Affine":
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


def plain_conv(bank: Tensor, after: Affine | None = None) -> nn.Conv2d:
    """A convolution with a fixed bank, an affine on its output folded in."""
    out, channels, k, _ = bank.shape
    conv = nn.Conv2d(channels, out, k, bias=after is not None, dtype=bank.dtype)
    with torch.no_grad():
        conv.weight.copy_(bank if after is None else bank * after.scale[:, None, None, None])
        if after is not None and conv.bias is not None:
            conv.bias.copy_(after.shift)
    return conv


class FrozenBlock(nn.Module):
    """Dense block and the norm after it: f → relu([A(crop f), B(conv(relu(norm f)))]), A and B that norm's halves."""

    def __init__(self, block: DenseBlock, after: GroupBatchNorm2d) -> None:
        super().__init__()
        bank = block.conv.bank()
        skipped, grown = Affine.of(after).split(bank.shape[1])
        self.norm = PlaneAffine(Affine.of(block.norm))
        self.conv = plain_conv(bank, grown)
        self.skip = PlaneAffine(skipped)

    def forward(self, planes: Tensor) -> Tensor:
        grown = self.conv(F.relu(self.norm(planes)))
        return F.relu(torch.cat([self.skip(planes[:, :, 1:-1, 1:-1]), grown], 1))


class Frozen(nn.Module):
    """(N, 3, H, W) RGB in 0..255 float32 → logits (N, (H−96)/16+1, (W−96)/16+1)."""

    def __init__(self, network: DenseNet) -> None:
        super().__init__()
        self.group = network.group
        with torch.no_grad():
            self.lifting = _normalised_lifting(network)
            blocks, transitions = network.stages()
            norms = [transition.norm for transition in transitions] + [network.norm]
            pairs = zip(blocks, norms, strict=True)
            self.blocks = nn.ModuleList(FrozenBlock(block, norm) for block, norm in pairs)
            self.mixers = nn.ModuleList(plain_conv(transition.conv.bank()) for transition in transitions)
            order = len(network.group)
            assert network.classifier.bias is not None
            weight = network.classifier.weight.repeat_interleave(order, 1) / order
            self.classifier = plain_conv(weight, Affine(torch.ones_like(weight[:, 0, 0, 0]), network.classifier.bias))
        self.requires_grad_(False).eval()
        nn.Module.to(self, memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs lack it

    def forward(self, image: Tensor) -> Tensor:
        planes = self.blocks[0](self.lifting(image.contiguous(memory_format=torch.channels_last)))
        for mixer, block in zip(self.mixers, self.blocks[1:], strict=True):
            planes = block(mixer(F.avg_pool2d(planes, 2)))
        logits: Tensor = F.avg_pool2d(self.classifier(planes), 2, stride=1)
        return logits[:, 0]


def _normalised_lifting(network: DenseNet) -> nn.Conv2d:
    bank = network.lifting.bank() / network.std  # (out·|G|, 3, 3, 3)
    shift = -(bank * network.mean).sum((1, 2, 3))
    return plain_conv(bank, Affine(torch.ones_like(shift), shift))


def freeze(network: DenseNet) -> Frozen:
    """The frozen form of a network, in its dtype."""
    return Frozen(network.eval())
