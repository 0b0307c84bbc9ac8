"""Pixels for the network: the slide's own tiles decoded to RGB, beside OpenSlide and other readers."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import openslide
import simplejpeg
from numpy.typing import NDArray

from bench import peers
from bench.page.tables import Section, Target, least_seconds, three_figures
from bench.rig.slides import write_slide
from cli.demo_slide import demo_slide
from core.pixels.frame import Frame
from core.pixels.levels import Level, Source, sources_of
from core.pixels.native_pixels import NativePixels
from core.pixels.native_tiles import native_levels
from core.pixels.sampling import Read, sample
from model.inference.dense import infer
from model.inference.frozen import freeze
from model.inference.memory import keep_freed_memory
from model.weights.checkpoint import load_network

Pixels = NDArray[np.uint8]
Place = tuple[Source, int, int, int, int]  # x, y, width, height
SIDE, ROUNDS = 1024, 8
PEERS = ("cucim", "tiffslide", "pyvips")
AS_IF_MPP = 0.25
AT_10X = Source(1, 1, 4.0, 4.0)
PLACES = [(64 + SIDE * (i % 2), SIDE * (i // 2)) for i in range(4)]
SHAPE, ORIGINS = (512, 512), [(64 + 432 * i, 96) for i in range(4)]
RESAMPLED_MP = len(ORIGINS) * 512 * 512 / 1e6
ABOUT = """Regions of 1,024 px, the same for all readers, the best of several rounds after a warm-up, file pages in
memory; megapixels a second of CPU, one thread. The slide's tiles are JPEG (256 px, 4:2:0). Without a 10× level,
regions of 512 network pixels a side are resampled from 0.25 µm a pixel. Ours keeps freed memory, as the reader child
does."""

_CUCIM = "; its pixels are the same, by the same libjpeg-turbo: it decodes a tile to where it belongs, we copy it there"
_DECODING = "; {:.0%} of our time is libjpeg-turbo's own, which OpenSlide spends, too"
_AT_HALF = "; a quarter of it is coarser than the network's pixel: tiles are read at ½, {:.0%} of our time"


class Ours:
    """The native reader as the reader child uses it, in this process; nothing is cached between regions."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("rb")
        self.native = dict(enumerate(native_levels(self.file)))
        first = self.native[0]
        self.levels = [
            Level(one.width, one.height, round(first.width / one.width), round(first.height / one.height),
                  one.tile_width, one.tile_height, native=True)
            for one in self.native.values()
        ]  # fmt: skip

    def read(self, source: Source, x: int, y: int, width: int, height: int) -> Pixels:
        return NativePixels(self.file, self.native).read(source.level, source.shrink, x, y, width, height)


def measure(quick: bool) -> Section:
    """Measures all readers on the same regions of one file. OpenSlide comes first, since ours keeps freed memory."""
    section, side = Section("Reading", ABOUT), (12 if quick else 16) * SIDE
    with tempfile.TemporaryDirectory() as folder:
        path = write_slide(Path(folder) / "slide.tiff", 2 * side, side)
        with openslide.OpenSlide(path) as slide:
            slide.set_cache(openslide.OpenSlideCache(0))
            theirs = _by_openslide(section, slide)
        keep_freed_memory()
        with openslide.OpenSlide(path) as slide:
            _ours(section, slide, Ours(path), theirs)
        _others(section, path)
    _drift(section)
    return section


def _others(section: Section, path: Path) -> None:
    """Other readers on the 10× level, alternating with ours; the best of each counts."""
    claim = "reading 1,024 px over cuCIM's CPU reader"
    for library in PEERS:
        turns = [(_level_speed(Ours(path)), _theirs(library, path)) for _ in range(3)]
        if missing := next((theirs for _, theirs in turns if isinstance(theirs, str)), None):
            section.missing.append(f"{library} ({missing})")
            continue
        mine, theirs = (max(float(speed) for speed in speeds) for speeds in zip(*turns, strict=True))
        section.add(library, theirs, "MP/s", f"ours meanwhile {three_figures(mine)}")
        if library == "cucim":
            section.targets.append(Target(claim, 0.95, mine / theirs, why=_CUCIM))
    if "cucim" not in {row.name for row in section.rows}:
        section.targets.append(Target(claim, 0.95, None, absent="it is not here"))


def _theirs(library: str, path: Path) -> float | str:
    """MP/s of a peer on the 10× level, or the reason why it cannot run."""
    answer = peers.run_script(
        "read_regions.py", library, path, 1, SIDE, json.dumps([[4 * x, 4 * y] for x, y in PLACES])
    )
    return str(answer["error"]) if "error" in answer else SIDE**2 / 1e6 / answer["seconds"]


def _level_speed(ours: "Ours") -> float:
    """MP/s of the 10× level."""
    seconds = least_seconds(lambda: [ours.read(AT_10X, x, y, SIDE, SIDE) for x, y in PLACES], ROUNDS)
    return len(PLACES) * SIDE**2 / 1e6 / seconds


