"""Augmentation by what differs between slides but not between labels: stain, light, focus, compression, small moves.

Turns and mirrors are left out: to an equivariant network they change nothing but the order of sums. (`dihedral` adds
them, for networks without the symmetry.) Random numbers are drawn on the CPU from the generator that is passed in, so a
step can be repeated exactly on any device. The arithmetic happens where the images are.

Images are (N, 3, H, W) float RGB in 0..255, in and out.
"""

import io
import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

# Optical densities of haematoxylin, eosin and DAB (Ruifrok & Johnston 2001), rows of unit length.
STAINS = torch.tensor([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
STAINS = STAINS / STAINS.norm(dim=1, keepdim=True)


def uniform(images: Tensor, rng: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    """Random numbers in low..high on the images' device, (N, *shape)."""
    drawn = low + (high - low) * torch.rand(len(images), *shape, generator=rng)
    return drawn.to(images.device)


def stain_jitter(images: Tensor, rng: torch.Generator, scale: float = 0.2, shift: float = 0.03) -> Tensor:
    """Scales and shifts the density of each stain (Tellez et al. 2019, "HED")."""
    stain_rows = STAINS.to(images.device)
    density = -torch.log((images.clamp(0, 255) + 1) / 256).movedim(1, -1)  # (N, H, W, 3), Beer–Lambert
    stains = density @ torch.linalg.inv(stain_rows)  # (N, H, W, 3): haematoxylin, eosin, DAB
    stains = stains * uniform(images, rng, 1 - scale, 1 + scale, 1, 1, 3)
    stains = stains + uniform(images, rng, -shift, shift, 1, 1, 3)
    return (256 * torch.exp(-(stains @ stain_rows)) - 1).movedim(-1, 1).clamp(0, 255)


def light_jitter(images: Tensor, rng: torch.Generator, amount: float = 0.2, hue: float = 0.03) -> Tensor:
    """Varies contrast and saturation by ± amount, brightness by ± amount/2, hue by ± `hue` full turns."""
    mean = images.mean((2, 3), keepdim=True)
    images = (images - mean) * uniform(images, rng, 1 - amount, 1 + amount, 1, 1, 1) + mean
    images = images * uniform(images, rng, 1 - amount / 2, 1 + amount / 2, 1, 1, 1)
    grey = images.mean(1, keepdim=True)
    chroma = (images - grey) * uniform(images, rng, 1 - amount, 1 + amount, 1, 1, 1)
    # Hue: chroma is turned about the grey axis (1, 1, 1)/√3 by Rodrigues' formula, v cos θ + (k × v) sin θ.
    angle = uniform(images, rng, -hue, hue) * 2 * math.pi
    cos, sin = torch.cos(angle)[:, None, None, None], torch.sin(angle)[:, None, None, None] / math.sqrt(3)
    crossed = torch.roll(chroma, 1, 1) - torch.roll(chroma, -1, 1)
    return (grey + chroma * cos + crossed * sin).clamp(0, 255)


def move(images: Tensor, rng: torch.Generator, scale: float = 0.1, shift_px: float = 4.0) -> Tensor:
    """Scales by ± 10 % and shifts by at most 4 px, since the label refers to the centre 32 px; edges are reflected."""
    size = images.shape[-1]
    matrix = torch.zeros(len(images), 2, 3, device=images.device)
    matrix[:, 0, 0] = matrix[:, 1, 1] = torch.exp(uniform(images, rng, -scale, scale))
    matrix[:, :, 2] = uniform(images, rng, -shift_px, shift_px, 2) * 2 / size
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def blur(images: Tensor, rng: torch.Generator, share: float = 0.3, most_px: float = 0.9) -> Tensor:
    """Defocuses a share of the images by a Gaussian, σ ≤ `most_px`."""
    offsets = torch.arange(-3, 4, dtype=torch.float32, device=images.device)
    sigma = uniform(images, rng, 0.3, most_px)
    sigma[(torch.rand(len(images), generator=rng) > share).to(images.device)] = 1e-3
    kernel = torch.exp(-0.5 * (offsets / sigma[:, None]).square())  # (N, 7)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)
    planes = F.pad(images.flatten(0, 1)[None], (3, 3, 3, 3), mode="reflect")
    planes = F.conv2d(planes, kernel[:, None, :, None], groups=len(kernel))
    planes = F.conv2d(planes, kernel[:, None, None, :], groups=len(kernel))
    return planes[0].reshape(images.shape)


def jpeg(images: Tensor, rng: torch.Generator, share: float = 0.3) -> Tensor:
    """Recompresses a share of the images at quality 50 to 95."""
    selected = torch.nonzero(torch.rand(len(images), generator=rng) < share).flatten().tolist()
    qualities = torch.randint(50, 96, (len(images),), generator=rng).tolist()
    images = images.clone()
    for i in selected:
        pixels = images[i].round().byte().permute(1, 2, 0).cpu().numpy()
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=qualities[i])
        images[i] = (
            torch.from_numpy(np.asarray(Image.open(buffer), dtype=np.float32)).permute(2, 0, 1).to(images.device)
        )
    return images


def dihedral(images: Tensor, rng: torch.Generator) -> Tensor:
    """A random one of the eight views for each image."""
    views = torch.randint(0, 8, (len(images),), generator=rng).tolist()
    turned = [torch.rot90(im.flip(-1) if v >= 4 else im, v % 4, (-2, -1)) for im, v in zip(images, views, strict=True)]
    return torch.stack(turned)


def augment(images: Tensor, rng: torch.Generator, turn: bool = False, strength: float = 1.0) -> Tensor:
    """All of the above, scaled by `strength` in 0..1; `turn` adds `dihedral`."""
    images = dihedral(images, rng) if turn else images
    images = blur(move(images, rng, 0.1 * strength), rng, 0.3 * strength)
    images = stain_jitter(images, rng, 0.2 * strength, 0.03 * strength)
    return jpeg(light_jitter(images, rng, 0.2 * strength, 0.03 * strength), rng, 0.3 * strength)
