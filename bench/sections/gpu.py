"""The frozen network on a GPU, where there is one: cells a second by precision, beside the GPU's own limit."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from bench.page.tables import Section, least_seconds
from model.evidence.cost import flops_per_cell
from model.inference.dense import REGION_PX, Pixels, cells_a_side, infer_with_features
from model.inference.detector import Detector
from model.inference.frozen import freeze
from model.inference.staging import Staging
from model.weights.checkpoint import load_network

ABOUT = """Dense regions, channels last, already on the device unless stated; wall seconds between two moments at which
the device is idle. TF32 is off, so float32 is float32."""
KINDS = (torch.float32, torch.bfloat16, torch.float16)


def measure(quick: bool) -> Section:
    """Measures each precision, eager and compiled; without a GPU the section says so."""
    section = Section("Inference on a GPU", ABOUT)
    if not torch.cuda.is_available():
        section.missing.append("this machine has no GPU")
        return section
    rows(section, torch.device("cuda"), 4 if quick else 16, REGION_PX, compiled=True)
    return section


def rows(section: Section, device: torch.device, regions: int, side_px: int, compiled: bool) -> None:
    """Adds the speeds on a device, each with its drift from float32 on the CPU."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    frozen = freeze(load_network()[0])
    pixels = np.random.default_rng(0).integers(0, 256, (regions, side_px, side_px, 3), dtype=np.uint8)
    image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        reference = frozen(image[:1])
        for kind in KINDS:
            peak = _matrix_flops(device, kind)
            network, there = freeze(load_network()[0]).to(device, kind), image.to(device, kind)
            forms: dict[str, Callable[[Any], Any]] = {"eager": network}
            if compiled:
                forms["compiled"] = torch.compile(network, mode="reduce-overhead")
            for form, forward in forms.items():
                worst = float((forward(there)[:1].float().cpu() - reference).abs().max())
                seconds = _seconds(device, partial(forward, there))
                speed = regions * cells_a_side(side_px) ** 2 / seconds
                share = speed * flops_per_cell(frozen, side_px) / peak
                note = f"{share:.0%} of the card's limit for it; up to {worst:.1e} logits from the CPU's float32"
                section.add(f"{str(kind).removeprefix('torch.')}, {form}", speed, "cells/s", note)
            _from_memory(section, network, pixels, device)


def _from_memory(section: Section, network: Detector, pixels: Pixels, device: torch.device) -> None:
    """Region by region out of main memory, copied one region ahead as a worker does, and copied when needed."""
    staging, kind = Staging(device), str(next(network.parameters()).dtype).removeprefix("torch.")

    def one_ahead() -> None:
        ahead = staging.send(pixels[0])
        for following in pixels[1:]:
            now, ahead = ahead, staging.send(following)
            infer_with_features(network, staging.receive(now))
        infer_with_features(network, staging.receive(ahead))

    def when_needed() -> None:
        for region in pixels:
            infer_with_features(network, region[None])

    cells = len(pixels) * cells_a_side(pixels.shape[1]) ** 2
    section.add(f"{kind}, from memory one region ahead", cells / _seconds(device, one_ahead), "cells/s", "page-locked")
    section.add(f"{kind}, from memory when needed", cells / _seconds(device, when_needed), "cells/s")


def _matrix_flops(device: torch.device, kind: torch.dtype, side: int = 0) -> float:
    """The device's limit in FLOP/s: a square matrix product."""
    side = side or (8192 if device.type == "cuda" else 256)
    a = torch.randn(side, side, device=device).to(kind)
    return 2 * side**3 / _seconds(device, lambda: a @ a)


def _seconds(device: torch.device, work: Callable[[], Any]) -> float:
    """The least wall seconds until the device is idle."""

    def finished() -> None:
        work()
        _wait(device)

    return least_seconds(finished, 5, time.perf_counter)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
