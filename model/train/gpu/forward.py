"""The forward pass of a DenseNet as a pure function for a GPU: the same parameters and results, fewer bytes moved.

It differs from `DenseNet.forward` in how it computes, not in what:

- Planes lie channels last. Arithmetic between convolutions is written so that a compiler can fuse it: a norm is two
  sums of each plane, then one scale and one shift a plane, in float32.
- A block's output is not concatenated. A norm treats each channel alone, so skip and growth are normalised and pooled
  apart, and concatenated after the pooling, where they are four times smaller.
- A filter bank is one matrix product of the parameters with a constant, so its gradient is a product, too.
- Images have eight channels, five of them zero, since tensor cores need a multiple of eight.

Parameters and statistics are arguments, so one compiled function serves every network of an architecture. The families
whose norm is `GroupBatchNorm2d` have this form: z2, p4, p4m, steerable and steerable-d8.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from model.families.steerable import SteerableConv2d
from model.groups.batch_norm import GroupBatchNorm2d
from model.groups.convolution import BankConv2d, GroupConv2d, LiftingConv2d
from model.networks.densenet import DenseNet, DenseNetConfig

Parameters = Mapping[str, Tensor]
Statistics = list[tuple[Tensor, Tensor]]  # mean and variance (C,) of each norm, in the order of a pass
Forward = Callable[[Parameters, Tensor, Statistics | None], tuple[Tensor, Statistics]]

IN_CHANNELS = 8


def basis_of(layer: BankConv2d) -> Tensor:
    """What each parameter of a filter adds from input plane t to output plane s: (functions, s, t, k, k) float32.

    Raises:
        ValueError: the layer's filter bank is no sum of that form.
    """
    if isinstance(layer, SteerableConv2d):
        return layer.basis
    if not isinstance(layer, GroupConv2d | LiftingConv2d):
        raise ValueError(f"{type(layer).__name__} has no fused form")
    order, k = layer.index.shape[0], layer.weight.shape[-1]
    functions = layer.weight[0, 0].numel()
    selected = F.one_hot(layer.index, functions).float()  # (s, t·k·k, functions)
    return selected.permute(2, 0, 1).reshape(functions, order, -1, k, k)


def bank(weight: Tensor, basis: Tensor) -> Tensor:
    """The filters of an ordinary convolution, (out·s, in·t, k, k), from parameters (out, in, …) and their basis."""
    functions, s, t, k, _ = basis.shape
    out, channels = weight.shape[:2]
    total = weight.reshape(out * channels, functions) @ basis.reshape(functions, -1)
    return total.view(out, channels, s, t, k * k).transpose(1, 2).reshape(out * s, channels * t, k, k)


def moments(planes: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) of each channel of (N, C·order, H, W), over the batch, its positions and its planes."""
    wide = planes.float()
    mean = wide.mean((0, 2, 3)).view(-1, order).mean(1)
    square = wide.square().mean((0, 2, 3)).view(-1, order).mean(1)
    return mean, (square - mean.square()).clamp_min(0)


def normalise(planes: Tensor, scale: Tensor, shift: Tensor, order: int) -> Tensor:
    """relu(scale · planes + shift), float32. Planes (N, C·order, H, W), scale and shift (C,)."""
    by_plane = [value[:, None].expand(-1, order).reshape(-1, 1, 1) for value in (scale, shift)]
    return torch.relu(planes.float() * by_plane[0] + by_plane[1])


def halve(planes: Tensor) -> Tensor:
    """Mean over 2×2: (N, P, H, W) → (N, P, H/2, W/2).

    Written as a reshape and a mean, PyTorch 2.11 compiled it to reads outside the planes (on an H100).
    """
    return F.avg_pool2d(planes, 2)


