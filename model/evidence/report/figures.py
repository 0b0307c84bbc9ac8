"""The figures of docs/detector.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

QUIET = "#888888"
Points = dict[tuple[str, str], dict[float, tuple[float, tuple[float, float]]]]


def _save(figure: Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": ""})
    plt.close(figure)


def draw_reliability(path: Path, splits: dict[str, Any]) -> None:
    """Draws the reliability diagram of valid and test, before and after calibration (`splits`: probes by split)."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True)
    for axis, name in zip(axes, ("valid", "test"), strict=True):
        axis.plot([0, 1], [0, 1], color=QUIET, lw=1, ls=":")
        for when, style in (("before", "o--"), ("after", "s-")):
            bins = splits[name]["reliability"][when]
            axis.plot([b[0] for b in bins], [b[1] for b in bins], style, ms=4, lw=1.2, label=f"{when} calibration")
        axis.set(title=name, xlabel="mean score of a bin", xlim=(0, 1), ylim=(0, 1))
        axis.legend(frameon=False)
    axes[0].set_ylabel("share that is tumour")
    _save(figure, path)


def draw_angles(path: Path, curves: dict[str, list[float]]) -> None:
    """Draws how a turn moves the score, and how resampling alone does (`curves`: lists by name, one value an angle)."""
    figure, axis = plt.subplots(figsize=(8, 3.4))
    axis.plot(curves["angle"], curves["moved"], "-", lw=1.6, label="turned: mean difference")
    axis.plot(curves["angle"], curves["spread"], "-", lw=1, color=QUIET, label="turned: standard deviation")
    axis.plot(curves["angle"], curves["there_and_back"], "--", lw=1.2, label="turned there and back: resampling alone")
    axis.set(xlabel="angle, degrees", ylabel="score", xlim=(0, 360), ylim=(0, None))
    axis.set_xticks(range(0, 361, 45))
    axis.legend(frameon=False, fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    _save(figure, path)


def draw_flops(path: Path, systems: dict[str, dict[str, float]], aucs: dict[str, float]) -> None:
    """Draws AUC against the work of a cell, at half width."""
    figure, axis = plt.subplots(figsize=(7, 3.8))
    for name, value in aucs.items():
        work = systems[name]["half_mflop_per_cell"]
        axis.plot(work, value, "o")
        axis.annotate(name, (work, value), xytext=(5, 4), textcoords="offset points", fontsize=8)
    axis.set(xscale="log", xlabel="MFLOP a cell (dense, halo included)", ylabel="AUC, held-out folds")
    ticks = [t for t in (1, 2, 5, 10, 20, 50, 100) if axis.get_xlim()[0] <= t <= 1.4 * axis.get_xlim()[1]]
    axis.set_xticks(ticks, labels=[str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.margins(x=0.15)
    _save(figure, path)


def draw_froc(path: Path, curve: dict[str, Any], sizes: Sequence[str]) -> None:
    """Draws the share of lesions found against false regions, one line a size in cells (`curve`: of slides.json)."""
    figure, axis = plt.subplots(figsize=(8, 4))
    colours = plt.get_cmap("viridis")
    for number, size in enumerate(sizes):
        detected, false = curve["detected"][size], curve["false_regions_per_10_mm2"]
        # Below the peak of false regions a lower threshold joins them: the curve would run backwards.
        first = max(range(len(false)), key=false.__getitem__)
        label = f"{size} cells" if size != "1" else "1 cell"
        axis.plot(false[first:], detected[first:], "-", lw=1.6, color=colours(number / len(sizes)), label=label)
    axis.set(
        xscale="symlog", xlabel="false regions in 10 mm² of composed tissue", ylabel="lesions found", ylim=(0, 1.02)
    )
    axis.set_xticks([0, 1, 10, 100], labels=["0", "1", "10", "100"])
    axis.minorticks_off()
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    _save(figure, path)


def draw_fractions(path: Path, points: Points) -> None:
    """Draws AUC against the share of the training data, with intervals, by patch and by slide."""
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.8), sharey=True)
    for axis, by in zip(axes, ("patch", "slide"), strict=True):
        for (system, kind), values in points.items():
            if kind != by:
                continue
            shares, means = list(values), [value for value, _ in values.values()]
            bars = [[v - i[0] for v, i in values.values()], [i[1] - v for v, i in values.values()]]
            axis.errorbar(
                [100 * s for s in shares], means, yerr=bars, marker="o", ms=4, lw=1.2, capsize=2, label=system
            )
        axis.set(title=f"by {by}", xscale="log", xlabel="training data, %")
        axis.set_xticks([5, 10, 25, 50, 100], labels=["5", "10", "25", "50", "100"])
        axis.minorticks_off()
    axes[0].set_ylabel("AUC on valid")
    axes[0].legend(frameon=False, fontsize=8)
    _save(figure, path)
