"""The benchmark's arithmetic: met targets, fallen ratios, and a walk that requests each tile once."""

import pytest
import torch

from bench.__main__ import compare_with_stored
from bench.page import baseline
from bench.page.tables import Section, Target, page, three_figures
from bench.sections import gpu
from bench.sections.tiles import viewer_walk


def test_targets_are_compared_in_their_direction():
    assert Target("a", 5, 5.0).met
    assert not Target("a", 5, 4.9).met
    assert Target("a", 5, 4.9, at_most=True).met
    assert not Target("a", 5, None).met


def test_the_page_says_what_was_reached_missed_and_not_measured():
    section = Section(
        "Name",
        "About.",
        targets=[
            Target("one", 2, 3.0),
            Target("two", 2, 1.0, why="; slow"),
            Target("three", 2, None, absent="no peer"),
            Target("four", 2, 1.0, at_most=True, unit="s"),
        ],
    )
    section.add("what", 1234.5, "MB/s", "note")
    written = page(section)
    assert "| what | 1,234 | MB/s | note |" in written
    assert "| one | ≥ 2 | **3.00** |" in written
    assert "| two | ≥ 2 | 1.00 (missed); slow |" in written
    assert "| three | ≥ 2 | not measured: no peer |" in written
    assert "| four | ≤ 2 s | **1.00 s** |" in written


@pytest.mark.parametrize(("value", "text"), [(1234.5, "1,234"), (12.34, "12.3"), (1.234, "1.23"), (0.00123, "0.00123")])
def test_three_figures_are_shown(value, text):
    assert three_figures(value) == text


def run(**reached):
    targets = [Target(claim, 1, value, at_most=claim == "cost") for claim, value in reached.items()]
    return {"s": Section("s", "", targets=[*targets, Target("start", 1, reached["speed"], unit="s")])}


def test_only_fallen_ratios_are_reported(tmp_path):
    path = tmp_path / "kept.json"
    baseline.write(path, "this", [run(speed=10.0, cost=5.0, gone=1.0, alone=None)])
    before = baseline.read(path, "this")
    assert baseline.fallen(run(speed=8.6, cost=5.8, alone=1.0), before) == []
    assert baseline.fallen(run(speed=20.0, cost=1.0), before) == []
    assert baseline.fallen(run(speed=8.4, cost=5.9, gone=None), before) == [
        "speed: 8.40, was 10.0",
        "cost: 5.90, was 5.00",
    ]


def test_baseline_keeps_the_worst_run_per_processor(tmp_path):
    path = tmp_path / "kept.json"
    baseline.write(path, "other", [run(speed=1.0)])
    baseline.write(path, "this", [run(speed=10.0, cost=5.0), run(speed=9.0, cost=4.0), run(speed=11.0, cost=6.0)])
    assert baseline.read(path, "this") == {"speed": 9.0, "cost": 6.0}
    assert baseline.read(path, "other") == {"speed": 1.0}
    assert baseline.read(path, "unknown") is None
    assert compare_with_stored(run(speed=1.0), None, "unknown")[0].startswith("No ratios are stored for unknown")
    assert compare_with_stored(run(speed=9.0), {"speed": 9.0}, "this") == ["No ratio fell by more than 15%."]


def test_walk_requests_each_tile_once_within_the_slide():
    sizes = [(60, 40), (15, 10), (4, 3)]
    tiles = viewer_walk(sizes, 800)
    assert len(set(tiles)) == len(tiles) == 800
    assert all(0 <= col < sizes[level][0] and 0 <= row < sizes[level][1] for level, col, row in tiles)
    assert tiles == viewer_walk(sizes, 800)


@pytest.mark.slow
def test_the_gpu_s_benchmark_runs_on_any_device():
    section = Section("g", "")
    gpu.rows(section, torch.device("cpu"), 1, 112, compiled=False)
    ways = ("eager", "from memory one region ahead", "from memory when needed")
    kinds = ("float32", "bfloat16", "float16")
    assert [row.name for row in section.rows] == [f"{kind}, {way}" for kind in kinds for way in ways]
    assert all(row.figure > 0 for row in section.rows)
    drifts = [float(row.note.split("up to ")[1].split()[0]) for row in section.rows if row.name.endswith("eager")]
    assert drifts[0] < 1e-3 < max(drifts[1:]) < 1, "eight bits of mantissa differ from twenty-four"
