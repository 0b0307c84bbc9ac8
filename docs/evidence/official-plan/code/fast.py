"""`model.densenet.DenseNet` for training on a GPU: the same parameters and the same mathematics, fewer bytes moved.

What differs from `DenseNet.forward`, none of it in the result:

- planes lie channels last, and arithmetic between convolutions is written so that a compiler can fuse it: a norm is
  the two sums of each plane, then one scale and one shift a plane, in float32;
- a block's output is not put together. A norm treats each channel alone, so skip and growth are normed and pooled
  apart, and joined after the pooling, where they are four times smaller;
- a filter bank is one matrix product of the free numbers with a constant, whose gradient is again a product;
- pictures come with eight channels, five of them zero, which the tensor cores want.

`logits` is pure: parameters in, logits and the batch's statistics out, so one compiled function serves every network of
an architecture.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import cast

import torch
from model.densenet import DenseNet, DenseNetConfig
from model.layers import BankConv2d, GroupBatchNorm2d, GroupConv2d, LiftingConv2d
from model.steerable import SteerableConv2d
from torch import Tensor
from torch.nn import functional as F

Parameters = Mapping[str, Tensor]
Statistics = list[tuple[Tensor, Tensor]]
Logits = Callable[[Parameters, Tensor, Statistics | None], tuple[Tensor, Statistics]]

IN_CHANNELS = 8


def basis_of(layer: BankConv2d) -> Tensor:
    """(functions, s, t, k, k): what each free number of a filter adds from input plane t to output plane s.

    Raises:
        ValueError: the layer's bank is no sum of that form.
    """
    if isinstance(layer, SteerableConv2d):
        return layer.basis
    if not isinstance(layer, GroupConv2d | LiftingConv2d):
        raise ValueError(f"{type(layer).__name__} has no fast form")
    order, k = layer.index.shape[0], layer.weight.shape[-1]
    functions = layer.weight[0, 0].numel()
    chosen = F.one_hot(layer.index, functions).float()  # (s, t·k·k, functions)
    return chosen.permute(2, 0, 1).reshape(functions, order, -1, k, k)


def bank(weight: Tensor, basis: Tensor) -> Tensor:
    """(out·s, in·t, k, k), float32."""
    functions, s, t, k, _ = basis.shape
    out, channels = weight.shape[:2]
    summed = weight.reshape(out * channels, functions) @ basis.reshape(functions, -1)
    return summed.view(out, channels, s, t, k * k).transpose(1, 2).reshape(out * s, channels * t, k, k)


def moments(planes: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel, over the batch, all positions and its `order` planes."""
    wide = planes.float()
    mean = wide.mean((0, 2, 3)).view(-1, order).mean(1)
    square = wide.square().mean((0, 2, 3)).view(-1, order).mean(1)
    return mean, (square - mean.square()).clamp_min(0)


def normed(planes: Tensor, scale: Tensor, shift: Tensor, order: int) -> Tensor:
    """relu(scale · planes + shift), a scale and a shift a channel."""
    by_plane = [value[:, None].expand(-1, order).reshape(-1, 1, 1) for value in (scale, shift)]
    return torch.relu(planes.float() * by_plane[0] + by_plane[1])


def halve(planes: Tensor) -> Tensor:
    """Mean over 2×2. Written as a reshape and a mean, PyTorch 2.11 compiled it to reads outside the planes (H100)."""
    return F.avg_pool2d(planes, 2)


class _Pass:
    """One forward pass: hands out statistics, the batch's own or known ones, and keeps them."""

    def __init__(self, parameters: Parameters, known: Statistics | None, order: int, eps: float) -> None:
        self.parameters, self.known, self.order, self.eps = parameters, known, order, eps
        self.seen: Statistics = []

    def norm(self, name: str, parts: list[Tensor]) -> list[Tensor]:
        """relu(norm) of the parts of a feature map, apart."""
        if self.known is None:
            found = [moments(part, self.order) for part in parts]
            mean, var = torch.cat([m for m, _ in found]), torch.cat([v for _, v in found])
        else:
            mean, var = self.known[len(self.seen)]
        self.seen.append((mean.detach(), var.detach()))
        scale = self.parameters[f"{name}.weight"] * torch.rsqrt(var + self.eps)
        shift = self.parameters[f"{name}.bias"] - mean * scale
        sizes = [part.shape[1] // self.order for part in parts]
        split = zip(parts, scale.split(sizes), shift.split(sizes), strict=True)
        return [normed(part, s, b, self.order) for part, s, b in split]


@lru_cache
def logits_of(config: DenseNetConfig, device: torch.device, kind: torch.dtype) -> Logits:
    """The forward pass of an architecture: (parameters, pixels (N, 8, 96, 96), known statistics or None).

    Raises:
        ValueError: the architecture has layers without a fast form, or pools over views.
    """
    network = DenseNet(config)
    if config.views != "one":
        raise ValueError("networks that pool over views have no fast form")
    order, blocks = network.family.planes, config.blocks
    layers = {name: m for name, m in network.named_modules() if isinstance(m, BankConv2d)}
    bases = {name: basis_of(layer).to(device) for name, layer in layers.items()}
    eps = cast(GroupBatchNorm2d, network.norm).eps

    def convolved(parameters: Parameters, name: str, planes: Tensor) -> Tensor:
        filters = bank(parameters[f"{name}.weight"], bases[name])
        filters = F.pad(filters, (0, 0, 0, 0, 0, planes.shape[1] - filters.shape[1])) if name == "lifting" else filters
        return F.conv2d(planes, filters.to(kind).contiguous(memory_format=torch.channels_last))

    def logits(parameters: Parameters, pixels: Tensor, known: Statistics | None = None) -> tuple[Tensor, Statistics]:
        run = _Pass(parameters, known, order, eps)
        skip = convolved(parameters, "lifting", pixels)
        for i in range(blocks):
            (ready,) = run.norm(f"blocks.{i}.norm", [skip])
            parts = [skip[:, :, 1:-1, 1:-1], convolved(parameters, f"blocks.{i}.conv", ready.to(kind))]
            if i + 1 < blocks:
                pooled = [halve(part) for part in run.norm(f"transitions.{i}.norm", parts)]
                skip = convolved(parameters, f"transitions.{i}.conv", torch.cat(pooled, 1).to(kind))
        last = torch.cat(run.norm("norm", parts), 1).mean((2, 3))
        invariant = last.view(len(last), -1, order).mean(2)
        weight, bias = parameters["classifier.weight"].flatten(1), parameters["classifier.bias"]
        return F.linear(invariant, weight, bias)[:, 0], run.seen

    return logits


def norms_in_order(network: DenseNet) -> list[GroupBatchNorm2d]:
    """The norms in the order in which a pass meets them."""
    blocks, transitions = network.stages()
    found = [blocks[0].norm]
    for transition, block in zip(transitions, blocks[1:], strict=True):
        found += [transition.norm, block.norm]
    return cast(list[GroupBatchNorm2d], [*found, network.norm])


def statistics_of(network: DenseNet) -> Statistics:
    """The running statistics of a network, as a pass wants them."""
    return [(norm.running_mean, norm.running_var) for norm in norms_in_order(network)]
