"""Augmentation of a whole batch at once, on its device: what `model.train.augment` does, and JPEG with 4:2:0 chroma.

Every change is arithmetic on the batch, so that it can be compiled. Moves, zoom and blur are one matrix for rows and
one for columns. The jitter of stains is a 3×3 matrix an image in optical density. JPEG (ITU-T T.81, baseline) is its
change of colours, its cosine transform as a matrix, its rounding by the tables of a quality, and all of that back, with
the smooth upsampling of chroma that libjpeg does.

Random numbers and amounts are arguments, so one compiled function serves every strength.
"""

import math
from dataclasses import asdict, astuple, dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.networks.densenet import PATCH_PX, DenseNetConfig
from model.train.augment import STAINS
from model.train.gpu.forward import IN_CHANNELS

# Columns of the random numbers: 0 whether the image moves, 1 zoom, 2 down, 3 across, 4 whether it is blurred, 5 by how
# much, 6–8 and 9–11 scale and shift of each stain, 12–15 contrast, brightness, saturation, hue, 16 whether it is
# compressed, 17 at which quality, 18–20 the view.
DRAWS = 21
MARGIN_PX = 24  # how far outside an image a source pixel may lie

# The tables of quality 50 (ITU-T T.81, annex K).
LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)
CHROMA = np.full((8, 8), 99, np.float32)
CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]


@dataclass(frozen=True)
class Strength:
    """The amount of each change, and the share of images that it is done to (0 to 1)."""

    moved: float = 0.7  # share of images that are zoomed and shifted
    zoom: float = 0.1  # at most exp(± zoom)
    shift_px: float = 4.0
    blurred: float = 0.3  # share
    blur_px: float = 0.9  # the largest σ
    stain: float = 0.2
    stain_shift: float = 0.03
    light: float = 0.2
    hue: float = 0.03  # of a full turn
    jpeg: float = 0.5  # share
    least_quality: float = 60.0
    best_quality: float = 95.0
    turned: float = 0.0  # 1: a random one of the eight views, for networks that are not invariant to them

    def times(self, factor: float) -> "Strength":
        """The same with colours, light and blur multiplied by a factor."""
        colours = ("blurred", "stain", "stain_shift", "light", "hue")
        return replace(self, **{name: factor * value for name, value in asdict(self).items() if name in colours})

    def on(self, device: torch.device) -> Tensor:
        """The amounts as a tensor (13,) in the order of the fields."""
        return torch.tensor(astuple(self), device=device)


PLACES = {field.name: place for place, field in enumerate(fields(Strength))}


def amount(strength: Tensor, name: str) -> Tensor:
    """One amount of `Strength.on`, a scalar."""
    return strength[PLACES[name]]


