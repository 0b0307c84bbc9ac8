"""Synthetic slides of several files, and zips of them: valid and hostile."""

import io
import struct
import warnings
import zipfile

from PIL import Image
from slides import tissue

ID, TILE = "A" * 32, 256
SLIDEDAT = """[GENERAL]
SLIDE_ID = {id}
IMAGENUMBER_X = {cols}
IMAGENUMBER_Y = {rows}
OBJECTIVE_MAGNIFICATION = 20
CameraImageDivisionsPerSide = 1
[HIERARCHICAL]
HIER_COUNT = 1
NONHIER_COUNT = 0
INDEXFILE = Index.dat
HIER_0_NAME = Slide zoom level
HIER_0_COUNT = 1
HIER_0_VAL_0_SECTION = LAYER_0_LEVEL_0_SECTION
[DATAFILE]
FILE_COUNT = 1
FILE_0 = {data}
[LAYER_0_LEVEL_0_SECTION]
OVERLAP_X = 0
OVERLAP_Y = 0
MICROMETER_PER_PIXEL_X = {mpp}
MICROMETER_PER_PIXEL_Y = {mpp}
IMAGE_FILL_COLOR_BGR = 16777215
DIGITIZER_WIDTH = {tile}
DIGITIZER_HEIGHT = {tile}
IMAGE_FORMAT = JPEG
IMAGE_CONCAT_FACTOR = 0
"""
VMS = """[Virtual Microscope Specimen]
NoLayers=1
NoJpegColumns=1
NoJpegRows=1
ImageFile={image}
MapFile=a map.jpg
SourceLens=20
PhysicalWidth={width}
PhysicalHeight={height}
"""


def jpeg(pixels, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def mrxs(pixels, mpp, name="case 7", data="Data0000.dat", **options):
    """The files of a MIRAX slide of one level, by name; `data`: what its ini calls the file with the tiles.

    `options`: of its JPEGs, for Pillow.
    """
    rows, cols = pixels.shape[0] // TILE, pixels.shape[1] // TILE
    stored, records = b"", []
    for number in range(rows * cols):
        top, left = TILE * (number // cols), TILE * (number % cols)
        tile = jpeg(pixels[top : top + TILE, left : left + TILE], **options)
        records.append(struct.pack("<iiii", number, len(stored), len(tile), 0))
        stored += tile
    head = b"01.02" + ID.encode()
    hierarchy = len(head) + 8
    index = struct.pack("<iii", hierarchy, 0, hierarchy + 4) + struct.pack("<ii", 0, hierarchy + 12)
    index += struct.pack("<ii", len(records), 0) + b"".join(records)
    ini = SLIDEDAT.format(id=ID, cols=cols, rows=rows, mpp=mpp, tile=TILE, data=data)
    companions = {"Data0000.dat": stored, "Index.dat": head + index, "Slidedat.ini": ini.encode()}
    return {f"{name}.mrxs": b"", **{f"{name}/{file_name}": content for file_name, content in companions.items()}}


def vms(pixels, mpp, image="an image(1,0).jpg", **options):
    """The files of a Hamamatsu VMS slide; `image`: what it calls the file with its pixels; `options`: of its JPEGs."""
    height, width = pixels.shape[:2]
    in_nm = {"width": round(1000 * mpp * width), "height": round(1000 * mpp * height)}
    with_marks = {"restart_marker_blocks": 4, "subsampling": 0, **options}
    return {
        "case 7.vms": VMS.format(image=image, **in_nm).encode(),
        "an image(1,0).jpg": jpeg(pixels, **with_marks),
        "a map.jpg": jpeg(pixels[::8, ::8].copy(), **with_marks),
    }


def zipped(files, method=zipfile.ZIP_DEFLATED):
    """One zip; a name may be a ZipInfo of its own."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(buffer, "w", method) as archive:  # of equal names
        for name, content in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, content)
    return buffer.getvalue()


def entry(name, kind=0):
    """A zip's entry with a name as it is, and a Unix file type."""
    info = zipfile.ZipInfo("x")
    info.filename, info.external_attr = name, kind << 16
    return info


def lying(content, size):
    """A zip whose directory claims this size for its first file."""
    damaged = bytearray(content)
    place = damaged.index(b"PK\x01\x02")
    struct.pack_into("<I", damaged, place + 24, size)
    return bytes(damaged)


def overlapping(count):
    """A zip of many entries over the same bytes."""
    one = zipped({"slide.svs": bytes(1 << 16)}, zipfile.ZIP_STORED)
    place, end = one.index(b"PK\x01\x02"), one.index(b"PK\x05\x06")
    directory = one[place:end] * count
    sizes = (count, count, len(directory), place)
    large = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, *sizes)
    large += struct.pack("<4sIQI", b"PK\x06\x07", 0, place + len(directory), 1)  # ZIP64: 65,535 are not the most
    closing = bytearray(one[end:])
    struct.pack_into("<HHII", closing, 8, 0xFFFF, 0xFFFF, len(directory), place)
    return one[:place] + directory + large + bytes(closing)


def hostile():
    """(what it is, bytes, the refusal's code), FACTS' zips and more."""
    good, link = mrxs(tissue(512, 512), 0.5), 0o120777
    svs = "slide.svs"
    return [
        ("leads upwards", zipped([(entry("../slide.svs"), b"x" * 99)]), "zip-names"),
        ("leads upwards inside", zipped([(entry("a/../../slide.svs"), b"x" * 99)]), "zip-names"),
        ("absolute", zipped([(entry("/etc/cron.d/slide.svs"), b"x" * 99)]), "zip-names"),
        ("backslash", zipped([(entry("..\\slide.svs"), b"x" * 99)]), "zip-names"),
        ("drive", zipped([(entry("C:slide.svs"), b"x" * 99)]), "zip-names"),
        ("link", zipped([(entry(svs, link), b"/etc/passwd")]), "zip-links"),
        ("device", zipped([(entry(svs, 0o020644), b"")]), "zip-links"),
        ("1000:1", zipped({svs: bytes(32 << 20)}), "zip-ratio"),
        ("too many", zipped({f"{n}.dcm": b"" for n in range(5000)}, zipfile.ZIP_STORED), "zip-too-many"),
        ("a hundred thousand", overlapping(100_000), "zip-too-many"),
        ("lies over itself", overlapping(50), "zip-claims"),
        ("claims less", lying(zipped({svs: b"x" * 5000}), 100), "zip-damaged"),
        ("claims more", lying(zipped({svs: b"x" * 5000}), 6000), "zip-damaged"),
        ("bzip2", zipped({svs: b"x" * 99}, zipfile.ZIP_BZIP2), "zip-method"),
        ("cut", zipped(good)[:-30], "zip-damaged"),
        ("empty", zipped({}), "zip-no-slide"),
        ("two slides", zipped({"a.svs": b"x", "b.svs": b"y"}), "zip-no-slide"),
        ("a program beside", zipped({**good, "case 7/setup.exe": b"MZ"}), "zip-kinds"),
        ("twice", zipped([*good.items(), ("case 7/INDEX.DAT", b"x")]), "zip-names"),
        ("ini names a password file", zipped(mrxs(tissue(512, 512), 0.5, data="/etc/passwd")), "zip-references"),
        ("ini names another slide", zipped(mrxs(tissue(512, 512), 0.5, data="..\\x\\Data0.dat")), "zip-references"),
        ("vms names a password file", zipped(vms(tissue(512, 512), 0.5, image="/etc/passwd")), "zip-references"),
        ("a text inside", zipped({svs: b"this is no slide"}), "not-a-slide"),
    ]
