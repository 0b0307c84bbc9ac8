"""Pixels for the network: the slide's own tiles decoded straight to RGB beside OpenSlide and other readers."""

import json
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import openslide
from numpy.typing import NDArray

from bench import peers
from bench.slides import write_slide
from bench.tables import Section, Target, least_seconds
from cli.demo_slide import demo_slide
from core.geometry import Frame
from core.native_pixels import NativePixels
from core.native_tiles import native_levels
from core.sampling import sample
from core.slide import Level, Source, sources_of
from model.dense import infer
from model.frozen import freeze
from model.memory import keep_freed_memory
from model.weights import load_network

Pixels = NDArray[np.uint8]
SIDE = 1024
PEERS = ("cucim", "tiffslide", "pyvips")
AS_IF_MPP = 0.25
OURS = "10× level: own tiles, libjpeg-turbo, RGB"
PLACES = [(64 + SIDE * (i % 2), SIDE * (i // 2)) for i in range(4)]
SHAPE, ORIGINS = (512, 512), [(64 + 432 * i, 96) for i in range(4)]
MADE_MP = len(ORIGINS) * 512 * 512 / 1e6
ABOUT = """Regions of 1,024 px, the same for all, the best of three rounds after one, pages warm; megapixels a second of
CPU, one thread. The slide's tiles are JPEG (256 px, 4:2:0). Where there is no 10× level, 512 network pixels a side are
made of 0.25 µm a pixel. Ours keeps freed memory, as the reader child does."""


class Ours:
    """The native reader as the reader child uses it, in this process; nothing is kept from one region to the next."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("rb")
        found = dict(enumerate(native_levels(self.file)))
        self.native, first = found, found[0]
        self.levels = [
            Level(one.width, one.height, round(first.width / one.width), round(first.height / one.height),
                  one.tile_width, one.tile_height, native=True)
            for one in found.values()
        ]  # fmt: skip

    def read(self, source: Source, x: int, y: int, width: int, height: int) -> Pixels:
        return NativePixels(self.file, self.native).read(source.level, source.shrink, x, y, width, height)


def measure(quick: bool) -> Section:
    """All readers on the same regions of the same file: OpenSlide first, since ours keeps freed memory."""
    section, side = Section("Reading", ABOUT), (12 if quick else 16) * SIDE
    with tempfile.TemporaryDirectory() as folder:
        path = write_slide(Path(folder) / "slide.tiff", 2 * side, side)
        with openslide.OpenSlide(path) as slide:
            slide.set_cache(openslide.OpenSlideCache(0))
            theirs = _by_openslide(section, slide)
        keep_freed_memory()
        with openslide.OpenSlide(path) as slide:
            _ours(section, slide, Ours(path), theirs)
        at_level_0 = json.dumps([[4 * x, 4 * y] for x, y in PLACES])
        for library in PEERS:
            found = peers.ask("read_regions.py", library, path, 1, SIDE, at_level_0)
            if "error" in found:
                section.missing.append(f"{library} ({found['error']})")
            else:
                section.add(library, SIDE * SIDE / 1e6 / found["seconds"], "MP/s")
    mine, cucim = (next((r.figure for r in section.rows if r.what == what), None) for what in (OURS, "cucim"))
    ratio = mine / cucim if mine and cucim else None
    section.targets.append(Target("reading 1,024 px over cuCIM's CPU reader", 0.95, ratio, absent="it is not here"))
    _drift(section)
    return section


def _by_openslide(section: Section, slide: openslide.OpenSlide) -> tuple[float, float]:
    """MP/s of the 10× level, and of the network's pixels out of level 0."""
    whole = least_seconds(lambda: [_region(slide, 1, 4 * x, 4 * y) for x, y in PLACES], 3)
    frame, sources = _frame(slide, AS_IF_MPP), [Source(0, 1, 1.0, 1.0)]

    def read(_: Source, x: int, y: int, width: int, height: int) -> Pixels:
        return np.asarray(slide.read_region((x, y), 0, (width, height)).convert("RGB"))

    made = least_seconds(lambda: [sample(read, sources, frame, origin, SHAPE) for origin in ORIGINS], 2)
    return (
        section.add("10× level: OpenSlide, PIL, RGB", len(PLACES) * SIDE**2 / 1e6 / whole, "MP/s"),
        section.add("no 10× level: OpenSlide, area average", MADE_MP / made, "MP/s of the network's"),
    )


def _ours(section: Section, slide: openslide.OpenSlide, ours: "Ours", theirs: tuple[float, float]) -> None:
    whole = Source(1, 1, 4.0, 4.0)
    for x, y in PLACES:
        same = np.array_equal(_region(slide, 1, 4 * x, 4 * y), ours.read(whole, x, y, SIDE, SIDE))
        assert same, "pixels are OpenSlide's, bit for bit"
    seconds = least_seconds(lambda: [ours.read(whole, x, y, SIDE, SIDE) for x, y in PLACES], 3)
    mine = section.add(OURS, len(PLACES) * SIDE**2 / 1e6 / seconds, "MP/s", "0 grey levels apart")
    section.targets.append(Target("reading 1,024 px over OpenSlide and PIL", 5, mine / theirs[0]))
    for what, mpp, scaled in (
        ("no 10× level, own tiles: area average (exact)", AS_IF_MPP, False),
        ("no 10× level, own tiles: decoded at ½, area average (scaled)", AS_IF_MPP, True),
        ("no 10× level of 0.243 µm, own tiles: decoded at ¼ (scaled)", 0.243, True),
    ):
        frame, sources = _frame(slide, mpp), sources_of(ours.levels[:1], scaled)
        work = partial(_sampled, ours, sources, frame)
        speed = section.add(what, MADE_MP / least_seconds(work, 2), "MP/s of the network's")
        if scaled:
            claim = f"no 10× level, {mpp} µm a pixel, over OpenSlide and averaging"
            section.targets.append(Target(claim, 8, speed / theirs[1]))


def _sampled(ours: "Ours", sources: list[Source], frame: Frame) -> None:
    for origin in ORIGINS:
        sample(ours.read, sources, frame, origin, SHAPE)


def _region(slide: openslide.OpenSlide, level: int, x: int, y: int) -> Pixels:
    return np.asarray(slide.read_region((x, y), level, (SIDE, SIDE)).convert("RGB"))


def _frame(slide: openslide.OpenSlide, mpp: float) -> Frame:
    return Frame.of(*slide.dimensions, mpp, mpp)


def _drift(section: Section) -> None:
    """What scaled decoding does to logits, on a real scan taken as if it had 0.25 µm a pixel and one level."""
    with tempfile.TemporaryDirectory() as folder:
        demo = demo_slide(Path(folder))
        if demo.path.suffix != ".svs":
            section.missing.append("the real scan for the drift of scaled decoding (offline)")
            return
        ours = Ours(demo.path)
        first = ours.levels[0]
        frame, network = Frame.of(first.width, first.height, AS_IF_MPP, AS_IF_MPP), freeze(load_network()[0])
        shape = (frame.y.size_net_px, frame.x.size_net_px)
        exact, scaled = (
            infer(network, sample(ours.read, sources_of([first], how), frame, (0, 0), shape)[None])
            for how in (False, True)
        )
    moved = np.abs(exact - scaled)
    section.add("logits moved by decoding at ½ instead of averaging all pixels, mean", float(moved.mean()), "logits",
                f"at most {moved.max():.3f}, {moved.size} cells of {demo.path.name}")  # fmt: skip
