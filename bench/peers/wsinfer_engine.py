"""WSInfer's engine with our trained network as its TorchScript model. wsinfer_engine.py SLIDE FOLDER

Prints the cells and seconds of a run, its tissue mask included and imports excluded. Its command first downloads a list
of models, so its functions are called instead.
"""

import contextlib
import json
import os
import shutil
import sys
import time
from pathlib import Path

os.environ["WSINFER_FORCE_CPU"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from wsinfer.modellib.models import LocalModelTorchScript
from wsinfer.modellib.run_inference import run_inference
from wsinfer.patchlib import segment_and_patch_one_slide
from wsinfer_zoo.client import ModelConfiguration, TransformConfigurationItem

from model.networks.densenet import PATCH_PX, STRIDE_PX
from model.weights.checkpoint import load_network

MPP = 1.0  # the slide's second level


class Wrapped(torch.nn.Module):
    """WSInfer passes 0..1 and expects one column."""

    def __init__(self):
        super().__init__()
        self.network, _ = load_network()

    def forward(self, images):
        return self.network(255 * images).flatten(1)[:, :1]


slide, folder = Path(sys.argv[1]), Path(sys.argv[2])
slides, results = folder / "slides", folder / "results"
slides.mkdir(parents=True)
results.mkdir()
shutil.copy(slide, slides)
torch.set_num_threads(1)
example = torch.rand(2, 3, PATCH_PX, PATCH_PX)
torch.jit.trace(Wrapped().eval(), example).save(str(folder / "model.pt"))
steps = [TransformConfigurationItem("Resize", {"size": PATCH_PX}), TransformConfigurationItem("ToTensor", None)]
settings = ModelConfiguration("p4m", 1, ["tumour"], PATCH_PX, MPP, steps)
with contextlib.redirect_stdout(sys.stderr):
    began = time.perf_counter()
    overlap = 1 - STRIDE_PX / PATCH_PX
    segment_and_patch_one_slide(slides / slide.name, results, PATCH_PX, MPP, overlap=overlap)
    local_model = LocalModelTorchScript(settings, str(folder / "model.pt"))
    run_inference(slides, results, local_model, batch_size=32, num_workers=0)
    seconds = time.perf_counter() - began
rows = (results / "model-outputs-csv" / slide.with_suffix(".csv").name).read_text().splitlines()
print(json.dumps({"cells": len(rows) - 1, "seconds": seconds}))
