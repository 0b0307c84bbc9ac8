"""Decides what a DICOM file holds, before OpenSlide opens it: a slide that is read right, or unsupported by name.

OpenSlide ends its process on some objects (TILED_SPARSE without positions), reports others as damaged (one sample,
several focal planes), and follows the stated colour model where the frames say another.
"""

from collections import Counter
from pathlib import Path

from core.errors import SlideUnsupported
from core.formats.dicom import DEFLATED, WSI, Header, NotDicom, is_dicom, read_header
from core.pixels.codestreams import jpeg_states_rgb

JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
EXPORT = "export it as VL Whole Slide Microscopy in 8-bit colour with JPEG baseline or JPEG 2000"
ALONE = "send the files of one series, one scan of the slide"
MOST_NEIGHBOURS = 4000
SYNTAXES = {
    "1.2.840.10008.1.2.4.51": "JPEG extended (12 bits)", "1.2.840.10008.1.2.4.57": "lossless JPEG",
    "1.2.840.10008.1.2.4.70": "lossless JPEG", "1.2.840.10008.1.2.4.80": "JPEG-LS",
    "1.2.840.10008.1.2.4.81": "JPEG-LS", "1.2.840.10008.1.2.4.92": "JPEG 2000 multi-component",
    "1.2.840.10008.1.2.4.93": "JPEG 2000 multi-component", "1.2.840.10008.1.2.4.94": "JPIP",
    "1.2.840.10008.1.2.4.95": "JPIP", "1.2.840.10008.1.2.4.100": "MPEG-2", "1.2.840.10008.1.2.4.101": "MPEG-2",
    "1.2.840.10008.1.2.4.102": "MPEG-4", "1.2.840.10008.1.2.4.107": "HEVC", "1.2.840.10008.1.2.4.110": "JPEG XL",
    "1.2.840.10008.1.2.4.111": "JPEG XL", "1.2.840.10008.1.2.4.112": "JPEG XL",
    "1.2.840.10008.1.2.4.201": "High-Throughput JPEG 2000", "1.2.840.10008.1.2.4.202": "High-Throughput JPEG 2000",
    "1.2.840.10008.1.2.4.203": "High-Throughput JPEG 2000", "1.2.840.10008.1.2.5": "RLE", DEFLATED: "deflate",
}  # fmt: skip


def refuse_unsupported(path: Path) -> None:
    """Raises SlideUnsupported for a DICOM file that OpenSlide does not read right. Passes every other file."""
    header = header_of(path)
    if header is None:
        return
    if not header.is_wsi:
        name = header.class_name
        detail = f"unsupported DICOM object: {name}, not a whole-slide image (SOP class {WSI})"
        raise SlideUnsupported("unsupported", detail, EXPORT, tag="SOPClassUID", value=header.sop_class)
    _refuse(header)


def refuse_series(path: Path) -> None:
    """The same for all levels of a DICOM slide, whose files lie beside it."""
    header = header_of(path)
    if header is None:
        return
    volumes = [one for one in _series(path, header) if one.is_volume]
    if not volumes:
        raise _refusal("ImageType", header.image_type, ": the series has no level of the slide", ALONE)
    for one in volumes:
        _refuse(one)
    _refuse_repetition(volumes)


def header_of(path: Path) -> Header | None:
    """The head of a DICOM file; None for another file, or one whose head cannot be read."""
    with path.open("rb") as file:
        if not is_dicom(file.read(132)):
            return None
        file.seek(0)
        try:
            return read_header(file)
        except NotDicom:
            return None


def _series(path: Path, header: Header) -> list[Header]:
    """Returns the heads of the files beside it that OpenSlide reads as one slide with it, its own included."""
    series = [header]
    for number, other in enumerate(sorted(path.parent.iterdir())):
        if number < MOST_NEIGHBOURS and other != path and other.is_file():
            neighbour = header_of(other)
            if neighbour is not None and neighbour.series == header.series:
                series.append(neighbour)
    return series


def _refusal(tag: str, value: str | int, more: str = "", action: str = EXPORT) -> SlideUnsupported:
    return SlideUnsupported("unsupported", f"unsupported DICOM {tag} {value}{more}", action, tag=tag, value=value)


def _refuse(one: Header) -> None:
    if one.syntax in SYNTAXES:
        name = SYNTAXES[one.syntax]
        detail = f"unsupported compression {name} (DICOM transfer syntax {one.syntax})"
        raise SlideUnsupported("unsupported", detail, EXPORT, compression=name, value=one.syntax)
    if one.samples not in (0, 3):
        raise _refusal("SamplesPerPixel", one.samples, f" ({one.photometric or 'no colour model'})")
    if one.bits not in (0, 8):
        raise _refusal("BitsAllocated", one.bits)
    if one.planar:
        raise _refusal("PlanarConfiguration", one.planar, " (colours in planes)")
    if one.optical_paths > 1:
        raise _refusal("NumberOfOpticalPaths", one.optical_paths, ": the paths would be mixed", ALONE)
    if one.focal_planes > 1:
        raise _refusal("TotalPixelMatrixFocalPlanes", one.focal_planes, ": the planes would be mixed", ALONE)
    if one.organization == "TILED_SPARSE" and not one.has_positions:
        raise _refusal("DimensionOrganizationType", one.organization, " without positions of its frames")
    _refuse_contradiction(one)


def _refuse_contradiction(one: Header) -> None:
    """Raises SlideUnsupported where the frames say another colour model than the file (PS3.5, 8.2.1)."""
    stated = jpeg_states_rgb(one.frame) if one.syntax == JPEG_BASELINE else None
    if stated is not None and stated != (one.photometric == "RGB"):
        frames = "RGB" if stated else "YCbCr"
        raise _refusal("PhotometricInterpretation", one.photometric, f": its JPEG frames say {frames}")


def _refuse_repetition(volumes: list[Header]) -> None:
    """Raises SlideUnsupported for several pictures of one level that are not parts of one concatenation."""
    sizes = Counter((one.columns, one.rows) for one in volumes if not one.concatenation)
    (width, height), count = max(sizes.items(), key=lambda item: item[1], default=((0, 0), 0))
    if count > 1:
        detail = f"unsupported: {count} pictures of {width}×{height} in one series (focal planes, paths or copies)"
        raise SlideUnsupported("unsupported", detail, ALONE, pictures=count)
