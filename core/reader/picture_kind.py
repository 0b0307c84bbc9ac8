"""Decides by its tags what kind of picture a TIFF holds: read right as it is, one channel, or unsupported by name.

OpenSlide ignores the Orientation tag or turns each tile in place, takes one sample of several, and maps signed and
CIELab values to other colours. None of this is an error there, so each kind that it does not read right is refused
here, with its tag and value. TIFF 6.0, and TIFF/EP and GeoTIFF practice for extra samples and masks.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import SlideUnsupported
from core.formats.tiff import (
    BITS,
    COMPRESSION,
    EXTRA_SAMPLES,
    HEIGHT,
    JPEG,
    ORIENTATION,
    PHOTOMETRIC,
    RGB,
    SAMPLE_FORMAT,
    SAMPLES,
    SUBFILE,
    TILE_COUNTS,
    TILE_OFFSETS,
    TILE_WIDTH,
    WIDTH,
    YCBCR,
    Directory,
    Tiff,
)
from core.pixels.codestreams import j2k_transforms_colours

WHITE_IS_ZERO, BLACK_IS_ZERO, PALETTE = 0, 1, 3
GREY = (WHITE_IS_ZERO, BLACK_IS_ZERO)
REDUCED, MASK = 1, 4  # bits of NewSubfileType
MOST_HEAD = 1 << 16
ALPHA = (1, 2)  # ExtraSamples: associated and unassociated
UNSIGNED = (1, 4)  # SampleFormat: unsigned integers, and undefined, which is read as such
APERIO_YCBCR, APERIO_RGB = 33003, 33005
READ = {1, 5, JPEG, 8, 32773, 32946, 50000, APERIO_YCBCR, APERIO_RGB}  # compressions that OpenSlide's libtiff reads
EXPORT = "export it as 8-bit RGB in an SVS or pyramidal TIFF with JPEG"
UPRIGHT = "export it with Orientation 1 (top left), the picture itself turned"
COMPRESSIONS = {
    2: "CCITT RLE", 3: "CCITT Group 3", 4: "CCITT Group 4", 6: "old-style JPEG", 9: "JBIG", 22610: "JPEG XR",
    33004: "JPEG 2000", 33007: "JPEG", 34661: "JBIG", 34676: "SGI Log", 34677: "SGI Log24", 34712: "JPEG 2000",
    34713: "Nikon NEF", 34718: "Microsoft Binary Level Codec", 34887: "LERC", 34892: "lossy JPEG (DNG)", 34925: "LZMA",
    34926: "Zstandard (old)", 34927: "WebP (old)", 34933: "PNG", 34934: "JPEG XR", 50001: "WebP", 50002: "JPEG XL",
    52546: "JPEG XL (DNG)",
}  # fmt: skip
PHOTOMETRICS = {
    0: "grey, white is zero", 1: "grey", 2: "RGB", 3: "palette", 4: "transparency mask", 5: "CMYK", 6: "YCbCr",
    8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "colour filter array", 32844: "LogL", 32845: "LogLuv",
    34892: "linear raw", 51177: "depth",
}  # fmt: skip
FORMATS = {2: "signed integers", 3: "floating point", 5: "complex integers", 6: "complex floating point"}
EXTRAS = {0: "unspecified", 1: "associated alpha", 2: "unassociated alpha"}
CORNERS = {
    2: "top right", 3: "bottom right", 4: "bottom left", 5: "left top", 6: "right top", 7: "right bottom",
    8: "left bottom",
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """The tags of one directory that decide how its samples are read; absent ones as the standard supposes them."""

    number: int
    size: tuple[int, int]
    tile_width: int  # 0: stored in strips
    subfile: int
    compression: int
    photometric: int
    samples: int
    bits: tuple[int, ...]
    formats: tuple[int, ...]
    extras: tuple[int, ...]
    orientation: int

    @classmethod
    def from_directory(cls, tiff: Tiff, number: int, directory: Directory) -> "Picture":
        def first(tag: int, default: int) -> int:
            return next(iter(tiff.numbers(directory, tag)), default)

        lists = (tiff.numbers(directory, BITS, (1,)), tiff.numbers(directory, SAMPLE_FORMAT, (1,)))
        return cls(
            number,
            (first(WIDTH, 0), first(HEIGHT, 0)),
            first(TILE_WIDTH, 0),
            first(SUBFILE, 0),
            first(COMPRESSION, 1),
            first(PHOTOMETRIC, -1),
            first(SAMPLES, 1),
            *lists,
            tiff.numbers(directory, EXTRA_SAMPLES),
            first(ORIENTATION, 1),
        )

    @property
    def tiled(self) -> bool:
        return self.tile_width > 0

    @property
    def is_grey(self) -> bool:
        return self.photometric in GREY


def pictures_of(path: Path) -> list[Picture]:
    """Returns the pictures of a TIFF in file order; [] for another file, or where a directory cannot be read."""
    with path.open("rb") as file:
        try:
            tiff = Tiff(file)
            return [Picture.from_directory(tiff, i, one) for i, one in enumerate(tiff.directories())]
        except (ValueError, ArithmeticError, struct.error):
            return []


def used(pictures: Sequence[Picture], sizes: Iterable[tuple[int, int]], vendor: str) -> list[Picture]:
    """Returns the pictures that OpenSlide's levels (of these sizes) are read from.

    Of a generic TIFF these are the first and the reduced ones. Formats that compose a level of several pictures have
    no picture of its size; of them only the orientation is judged.
    """
    levels = set(sizes)
    if vendor == "generic-tiff":
        return [one for one in pictures if one.tiled and (one.number == 0 or one.subfile & REDUCED)]
    return [one for one in pictures if one.size in levels and (one.tiled or vendor == "hamamatsu")]


def refuse_unsupported(path: Path, sizes: Sequence[tuple[int, int]], vendor: str) -> list[Picture]:
    """Returns the pictures that the levels are read from.

    Raises:
        SlideUnsupported: OpenSlide opens the file and would not read one of them right.
    """
    pictures = pictures_of(path)
    levels = used(pictures, sizes, vendor)
    for one in levels or [one for one in pictures if one.tiled]:
        _refuse_orientation(one)
    for one in levels:
        _refuse_samples(one)
    if vendor == "generic-tiff":
        _refuse_mixture(pictures, levels)
    if any(one.compression == APERIO_YCBCR for one in levels):
        _refuse_double_transform(path, levels)
    return levels


def name_unsupported(path: Path) -> None:
    """Names what is unsupported in a TIFF that OpenSlide does not open. Raises SlideUnsupported where it can."""
    pictures = pictures_of(path)
    if not pictures:
        return
    tiled = [one for one in pictures if one.tiled] or pictures[:1]
    first, value = tiled[0], next((one.compression for one in tiled if one.compression not in READ), None)
    if value is not None:
        name = COMPRESSIONS.get(value, "of an unknown name")
        detail = f"unsupported compression {name} (TIFF compression {value})"
        raise SlideUnsupported("unsupported", detail, EXPORT, compression=name, value=value)
    _refuse_orientation(first)
    _refuse_samples(first)
    if not first.tiled:
        detail = "unsupported layout: the TIFF is stored in strips (no TileWidth tag), which cannot be read in parts"
        raise SlideUnsupported("unsupported", detail, "export it as a tiled pyramidal TIFF", tag="TileWidth")


def full_size(pictures: Sequence[Picture]) -> list[Picture]:
    """Returns the pictures of full size of a generic TIFF: channels or focal planes. OpenSlide shows the first."""
    return [one for one in pictures if one.tiled and not one.subfile & REDUCED and one.size == pictures[0].size]


def _refusal(tag: str, value: int, name: str, more: str = "", action: str = EXPORT) -> SlideUnsupported:
    return SlideUnsupported(
        "unsupported", f"unsupported {tag} {value} ({name}){more}", action, tag=tag, value=value, name=name
    )


def _refuse_orientation(one: Picture) -> None:
    """0 is no orientation, and every reader takes it for 1."""
    if one.orientation not in (0, 1):
        name = CORNERS.get(one.orientation, "of an unknown name")
        raise _refusal("Orientation", one.orientation, name, ": each tile would be turned in its place", UPRIGHT)


def _refuse_samples(one: Picture) -> None:
    """Raises SlideUnsupported for samples that would be shown as other colours than they stand for."""
    unusable = next((value for value in one.formats if value not in UNSIGNED), None)
    if unusable is not None:
        raise _refusal("SampleFormat", unusable, FORMATS.get(unusable, "of an unknown name"))
    depths = (8,) if one.photometric in (PALETTE, YCBCR) else (8, 16)
    if len(set(one.bits)) != 1 or one.bits[0] not in depths:
        raise _refusal("BitsPerSample", one.bits[0] if one.bits else 0, "a depth that is not read")
    name = PHOTOMETRICS.get(one.photometric, "of an unknown name")
    if not one.is_grey and one.photometric not in (RGB, PALETTE, YCBCR):
        raise _refusal("PhotometricInterpretation", one.photometric, name)
    if one.photometric == YCBCR and one.compression not in (JPEG, APERIO_YCBCR, APERIO_RGB):
        raise _refusal("PhotometricInterpretation", YCBCR, name, f" with compression {one.compression}")
    colours = 1 if one.is_grey or one.photometric == PALETTE else 3
    if one.samples != colours:
        _refuse_extras(one, one.samples - colours, name)
    _refuse_cut_grey(one)


def _refuse_cut_grey(one: Picture) -> None:
    """libtiff reads 16-bit grey wrong in tiles that the right edge cuts off: it skips half of what it should.

    A picture whose width is a multiple of its tiles' has none.
    """
    if one.is_grey and one.bits[0] == 16 and one.tiled and one.size[0] % one.tile_width:
        more = f", with a width ({one.size[0]}) that is no multiple of its tiles' ({one.tile_width})"
        raise _refusal("BitsPerSample", one.bits[0], "grey", more, "export it in 8 bits")


def _refuse_extras(one: Picture, count: int, name: str) -> None:
    """One extra sample of RGB that is stated to be alpha is composed on white. Any other would be dropped, or mixed."""
    if count != 1 or one.photometric != RGB:
        raise _refusal("SamplesPerPixel", one.samples, name, ": samples of one picture")
    extra = one.extras[0] if one.extras else 0
    if extra not in ALPHA or len(one.extras) > 1:
        raise _refusal("ExtraSamples", extra, EXTRAS.get(extra, "of an unknown name"), f": sample {one.samples}")


def _refuse_mixture(pictures: Sequence[Picture], levels: Sequence[Picture]) -> None:
    """Raises SlideUnsupported for levels of different kinds, masks, and several colour pictures of full size."""
    mask = next((one for one in pictures if one.tiled and one.subfile & MASK), None)
    if mask is not None:
        raise _refusal("NewSubfileType", mask.subfile, "transparency mask")
    kinds = {(one.photometric in GREY, one.photometric == PALETTE, one.samples) for one in levels}
    if len(kinds) > 1:
        other = next(one for one in levels if one.is_grey != levels[0].is_grey or one.samples != levels[0].samples)
        name = PHOTOMETRICS.get(other.photometric, "of an unknown name")
        more = f" in directory {other.number}: its levels are pictures of different kinds"
        raise _refusal("PhotometricInterpretation", other.photometric, name, more)
    pages = full_size(pictures)
    if len(pages) > 1 and not pages[0].is_grey:
        detail = f"unsupported: {len(pages)} pictures of full size (focal planes, channels or slides) in one file"
        raise SlideUnsupported("unsupported", detail, "export one of them", pictures=len(pages))


def _refuse_double_transform(path: Path, levels: Sequence[Picture]) -> None:
    """Raises SlideUnsupported for JPEG 2000 labelled YCbCr whose decoder gives RGB: OpenSlide would convert again."""
    with path.open("rb") as file:
        tiff = Tiff(file)
        directory = tiff.directories()[levels[0].number]
        offsets, counts = tiff.numbers(directory, TILE_OFFSETS), tiff.numbers(directory, TILE_COUNTS)
        place = next(((at, size) for at, size in zip(offsets, counts, strict=False) if size), None)
        if place is not None and j2k_transforms_colours(tiff.read(place[0], min(place[1], MOST_HEAD))):
            more = ": its JPEG 2000 tiles transform their colours themselves (ICT)"
            raise _refusal("Compression", APERIO_YCBCR, "JPEG 2000, YCbCr", more)
