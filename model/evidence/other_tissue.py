"""Other tissue: a picture cut into patches, and how well familiarity separates them from PCam's test patches."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from model.checks import familiarity_file
from model.inference.frozen import Frozen
from model.train.corruptions import PATCH_PX, Patches
from model.train.familiarity import describe_patches, reconstruction_errors, separation
from model.train.pcam import Split
from model.weights.card import Card

LEAST_SATURATION = 13  # of 255: below it a pixel is glass


def tissue_patches(picture: Path, mpp: float, target_mpp: float) -> Patches:
    """The patches of a picture that are mostly tissue, (N, 96, 96, 3) uint8 at `target_mpp`.

    The picture at `mpp` µm per pixel is area-averaged to the target. Tissue is what has colour: HSV saturation of 13 of
    255 or more, in half of the patch's pixels.
    """
    with Image.open(picture) as image:
        scale = mpp / target_mpp
        size = (round(image.width * scale), round(image.height * scale))
        pixels = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX))
    rows, cols = pixels.shape[0] // PATCH_PX, pixels.shape[1] // PATCH_PX
    cut = pixels[: rows * PATCH_PX, : cols * PATCH_PX].reshape(rows, PATCH_PX, cols, PATCH_PX, 3)
    patches = cut.swapaxes(1, 2).reshape(-1, PATCH_PX, PATCH_PX, 3)
    saturations = (cv2.cvtColor(patch, cv2.COLOR_RGB2HSV)[..., 1] for patch in patches)
    coloured = np.array([(saturation >= LEAST_SATURATION).mean() for saturation in saturations])
    return patches[coloured >= 0.5]


def other_tissue(picture: Path, mpp: float, frozen: Frozen, card: Card, test: Split) -> dict[str, Any]:
    """How well the patches of other tissue are separated from test's, and the share that is unfamiliar.

    Raises:
        WeightsRefused: the network has no familiarity, or one of another detector.
    """
    familiarity = familiarity_file.read(familiarity_file.path_of(card.name), card.digest)
    autoencoder, density = familiarity.autoencoder, familiarity.density
    patches = tissue_patches(picture, mpp, card.scope["mpp"])
    unusual, usual = (describe_patches(autoencoder, frozen, some) for some in (patches, test.patches))
    error, usual_error = (reconstruction_errors(autoencoder, some) for some in (patches, test.patches))
    return {
        "picture": picture.name,
        "patches": len(patches),
        "auc": separation(density.strangeness(unusual), density.strangeness(usual)),
        "auc_one_sided": separation(density.distance(unusual), density.distance(usual)),
        "auc_raw_error": separation(error, usual_error),
        "over_threshold": float((density.strangeness(unusual) > familiarity.threshold).mean()),
    }
