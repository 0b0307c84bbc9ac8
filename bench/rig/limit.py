"""A core's limit for float32: the fastest matrix product of the libraries at hand."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from bench.page.tables import least_seconds

SIDE = 1024


def gemm_gflops(rounds: int) -> dict[str, float]:
    """GFLOP/s of a square product on one thread, by library.

    torch alone would be no limit: its MKL leaves half of the vector unit idle on processors that are not Intel's.
    """
    a, b = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    products: dict[str, Callable[[], object]] = {"torch": lambda: a @ b}
    if other := _openvino(a.numpy(), b.numpy()):
        products["OpenVINO"] = other
    return {name: 2 * SIDE**3 / least_seconds(product, rounds) / 1e9 for name, product in products.items()}


def _openvino(a: NDArray[np.float32], b: NDArray[np.float32]) -> Callable[[], object] | None:
    try:
        import openvino
        from openvino import opset13 as ops
    except ModuleNotFoundError:
        return None
    left, right = (ops.parameter(list(one.shape), np.float32) for one in (a, b))
    graph = openvino.Model([ops.result(ops.matmul(left, right, False, False))], [left, right], "product")
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
    request = openvino.Core().compile_model(graph, "CPU", settings).create_infer_request()
    request.infer([a, b])
    assert np.allclose(request.get_output_tensor(0).data, a @ b, atol=1e-2), "a fast wrong product is no limit"
    return lambda: request.infer([a, b], share_inputs=True)
