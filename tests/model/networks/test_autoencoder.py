"""The autoencoder's laws in float64: latents move on the group, pictures and maps of descriptions as pictures."""

import numpy as np
import pytest
import torch

from model.groups.action import turn
from model.networks.autoencoder import FAMILY, Autoencoder

CLOSE = {"rtol": 0, "atol": 1e-9}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = Autoencoder((2, 3, 3, 4)).double()
    for module in network.modules():
        if hasattr(module, "running_var"):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 2.0)
    return network.eval()


def picture(height, width, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (1, 3, height, width)).astype(np.float64))


@torch.no_grad()
def test_it_is_equivariant_in_all_its_parts(network):
    x = picture(96, 128)
    for u, element in enumerate(FAMILY.group.elements):
        turned = turn(x, element)
        torch.testing.assert_close(network.latents(turned), FAMILY.act(network.latents(x), u), **CLOSE)
        torch.testing.assert_close(network(turned), turn(network(x), element), **CLOSE)
        torch.testing.assert_close(network.describe(turned), turn(network.describe(x), element), **CLOSE)
        torch.testing.assert_close(network.error(turned), turn(network.error(x), element), **CLOSE)


@torch.no_grad()
def test_a_cells_description_is_its_patchs(network):
    """The way in which a slide is cut into regions has no influence."""
    x = picture(144, 160)
    dense = network.describe(x)
    assert dense.shape == (1, 6 + 3 * (2 + 3 + 3 + 4), 4, 5)
    for row, col in [(0, 0), (1, 3), (3, 4)]:
        patch = x[:, :, 16 * row : 16 * row + 96, 16 * col : 16 * col + 96]
        torch.testing.assert_close(network.describe(patch)[0, :, 0, 0], dense[0, :, row, col], **CLOSE)


@pytest.mark.slow
def test_its_error_falls_when_it_learns(network):
    torch.manual_seed(0)
    learner = Autoencoder((2, 3, 3, 4)).train()
    x = picture(96, 96).float().repeat(4, 1, 1, 1)
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.01)
    errors = []
    for _ in range(30):
        error = (learner(x) - x).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.6 * errors[0]
