"""Files in PCam's layout, with patches like tissue and labels that follow from the colour."""

from pathlib import Path

import h5py
import numpy as np
from PIL import Image


def smooth_patches(count, seed=0):
    """Patches (N, 96, 96, 3) uint8 without noise, as JPEG expects them."""
    rng = np.random.default_rng(seed)
    small = rng.integers(60, 250, (count, 12, 12, 3), dtype=np.uint8)
    large = [np.asarray(Image.fromarray(p).resize((96, 96), Image.Resampling.BICUBIC)) for p in small]
    return np.stack(large)


def write_pcam(folder, counts, clusters=None):
    """The three splits of PCam. `clusters`: the overlap cluster of the first patch of a split, by the split's name."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (split, count) in enumerate(counts.items()):
        labels, patches = np.arange(count, dtype=np.uint8) % 2, smooth_patches(count, number).copy()
        patches[labels == 1, 32:64, 32:64] //= 2
        stem = f"{folder}/camelyonpatch_level_2_split_{split}"
        with h5py.File(f"{stem}_x.h5", "w") as file:
            file["x"] = patches
        with h5py.File(f"{stem}_y.h5", "w") as file:
            file["y"] = labels.reshape(-1, 1, 1, 1)
        names = [(clusters or {}).get(split, "") if i == 0 else "" for i in range(count)]
        rows = [f"{split}{i},,{name}" for i, name in enumerate(names)]
        Path(f"{stem}_meta.csv").write_text("\n".join(["id,slide_group,overlap_cluster", *rows]) + "\n")
    return folder
