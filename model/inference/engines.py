"""What computes a detector: torch or OpenVINO, in float32 or bfloat16; held against torch's float32 before it serves.

Torch in float32 is the reference: golden outputs are its, and where anything else computes, the largest difference seen
from it is known and told. A network of a family that OpenVINO has no graph of is torch's, whatever was asked for.
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
    """What computes, on how many threads."""

    backend: Backend = "torch"
    precision: Precision = "float32"
    threads: int = 1

    def describe(self, family: Family) -> dict[str, Any]:
        """All that the bits of a network of this family depend on, beside its weights.

        Raises:
            WeightsRefused: OpenVINO was asked for and is not installed.
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
        """Where a network of this family computes."""
        return "cuda" if torch.cuda.is_available() and not self._openvino(family) else "cpu"

    def prepare(self, frozen: Frozen) -> Detector:
        """The detector that answers. `frozen`: float32, on its device; it is left as it is.

        Raises:
            WeightsRefused: OpenVINO was asked for and is not installed.
        """
        if isinstance(frozen, Folded) and self.backend == "openvino":
            return _on_openvino(frozen, self.precision, self.threads)
        return frozen if self.precision == "float32" else frozen.in_bfloat16()

    def _openvino(self, family: Family) -> bool:
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
