"""The figure of docs/benchmarks.md."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

COLUMNS = 3
QUIET = "#888888"


def draw_growth(path: Path, series: dict[str, list[tuple[float, float]]]) -> None:
    """Draws one small plot a cost, both axes logarithmic, beside a line of proportional growth.

    `series`: (size, cost) pairs by "cost, by size (unit)".
    """
    rows = -(-len(series) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(4 * COLUMNS, 2.9 * rows), squeeze=False)
    for axis, (name, points) in zip(axes.flat, series.items(), strict=False):
        sizes, costs = zip(*points, strict=True)
        axis.plot(sizes, costs, "o-", lw=1.4, ms=4)
        axis.plot(sizes, [costs[-1] * size / sizes[-1] for size in sizes], ":", color=QUIET, lw=1)
        cost, _, by = name.partition(", by ")
        axis.set(xscale="log", yscale="log", xlabel=by.partition(" (")[0], ylabel=name.rpartition("(")[2].rstrip(")"))
        axis.set_ylim(min(costs) / 3, max(costs) * 3)
        axis.set_title(cost, fontsize=9)
    for axis in list(axes.flat)[len(series) :]:
        axis.set_axis_off()
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": ""})
    plt.close(figure)
