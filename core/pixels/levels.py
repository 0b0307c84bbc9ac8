"""What an inspection reads from a slide file: its levels, its scale, its scanned area."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from core.pixels.frame import Frame
from core.pixels.native_tiles import BLOCK_PX, SHRINKS


@dataclass(frozen=True)
class Level:
    """One level of the pyramid.

    `downsample_*`: level-0 pixels per pixel of this level. `native`: the file has JPEG tiles of this tile size.
    `made`: the file lacks the level; it is rendered for the viewer and never read for the network.
    """

    width: int
    height: int
    downsample_x: float
    downsample_y: float
    tile_width: int = 256
    tile_height: int = 256
    native: bool = False
    made: bool = False


@dataclass(frozen=True)
class Source:
    """Where pixels are read from: a level of the file, or its JPEG tiles decoded at 1/shrink.

    `downsample_*`: level-0 pixels per pixel of the source.
    """

    level: int
    shrink: int
    downsample_x: float
    downsample_y: float


def sources_of(levels: Sequence[Level], scaled: bool) -> list[Source]:
    """Returns the levels of a file and, if `scaled`, each native level decoded at ½, ¼ and ⅛.

    A JPEG is decoded smaller in whole blocks of 8×8, so tiles of another size cannot be.
    """
    full = [Source(i, 1, level.downsample_x, level.downsample_y) for i, level in enumerate(levels)]
    shrunk = [
        Source(i, k, k * level.downsample_x, k * level.downsample_y)
        for i, level in enumerate(levels)
        for k in SHRINKS
        if scaled and level.native and not (level.tile_width % BLOCK_PX or level.tile_height % BLOCK_PX)
    ]
    return full + shrunk


@dataclass(frozen=True)
class SlideInfo:
    """The result of an inspection, stored as JSON in the slide's record (`to_dict`, `from_dict`).

    `mpp_*`: µm per level-0 pixel, with `mpp_source`: file, objective (10 / its power) or user. `bounds_*`: OpenSlide's,
    the corner of the scanned area in level-0 pixels. `stamp`: of a file by reference (core.slides.opening).
    `mask_version`: of the rules that made the tissue mask (core.pixels.tissue), 1 where none is stored.
    `scale_reason`: why the file's own scale is not used (core.pixels.scale), where `mpp_*` are None.
    `not_analysable`: the reason why the slide can be viewed and must not be analysed. `left_out_files`: of its zip.
    """

    vendor: str
    width: int
    height: int
    levels: list[Level]
    mpp_x: float | None
    mpp_y: float | None
    mpp_source: str | None
    scale_reason: dict[str, Any] | None = None
    bounds_x: int = 0
    bounds_y: int = 0
    properties: dict[str, str] = field(default_factory=dict)
    stamp: str | None = None
    mask_version: int = 1
    not_analysable: dict[str, Any] | None = None
    left_out_files: list[str] = field(default_factory=list)

    @property
    def file_levels(self) -> list[Level]:
        return [level for level in self.levels if not level.made]

    def sources(self, scaled: bool) -> list[Source]:
        """Returns where the network's pixels may come from; `scaled`: also JPEG tiles decoded at ½, ¼ or ⅛."""
        return sources_of(self.file_levels, scaled)

    def frame(self) -> Frame:
        """Returns the network frame. Raises Invalid for a slide coarser than the network, ValueError without mpp."""
        if self.mpp_x is None or self.mpp_y is None:
            raise ValueError("a slide without mpp has no network frame")
        return Frame.from_slide(self.width, self.height, self.mpp_x, self.mpp_y)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "SlideInfo":
        return cls(**{**content, "levels": [Level(**level) for level in content["levels"]]})
