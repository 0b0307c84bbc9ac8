"""P4M-DenseNet's skeleton written with escnn, exported to plain PyTorch. escnn_network.py SECONDS: cells a CPU second.

Blocks are as in escnn's tutorials (norm, ReLU, 1×1 convolution, then pooling). Weights are random, which does not
change the time.
"""

import json
import sys
import time

import torch
from escnn import gspaces, nn

GROWTH, WIDTHS = 8, (11, 20, 28, 37, 45)  # of p4m: lifting, then the transitions
PLANE = gspaces.flipRot2dOnR2(4)


def regular(channels):
    return nn.FieldType(PLANE, channels * [PLANE.regular_repr])


def piece(before, after, side):
    """Norm, ReLU and convolution, exported."""
    parts = [nn.InnerBatchNorm(before), nn.ReLU(before), nn.R2Conv(before, after, side, bias=False)]
    return torch.nn.Sequential(*(part.eval().export() for part in parts))


class Exported(torch.nn.Module):
    """(N, 3, 96, 96) → (N, 1, 1, 1)."""

    def __init__(self):
        super().__init__()
        image = nn.FieldType(PLANE, 3 * [PLANE.trivial_repr])
        self.lifting = nn.R2Conv(image, regular(WIDTHS[0]), 3, bias=False).eval().export()
        grown = [width + GROWTH for width in WIDTHS]
        self.blocks = torch.nn.ModuleList(piece(regular(width), regular(GROWTH), 3) for width in WIDTHS)
        pairs = zip(grown[:-1], WIDTHS[1:], strict=True)
        self.transitions = torch.nn.ModuleList(piece(regular(a), regular(b), 1) for a, b in pairs)
        self.norm = nn.InnerBatchNorm(regular(grown[-1])).eval().export()
        self.pool = nn.GroupPooling(regular(grown[-1])).eval().export()
        self.classifier = torch.nn.Conv2d(grown[-1], 1, 1)

    def forward(self, image):
        features = self.lifting(image)
        for number, block in enumerate(self.blocks):
            if number:
                features = torch.nn.functional.avg_pool2d(self.transitions[number - 1](features), 2)
            features = torch.cat([features[:, :, 1:-1, 1:-1], block(features)], 1)
        invariant = self.pool(torch.relu(self.norm(features)))
        return self.classifier(torch.nn.functional.avg_pool2d(invariant, 2))


def speed(network, image, cells):
    """Cells a CPU second: the best round within the given seconds, after a warm-up."""
    network(image)
    best, end = float("inf"), time.perf_counter() + float(sys.argv[1])
    while time.perf_counter() < end or best == float("inf"):
        began = time.process_time()
        network(image)
        best = min(best, time.process_time() - began)
    return cells / best


with torch.inference_mode():
    torch.set_num_threads(1)
    exported = Exported().eval().to(memory_format=torch.channels_last)
    patches, region = (
        torch.rand(shape).contiguous(memory_format=torch.channels_last) for shape in ((32, 3, 96, 96), (1, 3, 512, 512))
    )
    print(json.dumps({"patchwise": speed(exported, patches, 32), "dense": speed(exported, region, 27**2)}))
