"""The benchmark's own arithmetic: what it calls met, what it calls fallen, a walk that asks for each tile once."""

import pytest
import torch

from bench import gpu
from bench.__main__ import fallen
from bench.tables import Section, Target, page, shown
from bench.tiles import viewer_walk


def test_a_target_is_met_on_its_own_side():
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
        ],
    )
    section.add("what", 1234.5, "MB/s", "note")
    written = page(section)
    assert "| what | 1,234 | MB/s | note |" in written
    assert "| one | ≥ 2 | **3.00** |" in written
    assert "| two | ≥ 2 | 1.00 (missed); slow |" in written
    assert "| three | ≥ 2 | not measured: no peer |" in written


@pytest.mark.parametrize(("value", "told"), [(1234.5, "1,234"), (12.34, "12.3"), (1.234, "1.23"), (0.00123, "0.00123")])
def test_three_figures_are_shown(value, told):
    assert shown(value) == told


def test_what_fell_is_said_and_what_rose_is_not():
    before = {
        "sections": {
            "s": {"targets": [{"claim": c, "reached": 10.0} for c in ("fell", "rose", "slower", "same", "gone")]}
        }
    }
    now = Section(
        "s",
        "",
        targets=[
            Target("fell", 1, 8.0),
            Target("rose", 1, 20.0),
            Target("slower", 1, 12.0, at_most=True),
            Target("same", 1, 9.0),
            Target("new", 1, 1.0),
        ],
    )
    assert [sentence.split(":")[0] for sentence in fallen({"s": now}, before)] == ["gone", "fell", "slower"]


def test_a_walk_asks_for_each_tile_once_and_stays_on_the_slide():
    sizes = [(60, 40), (15, 10), (4, 3)]
    tiles = viewer_walk(sizes, 800)
    assert len(set(tiles)) == len(tiles) == 800
    assert all(0 <= col < sizes[level][0] and 0 <= row < sizes[level][1] for level, col, row in tiles)
    assert tiles == viewer_walk(sizes, 800)


def test_the_gpu_s_benchmark_runs_on_any_device():
    section = Section("g", "")
    gpu.rows(section, torch.device("cpu"), 1, 112, compiled=False)
    ways = ("eager", "from memory one region ahead", "from memory when needed")
    kinds = ("float32", "bfloat16", "float16")
    assert [row.what for row in section.rows] == [f"{kind}, {way}" for kind in kinds for way in ways]
    assert all(row.figure > 0 for row in section.rows)
    drifts = [float(row.note.split("up to ")[1].split()[0]) for row in section.rows if row.what.endswith("eager")]
    assert drifts[0] < 1e-3 < max(drifts[1:]) < 1, "eight bits of mantissa are told from twenty-four"
