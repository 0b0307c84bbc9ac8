"""A whole slide from request to result, by one worker and by two, beside a naive pipeline and other engines."""

import json
import sqlite3
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openslide
import torch

from bench import peers
from bench.page.tables import Section, Target
from bench.rig.service import OwnService, end, tree_mib
from bench.rig.slides import write_slide
from model.networks.densenet import PATCH_PX, STRIDE_PX
from model.weights.checkpoint import load_network

BATCH = 32
ABOUT = """A synthetic slide of 0.25 µm a pixel, half of it tissue, through the public API: seconds from the request
to the result, each worker on one thread. Naive is OpenSlide, 96 px patches every 16 px of the 10× level, batches of
32, and the trained module, measured on several batches of one row."""

_SHORT = "; so small a slide has few bands to share out, and a last step"


@dataclass(frozen=True)
class Run:
    """One analysis: cells, wall seconds, seconds of all bands by stage, most MiB."""

    cells: int
    seconds: float
    stages: dict[str, float]
    most_mib: float


def measure(quick: bool) -> Section:
    section = Section("A whole slide", ABOUT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = (10_000, 6_000) if quick else (40_000, 30_000)
        path = write_slide(folder / "slide.tiff", *size)
        others = {} if quick else _engines(section, folder)
        naive = section.add("naive pipeline, one core", _naive(path, 4 if quick else 16), "cells/s")
        runs = [_analysed(folder / str(workers), path, workers) for workers in (1, 2)]
    for workers, run in enumerate(runs, 1):
        note = f"{run.seconds:.0f} s for {run.cells:,} cells; {run.most_mib:,.0f} MiB"
        section.add(f"ours, workers: {workers}", run.cells / run.seconds, "cells/s", note)
    one, two = runs
    _stages(section, one)
    speed = one.cells / one.seconds
    section.targets += [
        Target("whole slide, one worker over the naive pipeline", 20, speed / naive),
        Target("share of the wall that one worker's network is busy", 0.90, one.stages["network"] / one.seconds),
        Target("memory of a worker with its children", 1536, max(one.most_mib, two.most_mib), True, unit="MiB"),
        Target("two workers over one", 1.8, one.seconds / two.seconds, why=_SHORT if quick else ""),
        *(Target(f"whole slide, one worker over {name}'s engine", 20, speed / its) for name, its in others.items()),
    ]
    return section


def _engines(section: Section, folder: Path) -> dict[str, float]:
    """Cells a second of other engines with our trained network wrapped for them, on a slide small enough for them."""
    path = write_slide(folder / "small.tiff", 4096, 2048)
    speeds = {}
    for name in ("TIAToolbox", "WSInfer"):
        its = peers.run_script(f"{name.lower()}_engine.py", path, folder / name, environment=name.lower())
        if "error" in its:
            section.missing.append(f"{name} ({its['error']})")
            continue
        note = f"{its['cells']:,} cells in {its['seconds']:.0f} s, one thread, its own tissue mask, 96 px every 16 px"
        speeds[name] = section.add(f"{name}'s engine", its["cells"] / its["seconds"], "cells/s", note)
    return speeds


def _naive(path: Path, batches: int) -> float:
    """Cells a second of wall time, on one thread."""
    torch.set_num_threads(1)
    network, slide = load_network()[0], openslide.OpenSlide(path)
    with torch.inference_mode():
        began = time.perf_counter()
        for batch in range(batches):
            places = [4 * STRIDE_PX * (BATCH * batch + i) for i in range(BATCH)]
            patches = [slide.read_region((x, 4096), 1, (PATCH_PX, PATCH_PX)).convert("RGB") for x in places]
            images = torch.stack([torch.from_numpy(np.array(patch)).permute(2, 0, 1).float() for patch in patches])
            network(images)
        return batches * BATCH / (time.perf_counter() - began)


def _analysed(folder: Path, path: Path, workers: int) -> Run:
    with OwnService(folder, QUARTERTURN_THREADS="1") as service:
        service.start_api()
        started = service.start_workers(workers)
        client = service.client()
        slide = client.wait_for_slide(client.upload(path, {}), 600)
        most, began = [0.0], time.perf_counter()

        def watch(_: object) -> None:
            most[0] = max(most[0], max(tree_mib(pid) for pid in started))

        done = client.analyse(slide["id"], watch, rotation_check=False)
        seconds = time.perf_counter() - began
        assert done["state"] == "succeeded", done["reason"]
        end(service.processes[1:])
        stages = _bands(folder / "quarterturn.db")
        return Run(done["results"]["coverage"]["analysed_cells"], seconds, stages, most[0])


def _stages(section: Section, run: Run) -> None:
    """Where one worker's wall time went."""
    shares = {stage: seconds / run.seconds for stage, seconds in run.stages.items()}
    rest = 1 - shares["network"] - shares["waiting"]
    section.add("one worker: in the networks", 100 * shares["network"], "% of the wall")
    section.add("one worker: waiting for pixels", 100 * shares["waiting"], "% of the wall")
    section.add("one worker: the rest", 100 * rest, "% of the wall", "claims, writing, doorbells, the last step")
    note = "a thread and a child read ahead: beside the network, not after it"
    section.add("one worker: reading, meanwhile", 100 * shares["reading"], "% of the wall", note)


def _bands(database: Path) -> dict[str, float]:
    """Seconds of all bands, by stage."""
    with sqlite3.connect(database) as connection:
        rows = connection.execute("select result from work where kind = 'band'").fetchall()
    by_band = [json.loads(row[0])["seconds"] for row in rows]
    return {stage: sum(one[stage] for one in by_band) for stage in ("network", "waiting", "reading")}
