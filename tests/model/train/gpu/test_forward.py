"""The fused forward pass gives the values, gradients and statistics of the network itself."""

import pytest
import torch
from pcam_files import smooth_patches

from model.networks.densenet import DenseNet, DenseNetConfig
from model.networks.registry import get_system
from model.train.gpu.augmentation import Augmentation
from model.train.gpu.forward import forward_of, norms_in_order, statistics_of

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))]


@pytest.fixture(autouse=True)
def float32_is_float32(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def network_of(family, device):
    torch.manual_seed(0)
    network = DenseNet(DenseNetConfig(family, n0=16, growth=12)).to(device)
    for norm in norms_in_order(network):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.uniform_(norm.bias, -0.5, 0.5)
    return network


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("family", ["z2", "p4", "p4m", "steerable", "steerable-d8"])
def test_the_fused_forward_pass_is_the_network(family, device):
    network, patches = network_of(family, device), torch.from_numpy(smooth_patches(6)).to(device)
    forward = forward_of(network.config, torch.device(device), torch.float32)
    images = Augmentation(torch.float32).to(device).unchanged(patches)
    for norm in norms_in_order(network):
        norm.momentum = 1.0
    parameters = dict(network.train().named_parameters())
    fused, statistics = forward(parameters, images, None)
    plain = network(patches.permute(0, 3, 1, 2).float())[:, 0, 0]
    torch.testing.assert_close(fused, plain, rtol=1e-3, atol=1e-3)
    gradients = [torch.autograd.grad(x.square().sum(), list(parameters.values())) for x in (fused, plain)]
    for mine, theirs in zip(*gradients, strict=True):
        assert (mine - theirs).norm() <= 2e-3 * theirs.norm() + 1e-5
    for (mean, var), norm in zip(statistics, norms_in_order(network), strict=True):
        torch.testing.assert_close(mean, norm.running_mean, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(var, norm.running_var, rtol=5e-2, atol=1e-3)  # theirs is over n − 1
    with torch.no_grad():
        fused = forward(parameters, images, statistics_of(network))[0]
        plain = network.eval()(patches.permute(0, 3, 1, 2).float())[:, 0, 0]
    torch.testing.assert_close(fused, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("system", ["harmonic", "ti-pooling", "z2-eight-views"])
def test_a_network_of_another_form_is_refused(system):
    with pytest.raises(ValueError, match="have no fused form"):
        forward_of(get_system(system).config, torch.device("cpu"), torch.float32)
