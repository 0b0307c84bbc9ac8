"""TIFFs of many kinds made on the spot: samples, alpha, planes, orientations, compressions, colour markers."""

import io
from functools import partial

import cv2
import imagecodecs
import numpy as np
import tifffile
from PIL import Image
from slides import reduce, tissue

TILE = 128
SIZE = (300, 420)
ON = {"tile": (TILE, TILE), "metadata": None, "resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}
PICTURE = cv2.blur(tissue(*SIZE, [(40, 60, 90), (170, 250, 100)]), (9, 9))  # smooth: JPEG changes it by little
ALPHA = np.full((*SIZE, 1), 255, np.uint8)
ALPHA[:, -150:] = 0
ALPHA[:100] = 128
RGBA = np.concatenate([PICTURE, ALPHA], 2)
ON_WHITE = (PICTURE * (ALPHA / 255) + 255 * (1 - ALPHA / 255)).round().astype(np.uint8)
GREY = PICTURE.mean(2).astype(np.uint8)


def write(path, pixels, **options):
    tifffile.imwrite(path, pixels, **{**ON, **options})


def premultiplied(path, **options):
    write(path, np.concatenate([(PICTURE * (ALPHA / 255)).round().astype(np.uint8), ALPHA], 2), **options)


def jpegs(path, pixels=PICTURE, tags=(), photometric="rgb", **options):
    """A TIFF of JPEG tiles as Pillow writes them, each a complete stream. `tags`: numbers to write over."""
    high, wide = (-side % TILE for side in pixels.shape[:2])
    padded = np.pad(pixels, ((0, high), (0, wide), (0, 0)), mode="edge")
    tiles = []
    for top in range(0, padded.shape[0], TILE):
        for left in range(0, padded.shape[1], TILE):
            buffer = io.BytesIO()
            tile = np.ascontiguousarray(padded[top : top + TILE, left : left + TILE])
            if tile.shape[2] == 4:
                tiles.append(imagecodecs.jpeg8_encode(tile, level=95, colorspace="CMYK", outcolorspace="CMYK"))
                continue
            Image.fromarray(tile).save(buffer, "JPEG", quality=95, **{"subsampling": 0, **options})
            tiles.append(buffer.getvalue())
    kind = {"extrasamples": ["unassalpha"]} if pixels.shape[2] == 4 else {}
    tifffile.imwrite(path, iter(tiles), shape=pixels.shape, dtype=np.uint8, photometric=photometric,
                     compression="jpeg", **ON, **kind)  # fmt: skip
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for number, value in dict(tags).items():
            tiff.pages[0].tags[number].overwrite(value)


def four_bands(path):
    """JPEGs of four components in a TIFF labelled RGB with alpha, as GDAL and libvips write them."""
    jpegs(path, RGBA, {262: 2, 530: (1, 1)})


def pyramid(path, pictures, **options):
    with tifffile.TiffWriter(path) as out:
        for number, pixels in enumerate(pictures):
            kind = {"photometric": "rgb" if pixels.ndim == 3 else "minisblack", "compression": "zlib"}
            out.write(pixels, subfiletype=1 if number else 0, **{**ON, **kind, **options})


DEFLATED = {"photometric": "rgb", "compression": "zlib"}
PALETTE = np.stack([np.arange(256), 255 - np.arange(256), np.full(256, 128)]).astype(np.uint16) * 257
RIGHT = {  # name: (write to a path, the picture that it stands for)
    **{f"jpeg-{name}": (partial(write, pixels=PICTURE, photometric="rgb", compression="jpeg",
                                compressionargs={"level": 95}, **options), PICTURE)
       for name, options in {
           "4:4:4": {"subsampling": (1, 1)}, "4:2:2": {"subsampling": (2, 1)}, "4:2:0": {"subsampling": (2, 2)},
           "bigtiff": {"bigtiff": True}, "big-endian": {"bigtiff": True, "byteorder": ">"},
       }.items()},
    "jpeg-rgb": (partial(write, pixels=PICTURE, photometric="rgb", compression="jpeg",
                         compressionargs={"level": 95, "outcolorspace": "rgb"}), PICTURE),
    "jpeg-progressive": (partial(jpegs, progressive=True), PICTURE),
    "jpeg-planes": (partial(write, pixels=np.moveaxis(PICTURE, 2, 0), photometric="rgb", planarconfig="separate",
                            compression="jpeg", compressionargs={"level": 95}), PICTURE),
    "jpeg-four-bands": (four_bands, ON_WHITE),
    **{name: (partial(write, pixels=PICTURE, photometric="rgb", compression=name), PICTURE)
       for name in ("zlib", "lzw", "zstd", "packbits", None)},
    "predictor": (partial(write, pixels=PICTURE, predictor=True, **DEFLATED), PICTURE),
    "planes": (partial(write, pixels=np.moveaxis(PICTURE, 2, 0), planarconfig="separate", **DEFLATED), PICTURE),
    "sixteen bits": (partial(write, pixels=PICTURE.astype(np.uint16) * 257, **DEFLATED), PICTURE),
    "alpha": (partial(write, pixels=RGBA, extrasamples=["unassalpha"], **DEFLATED), ON_WHITE),
    "alpha, 16 bits": (partial(write, pixels=RGBA.astype(np.uint16) * 257, extrasamples=["unassalpha"], **DEFLATED),
                       ON_WHITE),
    "alpha in planes": (partial(write, pixels=np.moveaxis(RGBA, 2, 0), planarconfig="separate",
                                extrasamples=["unassalpha"], **DEFLATED), ON_WHITE),
    "planes of 16 bits": (partial(write, pixels=np.moveaxis(PICTURE, 2, 0).astype(np.uint16) * 257,
                                  planarconfig="separate", **DEFLATED), PICTURE),
    "alpha in planes of 16 bits": (partial(write, pixels=np.moveaxis(RGBA, 2, 0).astype(np.uint16) * 257,
                                           planarconfig="separate", extrasamples=["unassalpha"], **DEFLATED), ON_WHITE),
    "premultiplied": (partial(premultiplied, extrasamples=["assocalpha"], **DEFLATED), ON_WHITE),
    "palette": (partial(write, pixels=GREY, photometric="palette", colormap=PALETTE, compression="zlib"),
                (PALETTE.T >> 8)[GREY].astype(np.uint8)),
    "pyramid": (partial(pyramid, pictures=[PICTURE, reduce(PICTURE, 2)]), PICTURE),
}  # fmt: skip
VIEWED = {  # one channel: shown grey, not analysed
    "grey": (partial(write, pixels=GREY, photometric="minisblack", compression="jpeg"), GREY),
    "white is zero": (partial(write, pixels=255 - GREY, photometric="miniswhite", compression="zlib"), GREY),
    "grey, 16 bits": (partial(write, pixels=GREY[:, :384].astype(np.uint16) * 257, photometric="minisblack",
                              compression="zlib"), GREY[:, :384]),
    "fluorescence": (partial(write, pixels=np.stack([GREY // 8, GREY // 12, GREY // 16]), photometric="minisblack",
                             compression="zlib"), GREY // 8),
    "five channels": (partial(write, pixels=np.stack([GREY // n for n in (6, 7, 8, 9, 10)]), photometric="minisblack",
                              compression="zlib"), GREY // 6),
}  # fmt: skip
FLOAT = (PICTURE / 255).astype(np.float32)
UNSUPPORTED = {  # name: (write to a path, what the reason names)
    **{f"orientation {value}": (partial(write, pixels=PICTURE, extratags=[(274, "H", 1, value, True)],
                                        photometric="rgb", compression=compression), f"Orientation {value}")
       for value, compression in zip(range(2, 9), ("jpeg", "zlib", "jpeg", "lzw", "jpeg", None, "zlib"), strict=True)},
    "a level of another orientation": (lambda path: level_turned(path), "Orientation 3"),
    "grey planes": (partial(write, pixels=np.moveaxis(PICTURE, 2, 0), photometric="minisblack", compression="zlib"),
                    "3 grey planes"),
    "grey samples": (partial(write, pixels=PICTURE, photometric="minisblack", planarconfig="contig",
                             compression="zlib"), "SamplesPerPixel 3"),
    "grey, alpha": (partial(write, pixels=RGBA[..., 2:], photometric="minisblack", planarconfig="contig",
                            extrasamples=["unassalpha"], compression="zlib"), "SamplesPerPixel 2"),
    "five samples": (partial(write, pixels=np.concatenate([RGBA, RGBA[..., :1]], 2),
                             extrasamples=["unassalpha", "unspecified"], **DEFLATED), "SamplesPerPixel 5"),
    "unspecified sample": (partial(write, pixels=RGBA, extrasamples=["unspecified"], **DEFLATED), "ExtraSamples 0"),
    "cmyk": (partial(write, pixels=RGBA, photometric="separated", compression="zlib"), "5 (CMYK)"),
    "cielab": (partial(write, pixels=PICTURE, photometric="cielab", compression="zlib"), "8 (CIELab)"),
    "grey, 16 bits, cut": (partial(write, pixels=GREY.astype(np.uint16) * 257, photometric="minisblack",
                                   compression="zlib"), "BitsPerSample 16"),
    "signed": (partial(write, pixels=PICTURE.astype(np.int16) * 100, **DEFLATED), "SampleFormat 2"),
    "floats": (partial(write, pixels=FLOAT, **DEFLATED), "SampleFormat 3"),
    "half floats": (partial(write, pixels=FLOAT.astype(np.float16), **DEFLATED), "SampleFormat 3"),
    "32 bits": (partial(write, pixels=PICTURE.astype(np.uint32), **DEFLATED), "BitsPerSample 32"),
    "12 bits": (partial(write, pixels=PICTURE.astype(np.uint16) * 16, photometric="rgb", compression="jpeg",
                        bitspersample=12), "BitsPerSample 12"),
    "bilevel": (partial(write, pixels=GREY > 200, photometric="minisblack", compression="zlib"), "BitsPerSample 1"),
    "focal planes": (partial(write, pixels=np.stack([PICTURE, PICTURE[::-1]]), photometric="rgb", compression="jpeg"),
                     "2 pictures of full size"),
    "mixed levels": (partial(pyramid, pictures=[PICTURE, reduce(PICTURE, 2)[..., 1]]), "directory 1"),
    "strips": (lambda path: tifffile.imwrite(path, PICTURE, rowsperstrip=16, **DEFLATED), "strips"),
    **{name: (partial(write, pixels=PICTURE, photometric="rgb", compression=name), f"compression {word}")
       for name, word in {"webp": "WebP", "jpegxl": "JPEG XL", "jpeg2000": "JPEG 2000", "lzma": "LZMA",
                          "lerc": "LERC", "png": "PNG", "jpegxr": "JPEG XR"}.items()},
}  # fmt: skip


def level_turned(path):
    with tifffile.TiffWriter(path) as out:
        out.write(PICTURE, **ON, **DEFLATED)
        out.write(reduce(PICTURE, 2), subfiletype=1, extratags=[(274, "H", 1, 3, True)], **ON, **DEFLATED)
