"""Small costs that occur often: a state, a page, an audit row, assembling a heat map, regions, a tissue mask."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.page.tables import Section, Target

CELLS = (4000, 5000)
SLIDES = 10_000
ABOUT = "Wall seconds in one process, the median of several calls; SQLite in a temporary folder."


def measure(quick: bool) -> Section:
    section = Section("Small costs", ABOUT)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["QUARTERTURN_DATA"] = folder
        _database(section, SLIDES // 10 if quick else SLIDES, 5 if quick else 20)
    _planes(section, 2 if quick else 5)
    return section


def median_ms(work: Callable[[], Any], times: int) -> float:
    """The median wall time of some calls after a first one."""
    work()
    times_ms = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        times_ms.append(1000 * (time.perf_counter() - began))
    return statistics.median(times_ms)


def _database(section: Section, slides: int, times: int) -> None:
    """Costs of rows in an instance with many slides."""
    from core.access import audit, credentials
    from core.access.visitor import Visitor
    from core.database.migrations import migrate
    from core.database.slides import Slide
    from core.database.transactions import reading, writing
    from core.slides import catalog

    migrate()
    with writing() as session:
        admin = credentials.ensure_administrator(session)
        visitor = Visitor(admin.id, admin.workspace_id, admin.role, admin.name)
        for number in range(slides):
            session.add(Slide(workspace_id=visitor.workspace_id, filename=f"{number}.svs", file=f"/nowhere/{number}",
                              state="ready", created_at=float(number), updated_at=float(number)))  # fmt: skip
    with reading() as session:
        first = catalog.listed(session, visitor, limit=1)[0].id

    def state() -> None:
        with reading() as session:
            catalog.find(session, visitor, first)

    def page() -> None:
        with reading() as session:
            catalog.latest_analyses(session, catalog.listed(session, visitor))

    def row() -> None:
        with writing() as session:
            audit.write(session, visitor, "bench", first, "127.0.0.1")

    section.add("state of one slide", median_ms(state, times), "ms", "a primary key")
    section.add(f"first page of {slides:,} slides", median_ms(page, times), "ms", "one index, 100 rows to objects")
    section.add("an audit row", median_ms(row, times), "ms", "one commit to disk")


def _planes(section: Section, times: int) -> None:
    """A slide of 20 million cells: about 250,000 px a side at 40×."""
    from core.heatmap import planes
    from core.heatmap.grid import Band
    from core.heatmap.regions import find_regions
    from core.pixels import tissue
    from core.pixels.frame import Frame

    rng = np.random.default_rng(0)
    frame = Frame.from_slide(16 * 4 * CELLS[1], 16 * 4 * CELLS[0], 0.243, 0.243)
    logits = np.full((CELLS[0] + 1, CELLS[1] + 1), -6, np.float32)
    for y, x, side in rng.integers((0, 0, 3), (CELLS[0] - 200, CELLS[1] - 200, 160), (400, 3)):
        logits[y : y + side, x : x + side] = 3
    bands = [Band(row, 0, min(row + 27, len(logits)), logits.shape[1]) for row in range(0, len(logits), 27)]
    parts = [(band, planes.pack(logits[band.row : band.row_end])) for band in bands]
    assembly = median_ms(lambda: planes.assemble(logits.shape, parts), times)
    section.add("a heat map of 20 million cells from its bands", assembly, "ms", "unpacking and one copy")
    scores = planes.to_scores(logits)
    seconds = median_ms(lambda: find_regions(scores, 0.5, frame), times) / 1000
    section.add("regions of 20 million cells", seconds, "s", "labelling, and the outlines of 400 regions")
    blocks = 243 + rng.integers(0, 3, (600, 600, 3), dtype=np.uint8)
    blocks[100:300, 100:400] = rng.integers(90, 220, (200, 300, 3))
    blocks[350:500, 200:300] = (30, 160, 70)
    mask = median_ms(lambda: tissue.block_kinds(blocks), 4 * times)
    section.add("a tissue mask of 600×600 blocks", mask, "ms", "glass, tissue and a pen stroke")
    section.targets += [
        Target("regions of 20 million cells", 1, seconds, at_most=True, unit="s"),
        Target("a tissue mask at 600 px", 5, mask, at_most=True, unit="ms"),
    ]
