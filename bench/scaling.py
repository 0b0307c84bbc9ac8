"""python -m bench.scaling: writes docs/scaling.md, the capacity of one machine and of ten, from docs/benchmarks.json.

Every figure is a measured unit cost times a stated load. The assumptions are stated here and can be changed.
"""

import json
from dataclasses import dataclass
from typing import Any

from bench.__main__ import DOCS
from bench.page.tables import three_figures

DAY_S = 86_400.0
BUSY = 0.7  # share of a day that a worker's core is used


@dataclass(frozen=True)
class Slide:
    """A typical slide: 80,000×60,000 px at 0.25 µm a pixel, a quarter of it tissue."""

    gigabytes: float = 1.0
    cells: int = 320_000
    tiles_viewed: int = 1_500
    cells_a_band: int = 6 * 27 * 27


@dataclass(frozen=True)
class Costs:
    """Measured unit costs."""

    cells_a_second: float  # one worker on one core
    tile_cpu_ms: float
    row_ms: float  # a row of work claimed and done, on the database
    upload_mb_a_second: float

    @classmethod
    def from_sections(cls, sections: dict[str, Any]) -> "Costs":
        """The costs in docs/benchmarks.json."""

        def figure(section: str, name: str) -> float:
            return float(next(row["figure"] for row in sections[section]["rows"] if row["name"] == name))

        rows = next(
            row["note"] for row in sections["growth"]["rows"] if row["name"].startswith("a row of work, by workers")
        )
        return cls(
            figure("whole-slide", "ours, workers: 1"),
            figure("tiles", "ours, authentication included"),
            float(rows.split(": ")[-1].split()[0]),
            figure("uploads", "tus, one PATCH"),
        )


def line(costs: Costs, slide: Slide, slides_a_day: int) -> list[str]:
    """A row of the table: what so many slides a day need of each part."""
    cores = slides_a_day * slide.cells / costs.cells_a_second / (DAY_S * BUSY)
    rows = slides_a_day * (slide.cells / slide.cells_a_band + 8)
    database = rows * costs.row_ms / 1000 / DAY_S
    tiles = slides_a_day * slide.tiles_viewed * costs.tile_cpu_ms / 1000 / (8 * 3600)
    network = slides_a_day * slide.gigabytes * 1000 / DAY_S
    return [
        f"{slides_a_day:,}", three_figures(cores), f"{database:.1%}", f"{tiles:.1%}", f"{network:.1f} MB/s",
        f"{network / costs.upload_mb_a_second:.1%}", f"{slides_a_day * slide.gigabytes / 1000:,.1f} TB",
    ]  # fmt: skip


HEAD = ["slides per day", "worker cores", "database time", "one core for tiles", "network",
        "share of one upload's speed", "storage per day"]  # fmt: skip


def page(content: dict[str, Any]) -> str:
    """docs/scaling.md."""
    costs, slide, processor = Costs.from_sections(content["sections"]), Slide(), content["machine"]["processor"]
    table = [HEAD, ["---"] * len(HEAD), *(line(costs, slide, n) for n in (10, 100, 1_000, 10_000))]
    rows = "\n".join("| " + " | ".join(one) + " |" for one in table)
    minutes, speed = three_figures(slide.cells / costs.cells_a_second / 60), three_figures(costs.cells_a_second)
    row_ms, tile_ms = three_figures(costs.row_ms), three_figures(costs.tile_cpu_ms)
    night = f"{12 * 3600 * costs.cells_a_second / slide.cells:,.0f}"
    bands, band_s = slide.cells / slide.cells_a_band, slide.cells_a_band / costs.cells_a_second
    return f"""# Capacity planning

*Written by `python -m bench.scaling` from [the benchmarks](benchmarks.md), measured on {processor}.
Assumptions: a slide has {slide.cells:,} cells of tissue and {slide.gigabytes:g} GB; {slide.tiles_viewed:,} of its
tiles are viewed within eight hours; a core is busy for {BUSY:.0%} of the day. Scale the figures to your own slides.*

One core computes {speed} cells per second, which is {minutes} minutes per slide, or {night} slides in a night of twelve
hours. Workers share only the database and the slide files, so ten machines compute ten times as much, until one of the
limits below is reached.

{rows}

* **Workers** need most of the hardware: the number of cores grows in proportion to the slides. No GPU was measured.
* **The database** processes about {bands + 8:,.0f} work rows per slide, at {row_ms} ms each (SQLite, one writer
  at a time; PostgreSQL allows many). Each core claims a row every {band_s:.1f} seconds.
* **Redis** carries one message per change and one per round of a reconciler. The messages are small, and their rate is
  far below its limits.
* **Viewers** cost {tile_ms} ms of CPU per tile: a thousand people who load two tiles per second each keep
  {2 * costs.tile_cpu_ms:.0%} of a core busy.
* **Storage and network** are the first limits at 10,000 slides per day: each file is written once and read by a worker
  once, so the shared folder must read as fast as it writes. Slides are deleted by hand, or by `QUARTERTURN_KEEP_DAYS`.
"""


def main() -> None:
    content = json.loads((DOCS / "benchmarks.json").read_text())
    (DOCS / "scaling.md").write_text(page(content))


if __name__ == "__main__":
    main()
