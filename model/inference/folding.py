"""Folding: what of a trained network is fixed is computed once and merged into plain convolutions.

    A(conv(f; bank)) = conv(f; scale·bank) + shift          for an affine A(x) = scale·x + shift per plane

exact in real numbers, to rounding in floating point.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from model.groups.batch_norm import GroupBatchNorm2d
from model.groups.convolution import BankConv2d

Module = TypeVar("Module", bound=nn.Module)
Part = TypeVar("Part", bound=nn.Module)


@dataclass(frozen=True)
class Affine:
    """x → scale·x + shift per plane; both (planes,)."""

    scale: Tensor
    shift: Tensor

    @classmethod
    def from_norm(cls, norm: nn.Module) -> "Affine":
        """A batch norm in eval mode, with its running statistics."""
        assert isinstance(norm, GroupBatchNorm2d)
        return cls(*norm.affine(norm.running_mean, norm.running_var))

    def split(self, first: int) -> tuple["Affine", "Affine"]:
        """The affine of the first `first` planes, and of the rest."""
        return Affine(self.scale[:first], self.shift[:first]), Affine(self.scale[first:], self.shift[first:])


class PlaneAffine(nn.Module):
    """An `Affine` as a layer: one multiply-add per plane, (N, planes, H, W) → the same shape."""

    scale: Tensor
    shift: Tensor

    def __init__(self, affine: Affine) -> None:
        super().__init__()
        self.register_buffer("scale", affine.scale.detach()[:, None, None].clone())
        self.register_buffer("shift", affine.shift.detach()[:, None, None].clone())

    def forward(self, planes: Tensor) -> Tensor:
        return torch.addcmul(self.shift, planes, self.scale)


def plain_conv(bank: Tensor, after: Affine | None = None, padding: int = 0) -> nn.Conv2d:
    """A convolution with a fixed bank (out, in, k, k) and the affine after it folded in. Without one it has no bias."""
    out, channels, k, _ = bank.shape
    conv = nn.Conv2d(channels, out, k, padding=padding, bias=after is not None, dtype=bank.dtype)
    with torch.no_grad():
        conv.weight.copy_(bank if after is None else bank * after.scale[:, None, None, None])
        if after is not None and conv.bias is not None:
            conv.bias.copy_(after.shift)
    return conv


def replace_modules(module: Module, kind: type[Part], make: Callable[[Part], nn.Module]) -> Module:
    """A copy of a module in which `make(part)` replaces every part of type `kind`, at any depth."""
    plain = copy.deepcopy(module)
    # Lists: the loop changes what it iterates over.
    for parent in list(plain.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kind):
                setattr(parent, name, make(child))
    return plain


def expand_banks(module: Module) -> Module:
    """A copy whose bank convolutions are plain ones, each bank computed once."""
    kind: type[BankConv2d] = BankConv2d  # type: ignore[type-abstract] # used with isinstance only
    return replace_modules(module, kind, lambda conv: plain_conv(conv.bank().detach()))
