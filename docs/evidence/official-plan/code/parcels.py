"""Parcels of `gpu.pack`, back as pixels in a device's memory."""

import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor


@dataclass(frozen=True)
class Patches:
    """(N, 96, 96, 3) uint8 RGB and (N,) float labels, on a device."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Patches":
        return Patches(self.pixels[:count], self.labels[:count])


def joined(first: Patches, second: Patches) -> Patches:
    """Both, one after the other."""
    return Patches(torch.cat([first.pixels, second.pixels]), torch.cat([first.labels, second.labels]))


def decoded(picture: bytes) -> np.ndarray:
    """RGB pixels of a JPEG, also where OpenCV was built without arithmetic decoding."""
    found = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    if found is None:
        return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    return found[:, :, ::-1]


def read(paths: Iterable[Path], split: int, device: torch.device, threads: int = 16) -> Patches:
    """The patches of one split (0 train, 1 valid), in the parcels' order."""
    pixels, labels = [], []
    for path in paths:
        with np.load(path) as parcel:
            header, bodies = parcel["header"].tobytes(), parcel["bodies"].tobytes()
            ends = np.cumsum(parcel["lengths"].astype(np.int64))
            mine = parcel["split"] == split
            wanted = np.flatnonzero(mine)
            labels.append(parcel["labels"][mine])

        def one(i: int, header: bytes = header, bodies: bytes = bodies, ends: np.ndarray = ends) -> np.ndarray:
            return decoded(header + bodies[ends[i - 1] if i else 0 : ends[i]])

        with ThreadPoolExecutor(threads) as pool:
            pixels += list(pool.map(one, wanted, chunksize=64))
    together = torch.from_numpy(np.stack(pixels)), torch.from_numpy(np.concatenate(labels)).float()
    return Patches(*(part.to(device) for part in together))
