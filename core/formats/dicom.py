"""Reads the head of a DICOM file: which object it is, of which series, and how its pixels are stored.

Explicit and implicit VR, little endian, and explicit VR big endian (PS3.5, sections 7.1 and 7.5). Sequences are
skipped. What a hostile file may repeat is bounded.
"""

import struct
from dataclasses import dataclass
from typing import IO, Any

PREAMBLE = 128
BIG_ENDIAN, DEFLATED, IMPLICIT = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2"
WSI = "1.2.840.10008.5.1.4.1.1.77.1.6"  # VL Whole Slide Microscopy Image Storage
TRANSFER_SYNTAX, SOP_CLASS, PIXELS, PER_FRAME = 0x00020010, 0x00080016, 0x7FE00010, 0x52009230
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
NUMBERS = {b"US": "H", b"UL": "I"}
NAMES = {
    TRANSFER_SYNTAX: "syntax", SOP_CLASS: "sop_class", 0x00080018: "instance", 0x00080008: "image_type",
    0x0020000D: "study", 0x0020000E: "series", 0x00209161: "concatenation", 0x00209311: "organization",
    0x00280004: "photometric",
}  # fmt: skip
COUNTS = {
    0x00280002: "samples", 0x00280006: "planar", 0x00280100: "bits", 0x00480006: "columns", 0x00480007: "rows",
    0x00480302: "optical_paths", 0x00480303: "focal_planes",
}  # fmt: skip
MOST_ELEMENTS, MOST_VALUE, MOST_FRAME, MOST_DEPTH = 200_000, 4096, 1 << 16, 32

CLASSES = {
    "1.2.840.10008.5.1.4.1.1.91.1": "annotations", "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "label map", "1.2.840.10008.5.1.4.1.1.66": "raw data",
    "1.2.840.10008.5.1.4.1.1.30": "parametric map", "1.2.840.10008.5.1.4.1.1.88.34": "structured report",
    "1.2.840.10008.5.1.4.1.1.88.33": "structured report", "1.2.840.10008.5.1.4.1.1.88.22": "structured report",
    "1.2.840.10008.5.1.4.1.1.88.11": "structured report", "1.2.840.10008.5.1.4.1.1.104.1": "PDF document",
    "1.2.840.10008.5.1.4.1.1.11.1": "presentation state", "1.2.840.10008.5.1.4.1.1.77.1.2": "microscopy photograph",
    "1.2.840.10008.5.1.4.1.1.77.1.3": "slide-coordinates photograph", "1.2.840.10008.5.1.4.1.1.7": "secondary capture",
    "1.2.840.10008.5.1.4.1.1.2": "CT image", "1.2.840.10008.5.1.4.1.1.4": "MR image",
    "1.2.840.10008.1.3.10": "DICOMDIR", "1.2.840.10008.5.1.4.1.1.77.1.7": "confocal microscopy",
    "1.2.840.10008.5.1.4.1.1.77.1.8": "confocal microscopy",
}  # fmt: skip


class NotDicom(ValueError):
    """The file is no DICOM file, or its head cannot be read."""


@dataclass(frozen=True)
class Header:
    """What the head of a file says; "" and 0 where it says nothing. `frame`: the first bytes of the first frame."""

    syntax: str = ""
    sop_class: str = ""
    instance: str = ""
    image_type: str = ""
    study: str = ""
    series: str = ""
    concatenation: str = ""
    organization: str = ""
    photometric: str = ""
    samples: int = 0
    planar: int = 0
    bits: int = 0
    columns: int = 0
    rows: int = 0
    optical_paths: int = 0
    focal_planes: int = 0
    has_positions: bool = False
    frame: bytes = b""

    @property
    def is_wsi(self) -> bool:
        return self.sop_class == WSI

    @property
    def class_name(self) -> str:
        """What the object is, in words, or its SOP class."""
        return CLASSES.get(self.sop_class, f"SOP class {self.sop_class or 'not stated'}")

    @property
    def is_volume(self) -> bool:
        """Whether it is a level of the slide, and no label, overview or thumbnail (PS3.3, C.8.12.4.1.1)."""
        flavours = self.image_type.upper().split("\\")
        return self.is_wsi and not {"LABEL", "OVERVIEW", "THUMBNAIL", "LOCALIZER"} & set(flavours[2:3])


