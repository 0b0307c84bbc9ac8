"""What the compression of the judging pictures costs: figures of lossless patches, and of the same compressed."""

import io
from typing import Any

import numpy as np
from PIL import Image

from model.evidence.probes import logits_of
from model.inference.dense import Pixels
from model.inference.frozen import Frozen
from model.train.metrics import auc, bootstrap
from model.train.pcam import Split

QUALITY = 75  # with chroma at half the resolution (4:2:0), as the samples of PCam's official splits are stored


def compress(patches: Pixels) -> Pixels:
    """Patches (N, 96, 96, 3) uint8 as JPEGs of `QUALITY` give them back."""
    return np.stack([_compress(patch) for patch in patches])


def _compress(patch: Pixels) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(patch).save(buffer, "JPEG", quality=QUALITY, subsampling=2)
    return np.asarray(Image.open(buffer))


def loss_by_compression(network: Frozen, split: Split) -> dict[str, Any]:
    """The AUC of lossless patches, of the same compressed, and the paired difference with its interval."""
    lossless, compressed = (logits_of(network, some) for some in (split.patches, compress(split.patches)))
    both = np.stack([lossless, compressed], 1)  # (N, 2)
    units, kind = split.units()
    interval = bootstrap(
        split.labels, both, units, lambda y, x: {"loss": auc(y, x[:, 0]) - auc(y, x[:, 1])}, rounds=1000
    )["loss"]
    before, after = auc(split.labels, lossless), auc(split.labels, compressed)
    return {
        "lossless": before,
        "compressed": after,
        "loss": before - after,
        "loss_interval": interval,
        "interval_by": kind,
        "patches": len(split),
    }
