"""An open slide and the operations on it. Loaded by the reader child alone.

Label and macro may show the patient's name. No operation returns them but `do_label` and `do_macro`, for which the API
requires a role.
"""

import io
import struct
from collections import Counter
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import openslide
from numpy.typing import NDArray
from openslide.deepzoom import DeepZoomGenerator
from PIL import Image

from core.errors import NoSuchPart, SlideUnreadable, SlideUnsupported
from core.pixels import native_tiles
from core.pixels.levels import Level, SlideInfo, Source, sources_of
from core.pixels.native_pixels import NativePixels, Unusable, averaged
from core.pixels.sampling import axis_downsample, best_source, sample_blocks
from core.pixels.scale import read_scale
from core.pixels.tissue import block_kinds, pack
from core.reader import dicom_kind, picture_kind
from core.reader.companions import WHITE, companion, with_masked_ends
from core.reader.reasons import from_openslide, not_a_slide
from core.reader.suitability import refusal_to_analyse, refuse_unsupported

ALLOWED_PROPERTIES = (
    openslide.PROPERTY_NAME_VENDOR,
    openslide.PROPERTY_NAME_OBJECTIVE_POWER,
    openslide.PROPERTY_NAME_MPP_X,
    openslide.PROPERTY_NAME_MPP_Y,
    openslide.PROPERTY_NAME_BOUNDS_X,
    openslide.PROPERTY_NAME_BOUNDS_Y,
    openslide.PROPERTY_NAME_BOUNDS_WIDTH,
    openslide.PROPERTY_NAME_BOUNDS_HEIGHT,
)
TIFF_DESCRIPTION = "tiff.ImageDescription"  # may name the patient: read for OME-XML's scale, and never returned
MOST_PIXELS_A_BYTE = 5_000  # a blank JPEG reaches about 220, deflate 350
SMALL_FILE_PIXELS = 1 << 24
OVERVIEW_PX = 512
THUMBNAIL_PX = 400
MOST_REGION_PX = 1 << 26
MOST_RENDER_PX = 1 << 24
MANY_FILES = (".mrxs", ".vms", ".vmu", ".dcm")  # formats that keep most of their bytes in other files
JPEG_QUALITY = 90
Answer = tuple[dict[str, Any], bytes]
Pixels = NDArray[np.uint8]


class _OnWhite(openslide.OpenSlide):
    """A slide on white. DeepZoomGenerator paints the file's background colour where nothing was scanned."""

    @cached_property
    def properties(self) -> dict[str, str]:
        hidden = openslide.PROPERTY_NAME_BACKGROUND_COLOR
        return {name: value for name, value in super().properties.items() if name != hidden}


