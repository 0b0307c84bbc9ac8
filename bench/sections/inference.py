"""The network on one core: naive code, the frozen network, OpenVINO; dense and patch by patch."""

import numpy as np
import torch

from bench import peers
from bench.page.tables import Section, Target, least_seconds, three_figures
from bench.rig.limit import gemm_gflops
from bench.rig.machine import has_amx
from model.checks import drift
from model.evidence.cost import flops, flops_per_cell
from model.inference.dense import REGION_PX, Pixels, cells_a_side, infer
from model.inference.engines import Engine
from model.inference.frozen import Frozen, freeze
from model.inference.memory import keep_freed_memory
from model.networks.densenet import PATCH_PX, STRIDE_PX
from model.weights.card import WeightsRefused
from model.weights.checkpoint import load_network

PATCHES = 32


def measure(quick: bool) -> Section:
    """Measures all engines on one thread, in CPU seconds, one after the other."""
    torch.set_num_threads(1)
    rounds = 2 if quick else 6
    section = Section("Inference on one CPU core", _ABOUT)
    rng = np.random.default_rng(0)
    region = rng.integers(0, 256, (1, REGION_PX, REGION_PX, 3), dtype=np.uint8)
    patches = np.stack([region[0, y : y + PATCH_PX, x : x + PATCH_PX] for y, x in rng.integers(0, 400, (PATCHES, 2))])
    network, _ = load_network()
    frozen = freeze(network)
    naive = section.add("naive: banks expanded each time, patch by patch", _speed(network, patches, rounds), "cells/s")
    keep_freed_memory()  # from here on: naive code does not do it
    limits = gemm_gflops(3 * rounds)
    note = ", ".join(f"{three_figures(speed)} by {library}" for library, speed in limits.items())
    peak = section.add("limit: matrix product, float32", max(limits.values()), "GFLOP/s", note)
    patchwise = section.add("frozen, torch, patch by patch", _speed(frozen, patches, rounds), "cells/s")
    dense = section.add("frozen, torch, dense (as served)", _speed(frozen, region, rounds), "cells/s")
    assert np.abs(infer(frozen, patches) - infer(network, patches)).max() < 1e-3, "a fast wrong answer is no answer"
    others = _others(section, frozen, region, patches, rounds)
    best, half = max(dense, others.get("float32", 0)), others.get("bfloat16")
    cell, share = flops_per_cell(frozen), _share_of_cells(frozen)
    section.add("work of a cell, dense", cell / 1e6, "MFLOP", f"{share:.0%} of it the cells', {1 - share:.0%} halo")
    limit = best * cell / 1e9 / peak
    one_by_one = max(patchwise, others.get("patchwise", 0)) * flops(frozen, PATCH_PX) / 1e9
    section.targets += [
        Target(
            "dense float32 over naive patchwise",
            85,
            best / naive,
            why=_NAIVE.format(flops(frozen, PATCH_PX) / cell, limit),
        ),
        Target("dense bfloat16 over naive patchwise", 330, half and half / naive, why="" if has_amx() else _NO_AMX),
        Target("patchwise float32, share of the limit", 0.70, one_by_one / peak),
        Target("dense float32, share of the limit (work with its halo)", 0.53, limit),
        *_beside_escnn(section, max(patchwise, others.get("patchwise", 0)), best, quick),
    ]
    return section


_ABOUT = """One thread, CPU seconds, best of several rounds. A cell is one score: patch by patch it costs a 96×96 px
patch; dense, a 512 px region gives 27×27 at once. Naive is the trained module in eval mode, as in a tutorial. A plain
network of the same widths would cost what the frozen network costs, whose filter banks are plain convolutions."""
_NAIVE = "; dense needs {:.0f} times less work, and does it at {:.0%} of this core's limit"
_ESCNN = "; its export is plain convolutions, too, and ours are near this core's limit"
_NO_AMX = "; this processor has no AMX, so bfloat16 is twice float32 and no more"


def _beside_escnn(section: Section, patchwise: float, dense: float, quick: bool) -> list[Target]:
    """The same skeleton and widths, exported by escnn to plain convolutions, patch by patch and dense."""
    speeds = peers.run_script("escnn_network.py", 3 if quick else 20, environment="escnn")
    claims = "patchwise float32 over escnn's exported network", "dense float32 over the same, dense"
    if "error" in speeds:
        section.missing.append(f"escnn ({speeds['error']})")
        return [Target(claim, 3, None) for claim in claims]
    section.add("escnn, exported, patch by patch", speeds["patchwise"], "cells/s", "channels last")
    section.add("escnn, exported, dense", speeds["dense"], "cells/s", "which its users have to think of themselves")
    pairs = (patchwise / speeds["patchwise"], dense / speeds["dense"])
    return [Target(claim, 3, ratio, why=_ESCNN) for claim, ratio in zip(claims, pairs, strict=True)]


def _speed(network: torch.nn.Module, pixels: Pixels, rounds: int) -> float:
    """Cells a CPU second."""
    cells = len(pixels) * cells_a_side(pixels.shape[1]) ** 2
    return cells / least_seconds(lambda: infer(network, pixels), rounds)


def _share_of_cells(frozen: Frozen) -> float:
    """The share of a region's work that grows with its area: what remains in an infinitely large region."""
    small, middle, large = (flops(frozen, side) for side in (REGION_PX - 320, REGION_PX - 160, REGION_PX))
    a_cell = (large - 2 * middle + small) / (2 * (160 / STRIDE_PX) ** 2)
    return a_cell / flops_per_cell(frozen)


def _others(section: Section, frozen: Frozen, region: Pixels, patches: Pixels, rounds: int) -> dict[str, float]:
    """Dense speeds of every other engine, by precision; the best of each."""
    best: dict[str, float] = {}
    engines: list[Engine] = [Engine("openvino", "float32"), Engine("openvino", "bfloat16"), Engine("torch", "bfloat16")]
    for engine in engines:
        try:
            detector = engine.prepare(frozen)
        except WeightsRefused as error:
            section.missing.append(str(error))
            continue
        worst, name = drift.drift(detector, frozen, region), f"{engine.backend}, {engine.precision}"
        assert worst < drift.TOLERANCE[engine.precision], "a fast wrong answer is no answer"
        if engine == engines[0]:
            best["patchwise"] = section.add(f"{name}, patch by patch", _speed(detector, patches, rounds), "cells/s")
        note = f"up to {worst:.1e} logits from torch's float32"
        speed = section.add(f"{name}, dense", _speed(detector, region, rounds), "cells/s", note)
        best[engine.precision] = max(speed, best.get(engine.precision, 0.0))
    return best
