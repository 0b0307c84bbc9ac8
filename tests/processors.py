"""What the processor of the tests can compute."""

import openvino

OPENVINO_HAS_BFLOAT16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