def _decoding(ours: "Ours") -> float:
    """The share of our time that libjpeg-turbo takes by itself, for the same tiles of the 10× level."""
    level, streams = ours.native[1], list[bytes]()
    for x, y in PLACES:
        for row in range(y // level.tile_height, -(-(y + SIDE) // level.tile_height)):
            for col in range(x // level.tile_width, -(-(x + SIDE) // level.tile_width)):
                place = row * level.columns + col
                stream = os.pread(ours.file.fileno(), int(level.counts[place]), int(level.offsets[place]))
                streams.append(level.splice(stream) or b"")
    alone = least_seconds(lambda: [simplejpeg.decode_jpeg(stream, "RGB") for stream in streams], ROUNDS)
    return min(1.0, alone * _level_speed(ours) / (len(PLACES) * SIDE**2 / 1e6))


def _by_openslide(section: Section, slide: openslide.OpenSlide) -> tuple[float, float]:
    """MP/s of the 10× level, and of the network's pixels out of level 0."""
    level_s = least_seconds(lambda: [_region(slide, 1, 4 * x, 4 * y) for x, y in PLACES], ROUNDS)
    frame, sources = _frame(slide, AS_IF_MPP), [Source(0, 1, 1.0, 1.0)]

    def read(_: Source, x: int, y: int, width: int, height: int) -> Pixels:
        return np.asarray(slide.read_region((x, y), 0, (width, height)).convert("RGB"))

    resampled_s = least_seconds(lambda: [sample(read, sources, frame, origin, SHAPE) for origin in ORIGINS], ROUNDS)
    return (
        section.add("10× level: OpenSlide, PIL, RGB", len(PLACES) * SIDE**2 / 1e6 / level_s, "MP/s"),
        section.add("no 10× level: OpenSlide, area average", RESAMPLED_MP / resampled_s, "MP/s of the network's"),
    )


def _ours(section: Section, slide: openslide.OpenSlide, ours: "Ours", theirs: tuple[float, float]) -> None:
    for x, y in PLACES:
        same = np.array_equal(_region(slide, 1, 4 * x, 4 * y), ours.read(AT_10X, x, y, SIDE, SIDE))
        assert same, "pixels are OpenSlide's, bit for bit"
    mine = section.add("10× level: own tiles, libjpeg-turbo, RGB", _level_speed(ours), "MP/s", "0 grey levels apart")
    why = _DECODING.format(_decoding(ours))
    section.targets.append(Target("reading 1,024 px over OpenSlide and PIL", 5, mine / theirs[0], why=why))
    for name, mpp, scaled in (
        ("no 10× level, own tiles: area average (exact)", AS_IF_MPP, False),
        ("no 10× level, own tiles: decoded at ½, area average (scaled)", AS_IF_MPP, True),
        ("no 10× level of 0.243 µm, own tiles: decoded at ¼ (scaled)", 0.243, True),
    ):
        speed, reading = _resampling_speed(ours, _frame(slide, mpp), scaled)
        section.add(name, speed, "MP/s of the network's", f"{reading:.0%} of it reading")
        if scaled:
            claim = f"no 10× level, {mpp} µm a pixel, over OpenSlide and averaging"
            why = _AT_HALF.format(reading) if mpp == AS_IF_MPP else ""
            section.targets.append(Target(claim, 8, speed / theirs[1], why=why))


def _resampling_speed(ours: "Ours", frame: Frame, scaled: bool) -> tuple[float, float]:
    """MP/s of the network's pixels out of level 0, and the share of the time that reading alone takes."""
    sources, places = sources_of(ours.levels[:1], scaled), list[Place]()

    def record(*place: *Place) -> Pixels:
        places.append(place)
        return ours.read(*place)

    _sampled(record, sources, frame)
    seconds = least_seconds(lambda: _sampled(ours.read, sources, frame), ROUNDS)
    alone = least_seconds(lambda: [ours.read(*place) for place in places], ROUNDS)
    return RESAMPLED_MP / seconds, min(1.0, alone / seconds)


def _sampled(read: Read, sources: list[Source], frame: Frame) -> None:
    for origin in ORIGINS:
        sample(read, sources, frame, origin, SHAPE)


def _region(slide: openslide.OpenSlide, level: int, x: int, y: int) -> Pixels:
    return np.asarray(slide.read_region((x, y), level, (SIDE, SIDE)).convert("RGB"))


def _frame(slide: openslide.OpenSlide, mpp: float) -> Frame:
    return Frame.from_slide(*slide.dimensions, mpp, mpp)


def _drift(section: Section) -> None:
    """What scaled decoding does to logits, on a real scan taken as if it had 0.25 µm a pixel and one level."""
    with tempfile.TemporaryDirectory() as folder:
        demo = demo_slide(Path(folder))
        if demo.path.suffix != ".svs":
            section.missing.append("the real scan for the drift of scaled decoding (offline)")
            return
        ours = Ours(demo.path)
        first = ours.levels[0]
        frame, network = Frame.from_slide(first.width, first.height, AS_IF_MPP, AS_IF_MPP), freeze(load_network()[0])
        shape = (frame.y.size_net_px, frame.x.size_net_px)
        exact, scaled = (
            infer(network, sample(ours.read, sources_of([first], how), frame, (0, 0), shape)[None])
            for how in (False, True)
        )
    moved = np.abs(exact - scaled)
    section.add("logits moved by decoding at ½ instead of averaging all pixels, mean", float(moved.mean()), "logits",
                f"at most {moved.max():.3f}, {moved.size} cells of {demo.path.name}")  # fmt: skip
