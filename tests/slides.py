"""Slides made on the spot: pyramids, a Leica SCN with non-zero bounds, mosaics; all without loss."""

import struct

import numpy as np
import tifffile

GLASS, TISSUE, NUCLEUS = (244, 243, 245), (222, 150, 196), (92, 52, 140)


def tissue(height, width, squares=(), seed=0):
    """Glass, an ellipse of pink tissue with nuclei, and squares of dense nuclei (top, left, side) in level-0 px."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    pixels = np.full((height, width, 3), GLASS, np.uint8)
    inside = ((y - height / 2) / (0.42 * height)) ** 2 + ((x - width / 2) / (0.42 * width)) ** 2 < 1
    pixels[inside] = TISSUE
    noise = rng.integers(-9, 10, pixels.shape)
    pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    for top, left, side in squares:
        block = np.full((side, side, 3), NUCLEUS, np.uint8)
        pixels[top : top + side, left : left + side] = np.clip(block + rng.integers(-25, 26, block.shape), 0, 255)
    return pixels


def write_pyramid(path, pixels, mpp, downsamples=()):
    """A tiled, deflated pyramid that OpenSlide opens as generic-tiff with its mpp."""
    options = {"tile": (256, 256), "compression": "zlib", "photometric": "rgb", "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as tiff:
        for factor in (1, *downsamples):
            reduced = reduce(pixels, factor)
            resolution = None if mpp is None else (1e4 / (mpp * factor), 1e4 / (mpp * factor))
            kind = {} if factor == 1 else {"subfiletype": 1}
            if mpp is None:
                tiff.write(reduced, **{**options, "resolutionunit": "NONE"}, **kind)
            else:
                tiff.write(reduced, resolution=resolution, **options, **kind)
    return path


def reduce(pixels, factor):
    """Mean over factor×factor px; a rest at the edge is dropped, as scanners do."""
    if factor == 1:
        return pixels
    height, width = (side // factor for side in pixels.shape[:2])
    cut = pixels[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return np.round(cut.mean((1, 3))).astype(np.uint8)


def leading_to_itself(content):
    """A TIFF whose first directory names itself as the next."""
    damaged = bytearray(content)
    (first,) = struct.unpack_from("<I", damaged, 4)
    (count,) = struct.unpack_from("<H", damaged, first)
    struct.pack_into("<I", damaged, first + 2 + 12 * count, first)
    return bytes(damaged)


SCN = """<?xml version="1.0"?>
<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">
 <collection name="c" sizeX="{cw}" sizeY="{ch}"><barcode></barcode>
  <image name="i"><creationDate>2020-01-01T00:00:00Z</creationDate>
   <device model="Leica SCN400" version="1"/>
   <pixels sizeX="{w}" sizeY="{h}"><dimension sizeX="{w}" sizeY="{h}" r="0" ifd="0"/></pixels>
   <view sizeX="{vw}" sizeY="{vh}" offsetX="{ox}" offsetY="{oy}" spacingZ="0"/>
   <scanSettings><objectiveSettings><objective>20</objective></objectiveSettings>
    <illuminationSettings><illuminationSource>brightfield</illuminationSource></illuminationSettings></scanSettings>
  </image></collection></scn>"""


def write_scn(path, pixels, mpp, offset_px, canvas_px):
    """A Leica SCN: one main image at `offset_px` (x, y) of a larger canvas (width, height); bounds are not zero."""
    nm = round(mpp * 1000)
    height, width = pixels.shape[:2]
    text = SCN.format(
        w=width, h=height, vw=width * nm, vh=height * nm, ox=offset_px[0] * nm, oy=offset_px[1] * nm,
        cw=canvas_px[0] * nm, ch=canvas_px[1] * nm,
    )  # fmt: skip
    tifffile.imwrite(
        path,
        pixels,
        tile=(256, 256),
        compression="zlib",
        photometric="rgb",
        description=text,
        metadata=None,
        bigtiff=True,
        resolution=(1e4 / mpp, 1e4 / mpp),
        resolutionunit="CENTIMETER",
    )
    return path


def write_svs(path, pixels, mpp, label, macro, properties, tags=()):
    """An Aperio SVS as scanners write it: JPEG tiles, a label and a macro beside them, properties in its text.

    `tags`: (number, text) of others that the first directory has.
    """
    name = "Aperio Image Library v12.0.5"
    height, width = pixels.shape[:2]
    text = f"{name}\r\n{width}x{height} (240x240) JPEG/RGB Q=90|AppMag = 20|MPP = {mpp}|{properties}"
    with tifffile.TiffWriter(path) as tiff:
        more = [(number, "s", 0, value, True) for number, value in tags]
        tiff.write(pixels, tile=(240, 240), compression="jpeg", photometric="rgb", description=text, metadata=None,
                   extratags=more)  # fmt: skip
        tiff.write(reduce(pixels, 4), photometric="rgb", description=name, metadata=None)
        for kind, picture, subfiletype in (("label", label, 1), ("macro", macro, 9)):
            described = f"{name}\r\n{kind} {picture.shape[1]}x{picture.shape[0]}"
            options = {"photometric": "rgb", "subfiletype": subfiletype, "metadata": None}
            tiff.write(picture, description=described, compression="lzw" if picture.size > 1e6 else None, **options)
    return path