class OpenedSlide:
    """A slide and the operations that a request can name (`do_*`)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        dicom_kind.refuse_unsupported(path)  # before OpenSlide, which some objects make crash
        try:
            self.slide = _OnWhite(path)
        except openslide.OpenSlideUnsupportedFormatError:
            picture_kind.name_unsupported(path)
            raise not_a_slide(path) from None
        except openslide.OpenSlideError as error:
            picture_kind.name_unsupported(path)
            dicom_kind.refuse_series(path)
            raise from_openslide(error, path, "the file is damaged or incomplete") from None
        self.width, self.height = self.slide.dimensions

    @cached_property
    def levels(self) -> list[Level]:
        """The levels of the file, each with its own tile size where its tiles are JPEG."""
        return [self._level(number, *size) for number, size in enumerate(self.slide.level_dimensions)]

    def _level(self, number: int, width: int, height: int) -> Level:
        place = (width, height, axis_downsample(self.width, width), axis_downsample(self.height, height))
        tiles = self._pixels.levels.get(number)
        return Level(*place) if tiles is None else Level(*place, tiles.tile_width, tiles.tile_height, native=True)

    @cached_property
    def _pixels(self) -> NativePixels:
        file = self.path.open("rb")  # stays open as long as the child lives
        try:
            native = native_tiles.native_levels(file)
        except (ValueError, struct.error):  # OpenSlide may read what this parser does not
            native = []
        # OpenSlide does not say which directory a level is read from, so one of several of its size is not chosen.
        sizes = Counter((level.width, level.height) for level in native)
        by_size = {(level.width, level.height): level for level in native if sizes[level.width, level.height] == 1}
        matched = {i: by_size.get(size) for i, size in enumerate(self.slide.level_dimensions)}
        return NativePixels(file, {number: level for number, level in matched.items() if level is not None})

    def do_inspect(self, **_: Any) -> Answer:
        """Returns SlideInfo as a dict, and the index of native tiles as payload."""
        self._refuse_empty_claims()
        self._refuse_truncation()
        vendor = self.slide.properties.get(openslide.PROPERTY_NAME_VENDOR, "unknown")
        refuse_unsupported(self.path, self.slide.level_dimensions, vendor)
        levels = [*self.levels, *self._overviews()]
        values = self.slide.properties
        scale = read_scale(values, values.get(TIFF_DESCRIPTION, ""))
        properties = {name: values[name] for name in ALLOWED_PROPERTIES if name in values}
        bounds = [int(float(values.get(name, 0))) for name in ALLOWED_PROPERTIES[4:6]]
        measures = (self.width, self.height, levels, scale.x, scale.y, scale.source, scale.reason)
        info = SlideInfo(vendor, *measures, bounds[0], bounds[1], properties)
        refusal = refusal_to_analyse(self.path, self.slide.level_dimensions, vendor, np.asarray(self._overview))
        info = replace(info, not_analysable=refusal)
        return {"info": info.to_dict()}, native_tiles.dump(self._pixels.levels)

    def _refuse_empty_claims(self) -> None:
        """Raises SlideUnreadable for dimensions that this many bytes cannot fill, whatever the compression."""
        pixels, size = self.width * self.height, self.path.stat().st_size
        folder = self.path.with_suffix("") if self.path.suffix.lower() == ".mrxs" else self.path.parent
        if self.path.suffix.lower() in MANY_FILES and folder.is_dir():
            size = sum(part.stat().st_size for part in folder.iterdir())
        if pixels > SMALL_FILE_PIXELS and pixels > MOST_PIXELS_A_BYTE * size:
            raise SlideUnreadable(
                "empty-claim",
                f"the file claims {self.width}×{self.height} pixels but holds only {size} bytes",
                "copy it again from the scanner",
                width=self.width,
                height=self.height,
                bytes=size,
            )

    def _refuse_truncation(self) -> None:
        """Raises SlideUnreadable when a tile lies beyond the end: OpenSlide would notice only when it reads there."""
        size = self.path.stat().st_size
        if any(not level.lies_within(size) for level in self._pixels.levels.values()):
            detail = f"the file ends at {size} bytes, before its last tile"
            raise SlideUnreadable("truncated", detail, "copy it again", bytes=size)

    def _overviews(self) -> list[Level]:
        """Levels that the file lacks, rendered for the viewer: halved until the slide fits OVERVIEW_PX."""
        overviews, last = [], self.levels[-1]
        while max(last.width, last.height) > OVERVIEW_PX:
            size = (-(-last.width // 2), -(-last.height // 2))
            last = Level(*size, last.downsample_x * 2, last.downsample_y * 2, made=True)
            overviews.append(last)
        return overviews

    def do_tissue(self, mpp_x: float, mpp_y: float, scaled: bool, **_: Any) -> Answer:
        """Returns what each block of 16×16 network pixels shows (core.pixels.tissue.Kind), uint8 (rows, cols)."""
        info = SlideInfo("", self.width, self.height, self.levels, mpp_x, mpp_y, None)
        kinds = block_kinds(sample_blocks(self.read, info.sources(scaled), info.frame()))
        return {"shape": list(kinds.shape)}, pack(kinds)

    def do_region(self, source: dict[str, Any], x: int, y: int, width: int, height: int, **_: Any) -> Answer:
        return {}, self.read(Source(**source), x, y, width, height).tobytes()

    def do_render(self, x: float, y: float, width: float, height: float, out: list[int], **_: Any) -> Answer:
        """Returns a JPEG of a level-0 rectangle, resized to `out` (width, height)."""
        return {}, jpeg(self._rendered((x, y, width, height), (out[0], out[1])))

    def _rendered(self, box: tuple[float, float, float, float], out: tuple[int, int]) -> Image.Image:
        """A level-0 rectangle (x, y, width, height) as an image of size `out`, in halves where one read is too large.

        A slide without overview levels must be read in full for its thumbnail: halving bounds the memory.
        """
        x, y, width, height = box
        source = best_source(sources_of(self.levels, scaled=True), max(1.0, width / out[0]))
        left, top = round(x / source.downsample_x), round(y / source.downsample_y)
        size = (max(1, round(width / source.downsample_x)), max(1, round(height / source.downsample_y)))
        if size[0] * size[1] > MOST_RENDER_PX and max(out) > 1:
            return self._rendered_in_halves(box, out)
        image = Image.fromarray(self.read(source, left, top, *size))
        return image if size == out else image.resize(out, Image.Resampling.BOX, reducing_gap=None)

    def _rendered_in_halves(self, box: tuple[float, float, float, float], out: tuple[int, int]) -> Image.Image:
        axis = 0 if out[0] >= out[1] else 1
        first = out[axis] // 2
        share = box[2 + axis] * first / out[axis]
        image, place = Image.new("RGB", out), [0, 0]
        for start, length, pixels in ((0.0, share, first), (share, box[2 + axis] - share, out[axis] - first)):
            part, size = list(box), list(out)
            part[axis], part[2 + axis], size[axis] = box[axis] + start, length, pixels
            image.paste(self._rendered((part[0], part[1], part[2], part[3]), (size[0], size[1])), (place[0], place[1]))
            place[axis] += pixels
        return image

    def do_thumbnail(self, most_px: int, **_: Any) -> Answer:
        return {}, jpeg(self._overview if most_px == THUMBNAIL_PX else self._small(most_px))

    @cached_property
    def _overview(self) -> Image.Image:
        """The picture that decides what lights the slide, and its thumbnail: a slide of one level is read in full."""
        return self._small(THUMBNAIL_PX)

    def _small(self, most_px: int) -> Image.Image:
        shrink = max(1.0, max(self.width, self.height) / most_px)
        out = (max(1, round(self.width / shrink)), max(1, round(self.height / shrink)))
        return self._rendered((0, 0, self.width, self.height), out)

    def do_label(self, **_: Any) -> Answer:
        """Returns a JPEG of the label, which may name the patient: the API requires the admin role."""
        return {}, jpeg(companion(self.slide, self.path, "label"))

    def do_macro(self, **_: Any) -> Answer:
        """Returns a JPEG of the overview of the glass, both ends of its long side painted over."""
        return {}, jpeg(with_masked_ends(companion(self.slide, self.path, "macro")))

    def do_dz(self, level: int, col: int, row: int, **_: Any) -> Answer:
        """Returns one Deep Zoom tile as JPEG: 254 px with 1 px of overlap on each inner side."""
        zoom = DeepZoomGenerator(self.slide, 254, 1, limit_bounds=False)
        try:
            return {}, jpeg(zoom.get_tile(level, (col, row)))
        except ValueError:
            raise NoSuchPart("no-such-tile", "the slide has no such tile", "see its Deep Zoom description") from None

    def read(self, source: Source, x: int, y: int, width: int, height: int) -> Pixels:
        """uint8 (height, width, 3) in the source's own pixels; white where nothing was scanned.

        Raises:
            SlideUnsupported: too many pixels for one read. OpenSlideError: a part of the slide is damaged.
        """
        k = source.shrink
        if width * height > MOST_REGION_PX:
            detail = f"{width}×{height} pixels at once are too many: {MOST_REGION_PX} is the most"
            pixels = {"width": width, "height": height, "most_pixels": MOST_REGION_PX}
            raise SlideUnsupported("too-large-a-read", detail, "export the slide with more levels", **pixels)
        if source.level in self._pixels.levels:
            try:
                return self._pixels.read(source.level, k, x, y, width, height)
            except Unusable:
                pass  # OpenSlide supports more kinds of tiles, and recovers from more damage
        if k == 1:
            return self._read_by_openslide(source.level, x, y, width, height)
        return self._averaged_by_openslide(source, x, y, width, height)

    def _averaged_by_openslide(self, source: Source, x: int, y: int, width: int, height: int) -> Pixels:
        """Reads k² times the pixels and averages them, in strips that bound the memory.

        Stands in for decoding at 1/k where the native reader cannot.
        """
        k, strips = source.shrink, list[Pixels]()
        step = max(1, MOST_REGION_PX // (k * k * width))
        for top in range(0, height, step):
            rows = min(step, height - top)
            pixels = self._read_by_openslide(source.level, k * x, k * (y + top), k * width, k * rows)
            strips.append(averaged(pixels, k))
        return np.concatenate(strips)

    def _read_by_openslide(self, number: int, x: int, y: int, width: int, height: int) -> Pixels:
        """OpenSlide takes the place in level-0 pixels, the size in the level's. Alpha 0: nothing was scanned there."""
        level = self.levels[number]
        location = (round(x * level.downsample_x), round(y * level.downsample_y))
        rgba = self.slide.read_region(location, number, (width, height))
        if rgba.getchannel("A").getextrema() == (255, 255):
            return np.asarray(rgba.convert("RGB"))
        return np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, WHITE), rgba).convert("RGB"))


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
