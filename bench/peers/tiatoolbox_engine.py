"""TIAToolbox's patch predictor with our trained network wrapped for it. tiatoolbox_engine.py SLIDE FOLDER

Prints the cells and seconds of a run, its tissue mask included and imports excluded.
"""

import json
import sys
import time
from pathlib import Path

import torch
import zarr

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tiatoolbox.models.engine.io_config import IOPatchPredictorConfig
from tiatoolbox.models.engine.patch_predictor import PatchPredictor
from tiatoolbox.models.models_abc import ModelABC

from model.networks.densenet import PATCH_PX, STRIDE_PX
from model.weights.checkpoint import load_network


class Wrapped(ModelABC):
    """Two columns, as the engine expects classes."""

    def __init__(self):
        super().__init__()
        self.network, _ = load_network()

    def forward(self, images):
        logits = self.network(images).flatten(1)[:, :1]
        return torch.softmax(torch.cat([torch.zeros_like(logits), logits], 1), 1)

    @staticmethod
    def infer_batch(model, batch_data, *, device):
        with torch.inference_mode():
            images = batch_data.to(device).permute(0, 3, 1, 2).float()
            return model(images).cpu().numpy()

    @staticmethod
    def preproc(image):
        return image

    @staticmethod
    def postproc(image):
        return image


torch.set_num_threads(1)
resolution = [{"units": "mpp", "resolution": 1.0}]  # the slide's second level
settings = IOPatchPredictorConfig(
    input_resolutions=resolution, patch_input_shape=[PATCH_PX] * 2, stride_shape=[STRIDE_PX] * 2
)
predictor = PatchPredictor(model=Wrapped(), batch_size=32, num_workers=0, device="cpu", verbose=False)
began = time.perf_counter()
outputs = predictor.run(
    images=[sys.argv[1]], patch_mode=False, ioconfig=settings, auto_get_mask=True, overwrite=True,
    save_dir=Path(sys.argv[2]), output_type="zarr", device="cpu",
)  # fmt: skip
seconds = time.perf_counter() - began
cells = zarr.open(str(next(iter(outputs.values()))), mode="r")["coordinates"].shape[0]
print(json.dumps({"cells": int(cells), "seconds": seconds}))