class _Pass:
    """One forward pass: its norms use the batch's own statistics or those that are passed in, and collect them."""

    def __init__(self, parameters: Parameters, fixed: Statistics | None, order: int, eps: float) -> None:
        self.parameters, self.fixed, self.order, self.eps = parameters, fixed, order, eps
        self.statistics: Statistics = []

    def norm(self, name: str, parts: list[Tensor]) -> list[Tensor]:
        """relu(norm) of the parts of a feature map, apart."""
        if self.fixed is None:
            pairs = [moments(part, self.order) for part in parts]
            mean, var = torch.cat([m for m, _ in pairs]), torch.cat([v for _, v in pairs])
        else:
            mean, var = self.fixed[len(self.statistics)]
        self.statistics.append((mean.detach(), var.detach()))
        scale = self.parameters[f"{name}.weight"] * torch.rsqrt(var + self.eps)
        shift = self.parameters[f"{name}.bias"] - mean * scale
        sizes = [part.shape[1] // self.order for part in parts]
        split = zip(parts, scale.split(sizes), shift.split(sizes), strict=True)
        return [normalise(part, s, b, self.order) for part, s, b in split]


@lru_cache
def forward_of(config: DenseNetConfig, device: torch.device, dtype: torch.dtype) -> Forward:
    """The forward pass of an architecture, pure: (parameters, images, statistics) → (logits, statistics).

    Images are (N, 8, 96, 96) as `model.train.gpu.augmentation` makes them, logits (N,) float32. Without statistics
    (None) norms use the batch's own, as in training; with them, as in eval mode. The result has those that were used.

    Args:
        dtype: of the convolutions; the rest is float32.

    Raises:
        ValueError: the family has another norm or other layers, or the network pools over views.
    """
    network = DenseNet(config)
    if config.views != "one":
        raise ValueError("networks that pool over views have no fused form")
    if not isinstance(network.norm, GroupBatchNorm2d):
        raise ValueError(f"networks of the family {config.family} have no fused form")
    order, blocks, eps = network.family.planes, config.blocks, network.norm.eps
    layers = {name: m for name, m in network.named_modules() if isinstance(m, BankConv2d)}
    bases = {name: basis_of(layer).to(device) for name, layer in layers.items()}

    def convolve(parameters: Parameters, name: str, planes: Tensor) -> Tensor:
        filters = bank(parameters[f"{name}.weight"], bases[name])
        filters = F.pad(filters, (0, 0, 0, 0, 0, planes.shape[1] - filters.shape[1])) if name == "lifting" else filters
        return F.conv2d(planes, filters.to(dtype).contiguous(memory_format=torch.channels_last))

    def forward(parameters: Parameters, images: Tensor, fixed: Statistics | None = None) -> tuple[Tensor, Statistics]:
        run = _Pass(parameters, fixed, order, eps)
        skip = convolve(parameters, "lifting", images)
        for i in range(blocks):
            (ready,) = run.norm(f"blocks.{i}.norm", [skip])
            parts = [skip[:, :, 1:-1, 1:-1], convolve(parameters, f"blocks.{i}.conv", ready.to(dtype))]
            if i + 1 < blocks:
                pooled = [halve(part) for part in run.norm(f"transitions.{i}.norm", parts)]
                skip = convolve(parameters, f"transitions.{i}.conv", torch.cat(pooled, 1).to(dtype))
        last = torch.cat(run.norm("norm", parts), 1).mean((2, 3))  # (N, C·order)
        invariant = last.view(len(last), -1, order).mean(2)
        weight, bias = parameters["classifier.weight"].flatten(1), parameters["classifier.bias"]
        return F.linear(invariant, weight, bias)[:, 0], run.statistics

    return forward


def norms_in_order(network: DenseNet) -> list[GroupBatchNorm2d]:
    """The norms of a network in the order of a pass."""
    blocks, transitions = network.stages()
    norms = [blocks[0].norm]
    for transition, block in zip(transitions, blocks[1:], strict=True):
        norms += [transition.norm, block.norm]
    return cast(list[GroupBatchNorm2d], [*norms, network.norm])


def statistics_of(network: DenseNet) -> Statistics:
    """The running statistics of a network, in the order of a pass."""
    return [(norm.running_mean, norm.running_var) for norm in norms_in_order(network)]
