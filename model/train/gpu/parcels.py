"""python -m model.train.gpu.parcels DIR OUT: packs train and valid into few small files, as JPEG.

Every patch is compressed as a JPEG of quality 75 with 4:2:0 chroma. That is lossy: a lossless patch loses detail, and
one that was a JPEG before is compressed a second time. So the figures on valid that a run reports are of compressed
patches; `python -m model.evidence.evaluate` measures chosen weights on the patches themselves. The header with its
tables is the same for all patches and stored once. With Huffman tables of its own (libjpeg's `optimize`) a patch would
take 2 % more bytes, since its header could not be shared.

A parcel is parcel-N.npz with `part` (N, number of parcels), `header` (bytes), `bodies` (bytes, one after the other),
`lengths`, `labels` and `split` (0 train, 1 valid) of its patches, in their order.
"""

import argparse
import io
import itertools
import math
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.train.pcam import BadData, Split
from model.train.plans import read_plan

QUALITY = 75
MOST_BYTES = 64 << 20
SPARE_BYTES = 1 << 16  # of a parcel: for the header, the names of its arrays, and one patch more than its share
SPLITS = ("train", "valid")
START_OF_SCAN = 0xDA
Pixels = NDArray[np.uint8]


def encode(pixels: Pixels) -> tuple[bytes, bytes]:
    """Header and body of the JPEG of a patch (H, W, 3). The body is the scan, which follows the header."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY, subsampling="4:2:0")
    jpeg, place = file.getvalue(), 2
    while True:
        marker, length = jpeg[place + 1], int.from_bytes(jpeg[place + 2 : place + 4], "big")
        place += 2 + length
        if marker == START_OF_SCAN:
            return jpeg[:place], jpeg[place:]


def decode(jpeg: bytes) -> Pixels:
    """The pixels of a JPEG, (H, W, 3). OpenCV takes half of Pillow's time.

    Raises:
        ValueError: it is no JPEG.
    """
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("OpenCV cannot decode it")
    return np.asarray(image[:, :, ::-1], np.uint8)


def write(out: Path, splits: dict[str, Split], most_bytes: int = MOST_BYTES) -> list[Path]:
    """Packs train and valid into as few parcels as `most_bytes` allows, of equal size. Returns their paths."""
    patches = itertools.chain.from_iterable(splits[name].patches for name in SPLITS)
    labels = np.concatenate([splits[name].labels for name in SPLITS])
    split = np.repeat(np.arange(len(SPLITS), dtype=np.uint8), [len(splits[name]) for name in SPLITS])
    with ThreadPoolExecutor() as pool:
        pairs = list(pool.map(encode, patches))
    (header,) = {header for header, _ in pairs}
    bodies = [body for _, body in pairs]
    ends = np.cumsum([len(body) + 4 for body in bodies])  # length, label and split take four bytes
    count = math.ceil(ends[-1] / (most_bytes - SPARE_BYTES))
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"parcel-{number}.npz" for number in range(1, count + 1)]
    numbers = np.minimum((ends - 1) * count // ends[-1], count - 1)
    for number, path in enumerate(paths):
        rows = np.flatnonzero(numbers == number)
        np.savez(
            path,
            part=np.array([number + 1, count]),
            header=np.frombuffer(header, np.uint8),
            bodies=np.frombuffer(b"".join(bodies[row] for row in rows), np.uint8),
            lengths=np.array([len(bodies[row]) for row in rows], np.uint16),
            labels=labels[rows],
            split=split[rows],
        )
    return paths


def read(directory: Path) -> dict[str, Split]:
    """Train and valid out of a folder's parcels, without slide groups and clusters.

    Raises:
        BadData: a parcel is missing, or a file is none.
    """
    paths = sorted(directory.glob("parcel-*.npz"), key=lambda path: (len(path.name), path.name))
    contents = [_load(path) for path in paths]
    numbers = [content["part"].tolist() for content in contents]
    if numbers != [[i + 1, len(paths)] for i in range(len(paths))]:
        raise BadData(f"{directory} holds {len(paths)} parcels of {numbers[0][1]}, or those of several sets")
    labels, split = (np.concatenate([content[name] for content in contents]) for name in ("labels", "split"))
    patches = np.concatenate([_decode_all(path, content) for path, content in zip(paths, contents, strict=True)])
    rows = {name: split == number for number, name in enumerate(SPLITS)}
    return {name: Split(patches[mine], labels[mine], np.full(int(mine.sum()), "")) for name, mine in rows.items()}


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path) as parcel:
            return {name: parcel[name] for name in ("part", "header", "bodies", "lengths", "labels", "split")}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise BadData(f"{path} is no parcel: {error}") from error


def _decode_all(path: Path, content: dict[str, NDArray[Any]]) -> Pixels:
    """The patches of a parcel, (N, 96, 96, 3)."""
    header, bodies = content["header"].tobytes(), content["bodies"].tobytes()
    ends = np.cumsum(content["lengths"], dtype=np.int64)
    jpegs = (header + bodies[end - n : end] for end, n in zip(ends, content["lengths"], strict=True))
    try:
        with ThreadPoolExecutor() as pool:
            return np.stack(list(pool.map(decode, jpegs)))
    except ValueError as error:
        raise BadData(f"{path} holds a patch that is no JPEG: {error}") from error


def main(arguments: list[str] | None = None) -> int:
    about = "Pack PCam's train and valid as JPEG, small enough to send."
    parser = argparse.ArgumentParser(prog="python -m model.train.gpu.parcels", description=about)
    parser.add_argument("directory", type=Path, help="folder with PCam's HDF5 files by the plan official")
    parser.add_argument("out", type=Path, help="folder of the parcels")
    parser.add_argument("--most-bytes", type=int, default=MOST_BYTES, help="of a parcel (default %(default)s)")
    options = parser.parse_args(arguments)
    try:
        if options.most_bytes < 1 << 20:
            raise BadData(f"--most-bytes is {options.most_bytes}: it must be at least 1 MiB")
        paths = write(options.out, read_plan(options.directory, "official"), options.most_bytes)
    except (FileNotFoundError, BadData) as error:
        print(f"Not packed: {error}.", file=sys.stderr)
        return 2
    for path in paths:
        print(f"{path}: {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