def is_dicom(head: bytes) -> bool:
    """DICOM PS3.10, section 7.1: a preamble of 128 bytes of any content, then DICM."""
    return head[PREAMBLE : PREAMBLE + 4] == b"DICM"


def read_header(file: IO[bytes]) -> Header:
    """Returns the head of an open DICOM file. Raises NotDicom."""
    if not is_dicom(file.read(PREAMBLE + 4)):
        raise NotDicom("no DICOM prefix")
    try:
        return Header(**_Walk(file).fields())
    except (struct.error, OverflowError) as error:
        raise NotDicom("the data set ends early") from error


class _Walk:
    """A walk over the elements of a data set, from the file meta information on."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.order, self.implicit, self.elements = file, "<", False, 0
        self.fields_read: dict[str, Any] = {}

    def fields(self) -> dict[str, Any]:
        in_meta = True
        while True:
            place = self.file.tell()
            head = self.file.read(4)
            if len(head) < 4:
                return dict(self.fields_read)
            if in_meta and head[:2] != b"\x02\0":
                in_meta = False
                self._use_syntax()
            self.file.seek(place)
            tag, kind, length = self._element()
            if tag == PIXELS:
                self.fields_read["frame"] = self._first_frame(length)
                return dict(self.fields_read)
            self._keep(tag, kind, length)

    def _use_syntax(self) -> None:
        syntax = self.fields_read.get("syntax", "")
        if syntax == DEFLATED:
            raise NotDicom("a deflated data set")
        self.order, self.implicit = ">" if syntax == BIG_ENDIAN else "<", syntax == IMPLICIT

    def _element(self) -> tuple[int, bytes, int]:
        """Returns (tag, VR, length) of the next element. Items and delimiters have no VR in any syntax."""
        self.elements += 1
        if self.elements > MOST_ELEMENTS:
            raise NotDicom("too many elements")
        group, element = struct.unpack(self.order + "HH", self.file.read(4))
        tag, kind = group << 16 | element, b""
        if self.implicit or group == 0xFFFE:
            return tag, kind, struct.unpack(self.order + "I", self.file.read(4))[0]
        kind = self.file.read(2)
        if kind in LONG:
            return tag, kind, struct.unpack(self.order + "2xI", self.file.read(6))[0]
        return tag, kind, struct.unpack(self.order + "H", self.file.read(2))[0]

    def _keep(self, tag: int, kind: bytes, length: int) -> None:
        if tag == PER_FRAME:
            self.fields_read["has_positions"] = True
        if length == UNDEFINED:
            self._skip_items(0)
        elif tag in NAMES and length <= MOST_VALUE:
            self.fields_read[NAMES[tag]] = self._read(length).decode("ascii", "replace").rstrip(" \0")
        elif tag in COUNTS and length in (2, 4):
            code = NUMBERS.get(kind, "H" if length == 2 else "I")
            size = struct.calcsize(code)
            self.fields_read[COUNTS[tag]] = struct.unpack(self.order + code, self._read(length)[:size])[0]
        else:
            self.file.seek(length, 1)

    def _read(self, length: int) -> bytes:
        content = self.file.read(length)
        if len(content) < length:
            raise NotDicom("the data set ends early")
        return content

    def _skip_items(self, depth: int) -> None:
        """Skips a sequence of undefined length, up to its delimiter."""
        if depth > MOST_DEPTH:
            raise NotDicom("sequences are nested too deep")
        while True:
            tag, _, length = self._element()
            if tag == SEQUENCE_END:
                return
            if tag != ITEM:
                raise NotDicom("a sequence without items")
            if length == UNDEFINED:
                self._skip_item(depth)
            else:
                self.file.seek(length, 1)

    def _skip_item(self, depth: int) -> None:
        while True:
            tag, _, length = self._element()
            if tag == ITEM_END:
                return
            if length == UNDEFINED:
                self._skip_items(depth + 1)
            else:
                self.file.seek(length, 1)

    def _first_frame(self, length: int) -> bytes:
        """Returns the first bytes of the first frame: native pixels, or the first fragment after the offset table."""
        if length != UNDEFINED:
            return self.file.read(min(length, MOST_FRAME))
        _, _, table = self._element()
        self.file.seek(table, 1)
        tag, _, size = self._element()
        return self.file.read(min(size, MOST_FRAME)) if tag == ITEM else b""
