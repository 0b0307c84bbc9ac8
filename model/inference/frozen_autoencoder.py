"""The autoencoder for inference: banks computed once, norms folded into the convolutions before them."""

import torch
from torch import nn

from model.inference.folding import Affine, expand_banks, plain_conv, replace_modules
from model.networks.autoencoder import Autoencoder, Stage


class FrozenStage(nn.Module):
    """relu(conv f). The norm follows the convolution directly, so all of it is folded in."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.conv = plain_conv(stage.conv.bank().detach(), Affine.from_norm(stage.norm), padding=1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.relu_(self.conv(features))


def freeze_autoencoder(autoencoder: Autoencoder) -> Autoencoder:
    """A copy for inference in eval mode, channels last. It has other parameters, so it cannot be trained or saved."""
    plain = expand_banks(replace_modules(autoencoder, Stage, FrozenStage)).requires_grad_(False).eval()
    return plain.to(memory_format=torch.channels_last)  # type: ignore[no-any-return,call-overload] # torch's stubs
