"""The frozen network as an OpenVINO graph: the same layers node by node, compiled for the processor at hand.

The graph is built from the frozen layers, with no tracing and no exchange format between. Precision is always set
explicitly: by default OpenVINO computes in bfloat16 where the processor can.

    Convolution with its folded shift, channel affines as Multiply and Add, Relu, Slice, Concat, AvgPool;
    the mean over the group as a 1×1 convolution with 1/|G| (exact: |G| is a power of two)
"""

from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from openvino import Node
from openvino import opset13 as ops
from torch import Tensor, nn

from model.inference.detector import Detector, Precision
from model.inference.folding import PlaneAffine
from model.inference.frozen import Folded, FrozenBlock
from model.weights.card import WeightsRefused

HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16"}
TYPES: dict[Precision, openvino.Type] = {"float32": openvino.Type.f32, "bfloat16": openvino.Type.bf16}
ELSE = "choose float32 (QUARTERTURN_PRECISION), or torch (QUARTERTURN_BACKEND)"
NONE, ONE = [0, 0], [1, 1]


def _constant(values: Tensor | NDArray[np.floating[Any]]) -> Node:
    content = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    return ops.constant(np.ascontiguousarray(content, np.float32))


def _convolved(planes: Node, conv: nn.Conv2d) -> Node:
    out = ops.convolution(planes, _constant(conv.weight), ONE, NONE, NONE, ONE)
    return out if conv.bias is None else ops.add(out, _constant(conv.bias[None, :, None, None]))


def _affine(planes: Node, affine: PlaneAffine) -> Node:
    return ops.add(ops.multiply(planes, _constant(affine.scale[None])), _constant(affine.shift[None]))


def _cropped(planes: Node) -> Node:
    """One pixel less on each side: (N, planes, H, W) → (N, planes, H − 2, W − 2)."""
    first, last, step = (np.array([value, value], np.int64) for value in (1, -1, 1))
    return ops.slice(planes, *(ops.constant(bound) for bound in (first, last, step)), ops.constant(np.array([2, 3])))


def _pooled(planes: Node, stride: int) -> Node:
    return ops.avg_pool(planes, [stride, stride], NONE, NONE, [2, 2], exclude_pad=False)


def _block(planes: Node, block: FrozenBlock) -> Node:
    grown = _convolved(ops.relu(_affine(planes, block.norm)), block.conv)
    return ops.relu(ops.concat([_affine(_cropped(planes), block.skip), grown], 1))


def _group_mean(planes: Node, channels: int, order: int) -> Node:
    """The mean over the `order` planes of each channel, as a 1×1 convolution."""
    share = np.repeat(np.eye(channels, dtype=np.float32), order, axis=1) / order
    return ops.convolution(planes, _constant(share[:, :, None, None]), ONE, NONE, NONE, ONE)


def graph_of(frozen: Folded) -> openvino.Model:
    """(N, H, W, 3) float32 RGB in 0..255 → the invariant features of each cell, (N, C, rows, cols)."""
    image = ops.parameter([-1, -1, -1, 3], np.float32, "image")
    planes = _convolved(ops.transpose(image, ops.constant(np.array([0, 3, 1, 2]))), frozen.lifting)
    planes = _block(planes, frozen.first_block())
    for mixer, block in frozen.later_blocks():
        planes = _block(_convolved(_pooled(planes, 2), mixer), block)
    cells = _group_mean(_pooled(planes, 1), frozen.classifier.in_channels, frozen.planes)
    return openvino.Model([ops.result(cells)], [image], f"{frozen.config.family}-densenet")


class OnOpenVino(Detector):
    """A frozen network on the CPU. Its classifier, one number a cell, stays in torch and in float32.

    Raises:
        WeightsRefused: the processor has no arithmetic of this precision.
    """

    def __init__(self, frozen: Folded, precision: Precision, threads: int) -> None:
        super().__init__()
        self.config, self.group, self.classifier = frozen.config, frozen.group, frozen.classifier
        settings = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # pinned, two workers of one machine share a core and leave another idle
        }
        compiled = openvino.Core().compile_model(graph_of(frozen), "CPU", settings)
        # A hint that the processor cannot follow is dropped in silence, and results would name the wrong precision.
        if compiled.get_property("INFERENCE_PRECISION_HINT") != TYPES[precision]:
            raise WeightsRefused(f"OpenVINO does not compute in {precision} on this processor: {ELSE}")
        self._request = compiled.create_infer_request()

    def cells(self, image: Tensor) -> Tensor:
        """One view: (N, 3, H, W) float32, channels last → the invariant features of each cell, (N, C, rows, cols)."""
        # In channels last this permute is free, and the graph reads the pixels where they lie. The output is copied,
        # since the request reuses its buffer.
        self._request.infer([image.permute(0, 2, 3, 1).contiguous().numpy()], share_inputs=True)
        return torch.from_numpy(self._request.get_output_tensor(0).data.copy())
