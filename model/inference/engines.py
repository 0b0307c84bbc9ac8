"""Engines: torch or OpenVINO, in float32 or bfloat16.

Torch in float32 is the reference that golden outputs were computed with. Any other engine is compared with it before it
serves (`model.checks.drift`), and the largest difference is part of an analysis' provenance. A family that has no
OpenVINO graph is computed by torch, whichever backend is set.
"""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import torch

from model.families.family import Family
from model.groups.batch_norm import GroupBatchNorm2d
from model.inference.detector import Detector, Precision
from model.inference.frozen import Folded, Frozen
from model.weights.card import WeightsRefused

Backend = Literal["torch", "openvino"]
NOT_INSTALLED = "OpenVINO is not installed: pip install -e '.[openvino]', or choose torch"


@dataclass(frozen=True)
class Engine:
    """A backend, its precision, and its number of CPU threads."""

    backend: Backend = "torch"
    precision: Precision = "float32"
    threads: int = 1

    def describe(self, family: Family) -> dict[str, Any]:
        """Everything but its weights that a network's output bits depend on, for the fingerprint.

        Raises:
            WeightsRefused: the backend is OpenVINO, which is not installed.
        """
        cuda, openvino = self.device(family) == "cuda", self._openvino(family)
        return {
            "backend": "openvino-cpu" if openvino else "torch-cuda" if cuda else "torch-cpu",
            "device": torch.cuda.get_device_name() if cuda else torch.backends.cpu.get_cpu_capability(),
            "precision": self.precision,
            "torch": torch.__version__,
            "openvino": _openvino_version() if openvino else None,
            "threads": self.threads,
        }

    def device(self, family: Family) -> str:
        """ "cuda" or "cpu": where a network of this family is computed."""
        return "cuda" if torch.cuda.is_available() and not self._openvino(family) else "cpu"

    def prepare(self, frozen: Frozen) -> Detector:
        """The detector that answers for a frozen network, which is in float32, on its device, and stays unchanged.

        Raises:
            WeightsRefused: the backend is OpenVINO, which is not installed or lacks this precision on this processor.
        """
        if isinstance(frozen, Folded) and self.backend == "openvino":
            return _on_openvino(frozen, self.precision, self.threads)
        return frozen if self.precision == "float32" else frozen.in_bfloat16()

    def _openvino(self, family: Family) -> bool:
        """Whether OpenVINO computes a network of this family: where its norms are affine, so that it can be folded."""
        return self.backend == "openvino" and isinstance(family.norm(1), GroupBatchNorm2d)


def _openvino_version() -> str:
    try:
        return version("openvino")
    except PackageNotFoundError as error:
        raise WeightsRefused(NOT_INSTALLED) from error


def _on_openvino(frozen: Folded, precision: Precision, threads: int) -> Detector:
    try:
        from model.inference.openvino_graph import OnOpenVino
    except ModuleNotFoundError as error:
        raise WeightsRefused(NOT_INSTALLED) from error
    return OnOpenVino(frozen, precision, threads)
