"""Pack the plan's patches small enough to be sent: python -m gpu.pack DATA OUT [--most-bytes N]

Every patch travels as a JPEG of quality 75 with 4:2:0 chroma, which is what the judging pictures are: pictures that are
that already keep their own coefficients, the others are compressed once. `jpegtran -arithmetic` (libjpeg-turbo) codes
the same coefficients in a fifth fewer bytes, and the header, which all share, is kept once. Both are exact: the pixels
that come out are the pixels of the JPEG that went in.

A parcel is an .npz of `header` (bytes), `bodies` (bytes, all of them, one after the other), `lengths`, `labels` and
`split` (0 train, 1 valid). The training patches are shuffled once (seed 0), so that the first n of them are a fair
sample; `rows` are their places in the plan's own order. The first parcel holds valid and as much of train as fits.
"""

import argparse
import csv
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath

import numpy as np
from PIL import Image

TRAIN = (
    "pcam_train_slides_known",
    "pcam_train_slides_unknown_1",
    "pcam_train_slides_unknown_2",
    "pcam_valid",
    "pcam_test",
    "pcam_official_train",
    "pcam_official_train_slides_of_named_sets",
    "pcam_more",
    "pcam_more_slides_of_named_sets",
)
VALID = ("pcam_official_valid",)
QUALITY = 75
MOST_BYTES = 58_000_000


def judged_alike(picture: bytes) -> bytes:
    """A picture as a JPEG of quality 75 with 4:2:0 chroma: itself where it is a JPEG of that kind already."""
    image = Image.open(io.BytesIO(picture))
    fresh = io.BytesIO()
    image.convert("RGB").save(fresh, "JPEG", quality=QUALITY, subsampling="4:2:0")
    same = image.format == "JPEG" and image.quantization == Image.open(fresh).quantization  # type: ignore[attr-defined]
    return picture if same else fresh.getvalue()


def coded_small(jpeg: bytes) -> tuple[bytes, bytes]:
    """Header and body of the same JPEG with arithmetic coding."""
    command = ["jpegtran", "-arithmetic", "-copy", "none"]
    coded = subprocess.run(command, input=jpeg, stdout=subprocess.PIPE, check=True).stdout
    place = 2
    while True:
        marker, length = coded[place + 1], int.from_bytes(coded[place + 2 : place + 4], "big")
        place += 2 + length
        if marker == 0xDA:  # start of scan: what follows is the body
            return coded[:place], coded[place:]


def pictures(data: Path, name: str, left_out: set[str]) -> Iterator[tuple[bytes, int]]:
    """(picture, label) of one set, in the order of its csv."""
    with (data / f"{name}.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["id"] not in left_out]
    with zipfile.ZipFile(data / f"{name}.zip") as archive:
        members = {PurePath(member).stem: member for member in archive.namelist()}
        for row in rows:
            yield archive.read(members[row["id"]]), int(row["label"])


def packed(data: Path, names: tuple[str, ...], left_out: set[str]) -> tuple[bytes, list[bytes], list[int]]:
    """The header that all share, the bodies and the labels.

    Raises:
        ValueError: some picture's header differs.
    """
    found = [row for name in names for row in pictures(data, name, left_out)]
    with ThreadPoolExecutor(2) as pool:
        coded = list(pool.map(lambda row: coded_small(judged_alike(row[0])), found, chunksize=64))
    headers = {header for header, _ in coded}
    if len(headers) != 1:
        raise ValueError(f"{len(headers)} kinds of JPEG header: the pictures differ in size, tables or sampling")
    return headers.pop(), [body for _, body in coded], [label for _, label in found]


def write(path: Path, header: bytes, rows: list[tuple[bytes, int, int, int]]) -> None:
    """A parcel of (body, label, split, row)."""
    bodies = [row[0] for row in rows]
    np.savez(
        path,
        header=np.frombuffer(header, np.uint8),
        bodies=np.frombuffer(b"".join(bodies), np.uint8),
        lengths=np.array([len(body) for body in bodies], np.uint16),
        labels=np.array([row[1] for row in rows], np.uint8),
        split=np.array([row[2] for row in rows], np.uint8),
        rows=np.array([row[3] for row in rows], np.uint16),
    )
    print(f"{path}: {len(rows)} patches, {path.stat().st_size / 1e6:.1f} MB", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--most-bytes", type=int, default=MOST_BYTES, help="of a parcel")
    parser.add_argument("--few", type=int, help="only that many patches of each split, to rehearse with")
    options = parser.parse_args()
    with (options.data / "pcam_leaks.csv").open(newline="") as file:
        leaks = {row["id"] for row in csv.DictReader(file)}
    header, bodies, labels = packed(options.data, VALID, set())
    first = [(body, label, 1, row) for row, (body, label) in enumerate(zip(bodies, labels, strict=True))]
    other, bodies, labels = packed(options.data, TRAIN, leaks)
    if other != header:
        raise ValueError("the headers of train and valid differ")
    order = np.random.default_rng(0).permutation(len(bodies))
    train = [(bodies[row], labels[row], 0, int(row)) for row in order]
    if options.few:
        first, train = first[:: max(1, 4 * len(first) // options.few)], train[: options.few]
    sizes = np.cumsum([len(row[0]) + 8 for row in first + train])
    fit = int(np.searchsorted(sizes, min(options.most_bytes, sizes[-1] // 2 if options.few else sizes[-1])))
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "parcel-1.npz", header, (first + train)[:fit])
    write(options.out / "parcel-2.npz", header, (first + train)[fit:])


if __name__ == "__main__":
    main()
