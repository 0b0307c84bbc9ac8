"""Every engine equals torch in float32 up to its precision's rounding, or does not serve."""

import dataclasses

import numpy as np
import pytest
import torch
from processors import OPENVINO_HAS_BFLOAT16

from model.checks import drift, rotation_check
from model.families.family import get_family
from model.inference import openvino_graph
from model.inference.dense import infer
from model.inference.engines import Engine
from model.inference.frozen import freeze
from model.networks.densenet import DenseNet, DenseNetConfig
from model.weights.card import WeightsRefused
from model.weights.checkpoint import load_network

NEEDS_BFLOAT16 = pytest.mark.skipif(not OPENVINO_HAS_BFLOAT16, reason="OpenVINO has no bfloat16 on this processor")


def frozen(family="p4m", **fields):
    """A small network with non-trivial norms."""
    torch.manual_seed(0)
    network = DenseNet(DenseNetConfig(family, n0=16, growth=12, **fields))
    rng = torch.Generator().manual_seed(1)
    for _ in range(3):
        network(255 * torch.rand(4, 3, 96, 96, generator=rng))
    return freeze(network.eval())


def regions(count, height, width):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("family", ["p4m", "p4", "z2"])
@pytest.mark.parametrize("size", [(1, 96, 96), (3, 112, 176), (1, 256, 96)])
def test_openvino_equals_torch(family, size):
    reference = frozen(family)
    detector = Engine("openvino").prepare(reference)
    logits = infer(detector, regions(*size))
    np.testing.assert_allclose(logits, infer(reference, regions(*size)), rtol=0, atol=2e-4)
    np.testing.assert_array_equal(logits, infer(detector, regions(*size)), "and the same bits again")


def test_openvino_pools_views_like_torch():
    reference = frozen("z2", views="max")
    detector = Engine("openvino").prepare(reference)
    np.testing.assert_allclose(infer(detector, regions(2, 96, 112)), infer(reference, regions(2, 96, 112)), atol=2e-4)


def test_the_shipped_network_on_openvino_is_still_exact():
    reference = freeze(load_network()[0])
    detector = Engine("openvino").prepare(reference)
    assert drift.check(detector, reference, "float32") < 1e-4
    region = regions(1, 176, 240)[0]
    assert rotation_check.residual(detector, region, list(range(8))) < rotation_check.TOLERANCE / 10


def test_openvino_refuses_a_precision_that_this_processor_lacks(monkeypatch):
    """OpenVINO would compute in float32 and say nothing, and results would name bfloat16."""
    monkeypatch.setitem(openvino_graph.HINTS, "bfloat16", "f32")  # what it falls back to
    with pytest.raises(WeightsRefused, match="does not compute in bfloat16 on this processor: choose float32"):
        Engine("openvino", "bfloat16").prepare(frozen())


@pytest.mark.parametrize("backend", ["torch", pytest.param("openvino", marks=NEEDS_BFLOAT16)])
def test_bfloat16_drift_is_measured(backend):
    reference = freeze(load_network()[0])
    detector = Engine(backend, "bfloat16").prepare(reference)
    worst = drift.check(detector, reference, "bfloat16")
    assert drift.TOLERANCE["float32"] < worst < drift.TOLERANCE["bfloat16"], "the drift exceeds that of float32"
    assert next(reference.buffers()).dtype == torch.float32, "the reference stays as it was"
    with pytest.raises(WeightsRefused, match="choose torch"):
        drift.check(detector, reference, "float32")


def test_golden_outputs_of_another_network_are_rejected():
    with pytest.raises(WeightsRefused, match="logits off"):
        drift.check(frozen("p4"), frozen("p4m"), "float32")


def test_nan_outputs_are_refused():
    broken = frozen()
    broken.classifier.bias.fill_(float("nan"))
    with pytest.raises(WeightsRefused, match="inf logits off"):
        drift.check(broken, frozen(), "bfloat16")


def test_family_without_openvino_graph_uses_torch():
    reference = frozen("harmonic")
    assert Engine("openvino").prepare(reference) is reference
    assert Engine("openvino").describe(get_family("harmonic"))["backend"] == "torch-cpu"
    description = Engine("openvino", "bfloat16", 2).describe(get_family("p4m"))
    assert (description["backend"], description["precision"], description["threads"]) == ("openvino-cpu", "bfloat16", 2)
    assert description["openvino"]


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Engine)])
def test_the_description_names_every_choice(field):
    other = {"backend": "openvino", "precision": "bfloat16", "threads": 7}[field]
    plain, changed = Engine(), dataclasses.replace(Engine(), **{field: other})
    assert plain.describe(get_family("p4m")) != changed.describe(get_family("p4m"))


@pytest.mark.parametrize("family", ["p4m", "p4", "z2"])
def test_a_graph_is_named_for_its_own_network(family):
    from model.inference.openvino_graph import graph_of

    assert graph_of(frozen(family)).get_friendly_name() == f"{family}-densenet"
