"""A whole slide from POST to succeeded, by one worker and by two; beside the pipeline that everyone writes."""

import json
import sqlite3
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openslide
import torch

from bench.service import OwnService, end, tree_mib
from bench.slides import write_slide
from bench.tables import Section, Target
from model.densenet import PATCH_PX, STRIDE_PX
from model.weights import load_network

BATCH = 32
ABOUT = """A synthetic slide of 0.25 µm a pixel, half of it tissue, through the public API: seconds from the request to
the answer, each worker on one thread. Naive is OpenSlide, 96 px patches every 16 px out of the 10× level, batches of
32, the trained module; measured on some batches of one row."""


@dataclass(frozen=True)
class Run:
    """One analysis: cells, wall seconds, seconds of all bands in the networks and waiting for pixels, most MiB."""

    cells: int
    seconds: float
    network: float
    waiting: float
    most_mib: float


def measure(quick: bool) -> Section:
    section = Section("A whole slide", ABOUT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = (12_000, 8_000) if quick else (40_000, 30_000)
        path = write_slide(folder / "slide.tiff", *size)
        naive = section.add("naive pipeline, one core", _naive(path, 4 if quick else 16), "cells/s")
        runs = [_analysed(folder / str(workers), path, workers) for workers in (1, 2)]
    for workers, run in enumerate(runs, 1):
        busy, waited = run.network / run.seconds / workers, run.waiting / run.seconds / workers
        shares = f"network {busy:.0%}, waiting for pixels {waited:.1%} of the wall"
        note = f"{run.seconds:.0f} s for {run.cells:,} cells; {shares}"
        section.add(f"ours, workers: {workers}", run.cells / run.seconds, "cells/s", f"{note}, {run.most_mib:,.0f} MiB")
    one, two = runs
    section.targets += [
        Target("whole slide, one worker over the naive pipeline", 20, one.cells / one.seconds / naive),
        Target("share of the wall that one worker's network is busy", 0.90, one.network / one.seconds),
        Target("memory of a worker with its children, MiB", 1536, max(one.most_mib, two.most_mib), at_most=True),
        Target("two workers over one", 1.8, one.seconds / two.seconds),
    ]
    return section


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
        started = [service.start("worker") for _ in range(workers)]
        client = service.client()
        slide = client.wait_for_slide(client.upload(path, {}), 600)
        time.sleep(10)  # every worker has loaded its network
        most, began = [0.0], time.perf_counter()

        def watch(_: object) -> None:
            most[0] = max(most[0], max(tree_mib(pid) for pid in started))

        done = client.analyse(slide["id"], watch, rotation_check=False)
        seconds = time.perf_counter() - began
        assert done["state"] == "succeeded", done["reason"]
        end(service.processes[1:])
        network, waiting = _bands(folder / "quarterturn.db")
        return Run(done["results"]["coverage"]["analysed_cells"], seconds, network, waiting, most[0])


def _bands(database: Path) -> tuple[float, float]:
    """Seconds of all bands: in the networks, and waiting for pixels."""
    with sqlite3.connect(database) as connection:
        rows = connection.execute("select result from work where kind = 'band'").fetchall()
    spent = [json.loads(row[0])["seconds"] for row in rows]
    return sum(one["network"] for one in spent), sum(one["waiting"] for one in spent)
