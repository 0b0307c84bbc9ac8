"""A network with a known answer: the share of a cell's own 32×32 px that is as dark as planted nuclei.

The green channel, brighter than NUCLEUS, is cut off by the ReLU; what remains runs along the skip connections alone,
through every average pool. Pools of 2×2 in five stages leave the plain mean over the 32×32 px around a cell's centre,
which is also all that PatchCamelyon's label speaks of. So the truth about a painted square is arithmetic, not opinion.
"""

import torch
from slides import NUCLEUS, TISSUE

from model.checks import golden
from model.inference.frozen import freeze
from model.networks.densenet import DenseNet, DenseNetConfig
from model.weights.checkpoint import save_network

NAME = "planted"
STEEPNESS = 12.0


def planted_network(steepness=STEEPNESS):
    """logit = steepness · (share of the 32×32 px that is nucleus − ½)."""
    network = DenseNet(DenseNetConfig("p4m", 8, 8, mean=(0, TISSUE[1] / 255, 0), std=(1, 1, 1))).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for module in network.modules():
            if hasattr(module, "running_var"):
                module.running_var.fill_(1 - module.eps)
                module.weight.fill_(1)
        full = (TISSUE[1] - NUCLEUS[1]) / 255
        network.lifting.weight[0, 1, 1, 1] = -1 / full
        for transition in network.transitions:
            transition.conv.weight[0, 0, 0] = 1
        network.classifier.weight[0, 0] = steepness
        network.classifier.bias[0] = -steepness / 2
    return network


def write_planted(directory, steepness=STEEPNESS):
    """The planted network as served weights: safetensors, card, golden outputs. Returns its settings."""
    network, threads = planted_network(steepness), torch.get_num_threads()
    torch.set_num_threads(1)  # as the worker's below: rounding goes with it
    expected = golden.outputs(freeze(network))
    torch.set_num_threads(threads)
    scope = {"organ": "lymph node", "stain": "H&E", "scanners": []}
    save_network(network, NAME, directory, golden=expected, scope=scope)
    return {"QUARTERTURN_WEIGHTS_DIR": str(directory), "QUARTERTURN_MODEL": NAME, "QUARTERTURN_THREADS": "1"}
