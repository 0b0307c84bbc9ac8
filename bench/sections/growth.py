"""How costs grow with stored slides, viewers, workers that claim work, and the size of a slide."""

import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.page.tables import Section, Target
from bench.rig.http_client import walk
from bench.rig.service import OwnService, cpu_of
from bench.rig.slides import TILE_PX, write_slide
from bench.sections.small import median_ms

ABOUT = """Each cost at growing sizes on SQLite. The exponent is the slope of its logarithm over the two largest
sizes: 0 is a cost that does not grow, 1 a cost that grows in proportion."""
WORSE = 1.15
Series = list[tuple[float, float]]


def measure(quick: bool) -> Section:
    section = Section("Growth", ABOUT, picture="growth.png")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _stored(section, folder / "rows", (10, 100, 1000) if quick else (10, 1000, 100_000))
        _askers(section, (1, 4, 16) if quick else (1, 4, 16, 64))
        _viewers(section, folder, (1, 8) if quick else (1, 8, 50, 200), 400 if quick else 2000)
        _sizes(section, folder, (1024, 2048) if quick else (2048, 4096, 8192, 16384))
    return section


def add(section: Section, name: str, unit: str, series: Series) -> float:
    """Adds a row with every figure in its note; returns the exponent."""
    (x0, y0), (x1, y1) = series[-2], series[-1]
    slope = float(np.log(y1 / y0) / np.log(x1 / x0))
    figures = ", ".join(f"{x:,.0f}: {y:.3g}" for x, y in series)
    section.series[f"{name} ({unit})"] = series
    section.add(name, slope, "exponent", f"{figures} {unit}")
    return slope


def _stored(section: Section, folder: Path, sizes: tuple[int, ...]) -> None:
    """Costs in an instance with more and more slides, each with a row of finished work."""
    os.environ["QUARTERTURN_DATA"] = str(folder)
    from core.access import credentials
    from core.access.visitor import Visitor
    from core.database.analyses import Work
    from core.database.migrations import migrate
    from core.database.slides import Slide
    from core.database.transactions import reading, writing
    from core.slides import catalog
    from core.work import leases

    folder.mkdir()
    migrate()
    with writing() as session:
        admin = credentials.ensure_administrator(session)
        visitor = Visitor(admin.id, admin.workspace_id, admin.role, admin.name)

    def fill(first: int, last: int) -> None:
        common = {"workspace_id": visitor.workspace_id, "created_at": 1.0}
        with writing() as session:
            slides = [{"id": f"{i:032x}", "filename": f"{i}.svs", "file": f"/nowhere/{i}", "state": "ready",
                       "updated_at": 1.0, **common, "created_at": float(i)} for i in range(first, last)]  # fmt: skip
            session.bulk_insert_mappings(Slide.__mapper__, slides)
            rows = [{"kind": "band", "lane": 4, "slide_id": one["id"], "state": "done", **common} for one in slides]
            session.bulk_insert_mappings(Work.__mapper__, rows)

    def page() -> None:
        with reading() as session:
            catalog.latest_analyses(session, catalog.listed(session, visitor))

    def one_row() -> None:
        with writing() as session:
            leases.add(session, "inspect", visitor.workspace_id, f"{0:032x}")
        claim = leases.claim_next("bench", {})
        assert claim is not None
        with writing() as session:
            leases.complete(session, claim)

    pages, rows, before = list[tuple[float, float]](), list[tuple[float, float]](), 0
    for size in sizes:
        fill(before, size)
        before = size
        pages.append((size, median_ms(page, 5)))
        rows.append((size, median_ms(one_row, 10)))
    slopes = [add(section, "first page of slides, by slides", "ms", pages),
              add(section, "a row of work added, claimed and done, by rows stored", "ms", rows)]  # fmt: skip
    section.targets.append(Target("growth with stored slides", 1, max(slopes), True, unit="exponent"))


def _askers(section: Section, counts: tuple[int, ...]) -> None:
    """The cost of a row of work when more and more threads claim and finish them at once."""
    from core.database.transactions import writing
    from core.work import leases

    series: Series = []
    for count in counts:
        with writing() as session:
            for _ in range(20 * count):
                leases.add(session, "inspect", "default", f"{0:032x}")

        def ask() -> None:
            while (claim := leases.claim_next("bench", {})) is not None:
                with writing() as session:
                    leases.complete(session, claim)

        series.append((count, 1000 * _together(ask, count) / (20 * count)))
    add(section, "a row of work, by workers that ask at once", "ms a row", series)
    most, cost = series[-1]
    note = f"at the cost that {most:.0f} threads of one process have; not tried with more"
    section.add("workers that one SQLite file would carry, five seconds a band", 5000 / cost, "workers", note)


def _together(work: Callable[[], Any], count: int) -> float:
    threads = [threading.Thread(target=work) for _ in range(count)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def _viewers(section: Section, folder: Path, counts: tuple[int, ...], tiles: int) -> None:
    """The cost of a tile when more and more connections request them as fast as they are answered."""
    side = TILE_PX * int(np.ceil(np.sqrt(tiles)))
    path = write_slide(folder / "viewed.tiff", side, side)
    with OwnService(folder / "viewers") as service:
        api = service.start_api()
        service.start("worker")
        client = service.client()
        slide = client.wait_for_slide(client.upload(path, {}))
        base, key = f"/api/v1/slides/{slide['id']}/tiles/0", f"Authorization: Bearer {service.key}\r\n"
        paths = [f"{base}/{i % (side // TILE_PX)}_{i // (side // TILE_PX)}.jpeg" for i in range(tiles)]
        walk(service.port, paths, key)
        series: Series = []
        for count in counts:
            began = cpu_of(api)
            walked = walk(service.port, 2 * paths, key, clients=count)
            series.append((count, 1000 * (cpu_of(api) - began) / len(walked.taken_ms)))
        slope = add(section, "a tile, by viewers that pan at once", "CPU ms", series)
        section.targets.append(Target("growth of a tile's cost with viewers", 1, slope, True, unit="exponent"))
        section.add(
            "the slowest tile in a hundred, most viewers", walked.percentile_ms(99), "ms", f"{counts[-1]} viewers"
        )


def _sizes(section: Section, folder: Path, sides: tuple[int, ...]) -> None:
    """Slides with 1 to 64 times the area: inspection, and the analysis of all cells."""
    inspections, analyses = [], []
    with OwnService(folder / "sizes", QUARTERTURN_THREADS="1") as service:
        service.start_api()
        service.start("worker")
        client = service.client()
        for side in (sides[0], *sides):  # the first once more, to warm up
            path = write_slide(folder / f"{side}.tiff", side, side)
            began = time.perf_counter()
            slide = client.wait_for_slide(client.upload(path, {}))
            inspected = time.perf_counter() - began
            began = time.perf_counter()
            client.analyse(slide["id"], rotation_check=False)
            inspections.append((side**2 / 1e6, inspected))
            analyses.append((side**2 / 1e6, time.perf_counter() - began))
    slopes = [add(section, "upload and inspection, by megapixels", "s", inspections[1:]),
              add(section, "analysis, by megapixels", "s", analyses[1:])]  # fmt: skip
    section.targets.append(Target("growth with a slide's area", WORSE, max(slopes), True, unit="exponent"))
