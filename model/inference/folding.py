"""Folding."""

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
    """x → scale·x + shift, one of each a plane, (C,)."""

    scale: Tensor
    shift: Tensor

    @classmethod
    def from_norm(cls, norm: nn.Module) -> "Affine":
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


def replace_modules(module: Module, kind: type[Part], make: Callable[[Part], nn.Module]) -> Module:
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
    return replace_modules(module, kind, lambda conv: plain_conv(conv.bank().detach()))
