"""What is known of a slide file: its levels, its scale, its scanned area."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from core.pixels.frame import Frame
from core.pixels.native_tiles import BLOCK_PX, SHRINKS


@dataclass(frozen=True)
class Level:
    """`downsample_*`: level-0 pixels per pixel of this level; tile sizes are the file's own where `native`.

    `made`: not in the file; rendered for the viewer, never read for the network.
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
    """Where pixels can be read from: a level of the file, or its own JPEG tiles decoded at 1/shrink."""

    level: int
    shrink: int
    downsample_x: float
    downsample_y: float


def sources_of(levels: Sequence[Level], scaled: bool) -> list[Source]:
    """The levels of a file and, where they may stand for levels that it lacks, its native tiles shrunk."""
    whole = [Source(i, 1, level.downsample_x, level.downsample_y) for i, level in enumerate(levels)]
    shrunk = [
        Source(i, k, k * level.downsample_x, k * level.downsample_y)
        for i, level in enumerate(levels)
        for k in SHRINKS
        if scaled and level.native and not (level.tile_width % BLOCK_PX or level.tile_height % BLOCK_PX)
    ]
    return whole + shrunk


@dataclass(frozen=True)
class SlideInfo:
    """The inspection's answer, kept with the slide's record."""

    vendor: str
    width: int
    height: int
    levels: list[Level]
    mpp_x: float | None
    mpp_y: float | None
    mpp_source: str | None
    bounds_x: int = 0
    bounds_y: int = 0
    properties: dict[str, str] = field(default_factory=dict)
    stamp: str | None = None  # of a file by reference when it was inspected (core.slides.storage)

    @property
    def file_levels(self) -> list[Level]:
        return [level for level in self.levels if not level.made]

    def sources(self, scaled: bool) -> list[Source]:
        """Where the network's pixels may come from; `scaled`: tiles decoded at ½, ¼ or ⅛ too."""
        return sources_of(self.file_levels, scaled)

    def frame(self) -> Frame:
        """Raises Invalid for a slide that is coarser than the network, ValueError without mpp."""
        if self.mpp_x is None or self.mpp_y is None:
            raise ValueError("a slide without mpp has no network frame")
        return Frame.from_slide(self.width, self.height, self.mpp_x, self.mpp_y)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "SlideInfo":
        return cls(**{**content, "levels": [Level(**level) for level in content["levels"]]})