def cosine_matrix(size: int) -> Tensor:
    """The orthonormal cosine transform of each eight of `size` values, (size, size)."""
    n = np.arange(8)
    matrix = np.cos((2 * n[None] + 1) * n[:, None] * math.pi / 16) * np.where(n[:, None] == 0, math.sqrt(1 / 8), 0.5)
    return torch.from_numpy(np.kron(np.eye(size // 8), matrix)).float()


def smooth_upsampling(size: int) -> Tensor:
    """libjpeg's triangle filter along one axis, (2·size, size)."""
    i = np.arange(size)
    matrix = np.zeros((2 * size, size), np.float32)
    matrix[2 * i, i] = matrix[2 * i + 1, i] = 0.75
    matrix[2 * i, np.maximum(i - 1, 0)] += 0.25
    matrix[2 * i + 1, np.minimum(i + 1, size - 1)] += 0.25
    return torch.from_numpy(matrix)


def reflection() -> Tensor:
    """The pixel that each place inside or outside an image takes, by reflection about the edge: (96 + 2·24, 96)."""
    places = np.arange(-MARGIN_PX, PATCH_PX + MARGIN_PX)
    inside = np.where(places < 0, -1 - places, np.where(places >= PATCH_PX, 2 * PATCH_PX - 1 - places, places))
    return torch.from_numpy(np.eye(PATCH_PX, dtype=np.float32)[inside])


def quantise(planes: Tensor, cosine: Tensor, table: Tensor) -> Tensor:
    """Planes (N, H, W) around 0 after JPEG's rounding by a table (N, 8, 8) each."""
    blocks = planes.shape[-1] // 8
    steps = table.repeat(1, blocks, blocks)
    coefficients = cosine @ planes @ cosine.T
    return cosine.T @ (torch.round(coefficients / steps) * steps) @ cosine


class Augmentation(nn.Module):
    """(patches (N, 96, 96, 3) uint8, random numbers (N, DRAWS) in 0..1, amounts) → images (N, 8, 96, 96) of a dtype.

    The first three channels are RGB, changed, less the mean and divided by the standard deviation of `DenseNetConfig`;
    the others are zero.
    """

    mean: Tensor
    std: Tensor
    reflect: Tensor
    cosine: Tensor
    cosine_chroma: Tensor
    upsampling: Tensor
    luma: Tensor
    chroma: Tensor
    stains: Tensor
    inverse_stains: Tensor

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype, config = dtype, DenseNetConfig()
        for name, value in {
            "mean": 255 * torch.tensor(config.mean).view(3, 1, 1),
            "std": 255 * torch.tensor(config.std).view(3, 1, 1),
            "reflect": reflection(),
            "cosine": cosine_matrix(PATCH_PX),
            "cosine_chroma": cosine_matrix(PATCH_PX // 2),
            "upsampling": smooth_upsampling(PATCH_PX // 2),
            "luma": torch.from_numpy(LUMA),
            "chroma": torch.from_numpy(CHROMA),
            "stains": STAINS,
            "inverse_stains": torch.linalg.inv(STAINS),
        }.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, patches: Tensor, draws: Tensor, strength: Tensor) -> Tensor:
        images = self.turn(self.move(patches.float(), draws, strength), draws, strength)
        images = self.light(self.stain(images, draws, strength), draws, strength)
        return self.standardise(self.compress(images, draws, strength))

    def unchanged(self, patches: Tensor) -> Tensor:
        """Patches (N, 96, 96, 3) in the same form, without a change."""
        return self.standardise(patches.permute(0, 3, 1, 2).float())

    def standardise(self, images: Tensor) -> Tensor:
        """(N, 3, 96, 96) in 0..255 → (N, 8, 96, 96) of the dtype."""
        padded = F.pad((images - self.mean) / self.std, (0, 0, 0, 0, 0, IN_CHANNELS - 3))
        return padded.to(self.dtype).contiguous(memory_format=torch.channels_last)

    def _axis(self, zoom: Tensor, shift: Tensor, sigma: Tensor) -> Tensor:
        """What each row (or column) takes from each, moved, zoomed, then blurred: (N, 96, 96)."""
        places = torch.arange(PATCH_PX, device=zoom.device, dtype=torch.float32)
        around = torch.arange(-MARGIN_PX, PATCH_PX + MARGIN_PX, device=zoom.device, dtype=torch.float32)
        middle = (PATCH_PX - 1) / 2
        source = (places - middle) * zoom[:, None] + middle + shift[:, None]
        weights = (1 - (around - source[:, :, None]).abs()).clamp_min(0)  # linear interpolation
        apart = around - places[:, None]
        blur = torch.exp(-0.5 * (apart / sigma[:, None, None]).square()) * (apart.abs() <= 3)
        blur = blur / blur.sum(2, keepdim=True)
        return (blur @ self.reflect) @ (weights @ self.reflect)

    def move(self, patches: Tensor, draws: Tensor, strength: Tensor) -> Tensor:
        """Zooms, shifts and blurs: (N, 96, 96, 3) float → (N, 3, 96, 96)."""
        n, moves = len(patches), (draws[:, 0] < amount(strength, "moved")).float()
        zoom = torch.exp(moves * amount(strength, "zoom") * (2 * draws[:, 1] - 1))
        down, across = (moves * amount(strength, "shift_px") * (2 * draws[:, i] - 1) for i in (2, 3))
        sigma = 0.3 + (amount(strength, "blur_px") - 0.3) * draws[:, 5]
        sigma = torch.where(draws[:, 4] < amount(strength, "blurred"), sigma, 1e-3)
        rows = self._axis(zoom, down, sigma) @ patches.reshape(n, PATCH_PX, PATCH_PX * 3)
        planes = rows.view(n, PATCH_PX, PATCH_PX, 3).permute(0, 3, 1, 2).reshape(n, 3 * PATCH_PX, PATCH_PX)
        return (planes @ self._axis(zoom, across, sigma).transpose(1, 2)).view(n, 3, PATCH_PX, PATCH_PX)

    def turn(self, images: Tensor, draws: Tensor, strength: Tensor) -> Tensor:
        """A random one of the eight views, where `Strength.turned` is 1."""
        share = 0.5 * amount(strength, "turned")
        transposed, flipped, mirrored = ((draws[:, i] < share)[:, None, None, None] for i in (18, 19, 20))
        images = torch.where(transposed, images.transpose(2, 3), images)
        images = torch.where(flipped, images.flip(2), images)
        return torch.where(mirrored, images.flip(3), images)

    def stain(self, images: Tensor, draws: Tensor, strength: Tensor) -> Tensor:
        """Scales and shifts the density of each stain: one 3×3 matrix and one offset an image, in optical density."""
        scale = 1 + amount(strength, "stain") * (2 * draws[:, 6:9] - 1)
        shift = (amount(strength, "stain_shift") * (2 * draws[:, 9:12] - 1)) @ self.stains
        mixing = torch.einsum("ij,nj,jk->nik", self.inverse_stains, scale, self.stains)
        density = -torch.log((images.clamp(0, 255) + 1) / 256)
        mixed = sum(density[:, i, None] * mixing[:, i, :, None, None] for i in range(3)) + shift[:, :, None, None]
        return (256 * torch.exp(-mixed) - 1).clamp(0, 255)

    def light(self, images: Tensor, draws: Tensor, strength: Tensor) -> Tensor:
        """Varies contrast, brightness, saturation and hue."""
        spread = (2 * draws[:, 12:16] - 1)[:, :, None, None, None]
        light, hue = amount(strength, "light"), amount(strength, "hue")
        mean = images.mean((2, 3), keepdim=True)
        images = (images - mean) * (1 + light * spread[:, 0]) + mean
        images = images * (1 + 0.5 * light * spread[:, 1])
        grey = images.mean(1, keepdim=True)
        chroma = (images - grey) * (1 + light * spread[:, 2])
        angle = hue * spread[:, 3] * 2 * math.pi
        crossed = torch.roll(chroma, 1, 1) - torch.roll(chroma, -1, 1)
        return (grey + chroma * torch.cos(angle) + crossed * torch.sin(angle) / math.sqrt(3)).clamp(0, 255)

    def compress(self, images: Tensor, draws: Tensor, strength: Tensor) -> Tensor:
        """Recompresses a share of the images as JPEG of a random quality."""
        least, best = amount(strength, "least_quality"), amount(strength, "best_quality")
        quality = torch.floor(least + (best - least + 1) * draws[:, 17]).clamp(1, 100)
        compressed = (draws[:, 16] < amount(strength, "jpeg"))[:, None, None, None]
        return torch.where(compressed, self.jpeg(images, quality), images)

    def jpeg(self, images: Tensor, quality: Tensor) -> Tensor:
        """(N, 3, 96, 96) in 0..255 after baseline JPEG with 4:2:0 chroma; quality (N,) 1 to 100, as libjpeg's."""
        factor = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None]
        luma, chroma = (torch.floor((t * factor + 50) / 100).clamp(1, 255) for t in (self.luma, self.chroma))
        r, g, b = images.round().unbind(1)
        bright = 0.299 * r + 0.587 * g + 0.114 * b
        both = [torch.round(0.5 / (1 - 0.114) * (b - bright)), torch.round(0.5 / (1 - 0.299) * (r - bright))]
        n, half = len(r), PATCH_PX // 2
        small = [torch.round(c.reshape(n, half, 2, half, 2).mean((2, 4))) for c in both]
        y = torch.round(quantise(bright.round() - 128, self.cosine, luma) + 128).clamp(0, 255)
        cb, cr = (
            self.upsampling @ torch.round(quantise(c, self.cosine_chroma, chroma)).clamp(-128, 127) @ self.upsampling.T
            for c in small
        )
        rgb = [y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb]
        return torch.stack(rgb, 1).round().clamp(0, 255)
