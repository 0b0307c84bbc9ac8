"""Other tissue."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from model.checks import familiarity_file
from model.inference.frozen import Frozen
from model.train.corruptions import PATCH_PX, Patches
from model.train.familiarity import described, errors, told_apart
from model.train.pcam import Split
from model.weights.card import Card

LEAST_SATURATION = 13


def patches_of(picture: Path, mpp: float, wanted_mpp: float) -> Patches:
    """A picture at `mpp` µm per pixel, averaged to another scale and cut into the patches that are mostly tissue.

    Tissue is what has colour: HSV saturation of 13 of 255 or more, in half of the patch's pixels.
    """
    with Image.open(picture) as image:
        scale = mpp / wanted_mpp
        size = (round(image.width * scale), round(image.height * scale))
        pixels = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX))
    rows, cols = pixels.shape[0] // PATCH_PX, pixels.shape[1] // PATCH_PX
    cut = pixels[: rows * PATCH_PX, : cols * PATCH_PX].reshape(rows, PATCH_PX, cols, PATCH_PX, 3)
    patches = cut.swapaxes(1, 2).reshape(-1, PATCH_PX, PATCH_PX, 3)
    coloured = np.array(
        [(cv2.cvtColor(patch, cv2.COLOR_RGB2HSV)[..., 1] >= LEAST_SATURATION).mean() for patch in patches]
    )
    return patches[coloured >= 0.5]


def other_tissue(picture: Path, mpp: float, frozen: Frozen, card: Card, test: Split) -> dict[str, Any]:
    """How the patches of a picture of other tissue are told from test's, and how many are unfamiliar."""
    known = familiarity_file.read(familiarity_file.path_of(card.name), card.digest)
    patches = patches_of(picture, mpp, card.scope["mpp"])
    seen, usual = (described(known.autoencoder, frozen, some) for some in (patches, test.patches))
    error, usual_error = (errors(known.autoencoder, some) for some in (patches, test.patches))
    return {
        "picture": picture.name,
        "patches": len(patches),
        "auc": told_apart(known.density.strangeness(seen), known.density.strangeness(usual)),
        "auc_one_sided": told_apart(known.density.distance(seen), known.density.distance(usual)),
        "auc_raw_error": told_apart(error, usual_error),
        "over_threshold": float((known.density.strangeness(seen) > known.threshold).mean()),
    }
