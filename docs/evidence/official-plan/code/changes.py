"""Augmentation of a whole batch at once, where the patches lie. What it does is what `model.augment` does, and JPEG as
the judging pictures have it.

Every change is arithmetic on the batch, so that it can be compiled: moves, zoom and blur are one matrix a row axis and
one a column axis; the stains' jitter is a 3×3 matrix a picture in optical density; JPEG is its colour turn, its cosine
transform as a matrix, its rounding by the tables of a quality, and all of that back (baseline, 4:2:0, smooth chroma).
What is drawn (`draws`, uniform in 0..1) and how much is done (`Strength`) are inputs, so nothing is compiled twice.
"""

import math
from dataclasses import astuple, dataclass

import numpy as np
import torch
from gpu.fast import IN_CHANNELS
from model.augment import STAINS
from torch import Tensor, nn
from torch.nn import functional as F

DRAWS = 21
SIZE = 96
MARGIN = 24  # how far outside a picture a source pixel may lie

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
    """How much is done, and to which share of the pictures."""

    moved: float = 0.7  # share
    zoom: float = 0.1
    shift_px: float = 4.0
    blurred: float = 0.3  # share
    blur_px: float = 0.9
    stain: float = 0.2
    stain_shift: float = 0.03
    light: float = 0.2
    hue: float = 0.03
    jpeg: float = 0.5  # share
    least_quality: float = 60.0
    best_quality: float = 95.0
    turned: float = 0.0  # 1: any of the eight views

    def times(self, amount: float) -> "Strength":
        """Colours, light and blur by that much more."""
        more = {name: amount * getattr(self, name) for name in ("blurred", "stain", "stain_shift", "light", "hue")}
        return Strength(**{**self.__dict__, **more})

    def on(self, device: torch.device) -> Tensor:
        return torch.tensor(astuple(self), device=device)


def cosine_matrix(size: int) -> Tensor:
    """The orthonormal cosine transform of each eight of `size` values, (size, size)."""
    n = np.arange(8)
    matrix = np.cos((2 * n[None] + 1) * n[:, None] * math.pi / 16) * np.where(n[:, None] == 0, math.sqrt(1 / 8), 0.5)
    return torch.from_numpy(np.kron(np.eye(size // 8), matrix)).float()


def smooth_upsampling(size: int) -> Tensor:
    """(2·size, size): libjpeg's triangle filter along one axis."""
    i = np.arange(size)
    matrix = np.zeros((2 * size, size), np.float32)
    matrix[2 * i, i] = matrix[2 * i + 1, i] = 0.75
    matrix[2 * i, np.maximum(i - 1, 0)] += 0.25
    matrix[2 * i + 1, np.minimum(i + 1, size - 1)] += 0.25
    return torch.from_numpy(matrix)


def folding() -> Tensor:
    """(SIZE + 2·MARGIN, SIZE): which pixel stands for a place outside, by reflection about the edge."""
    places = np.arange(-MARGIN, SIZE + MARGIN)
    inside = np.where(places < 0, -1 - places, np.where(places >= SIZE, 2 * SIZE - 1 - places, places))
    return torch.from_numpy(np.eye(SIZE, dtype=np.float32)[inside])


def quantised(planes: Tensor, cosine: Tensor, table: Tensor) -> Tensor:
    """Planes (N, H, W) around 0 → after JPEG's rounding by a table (N, 8, 8)."""
    blocks = planes.shape[-1] // 8
    steps = table.repeat(1, blocks, blocks)
    coefficients = cosine @ planes @ cosine.T
    return cosine.T @ (torch.round(coefficients / steps) * steps) @ cosine


class Changes(nn.Module):
    """(patches (N, 96, 96, 3) uint8, draws (N, DRAWS), strength) → (N, 8, 96, 96), normed, of `kind`.

    The last five channels are zero. With `mean` and `std` of RGB in 0..1.
    """

    mean: Tensor
    std: Tensor
    fold: Tensor
    cosine: Tensor
    cosine_chroma: Tensor
    upsampling: Tensor
    luma: Tensor
    chroma: Tensor
    stains: Tensor
    unstained: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], kind: torch.dtype) -> None:
        super().__init__()
        self.kind = kind
        for name, value in {
            "mean": 255 * torch.tensor(mean).view(3, 1, 1),
            "std": 255 * torch.tensor(std).view(3, 1, 1),
            "fold": folding(),
            "cosine": cosine_matrix(SIZE),
            "cosine_chroma": cosine_matrix(SIZE // 2),
            "upsampling": smooth_upsampling(SIZE // 2),
            "luma": torch.from_numpy(LUMA),
            "chroma": torch.from_numpy(CHROMA),
            "stains": STAINS,
            "unstained": torch.linalg.inv(STAINS),
        }.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, patches: Tensor, draws: Tensor, strength: Tensor) -> Tensor:
        pictures = self.moved(patches.float(), draws, strength)
        pictures = self.turned(pictures, draws, strength)
        pictures = self.lit(self.stained(pictures, draws, strength), draws, strength)
        return self.ready(self.compressed(pictures, draws, strength))

    def plain(self, patches: Tensor) -> Tensor:
        """Patches (N, 96, 96, 3) unchanged, in the same form."""
        return self.ready(patches.permute(0, 3, 1, 2).float())

    def ready(self, pictures: Tensor) -> Tensor:
        padded = F.pad((pictures - self.mean) / self.std, (0, 0, 0, 0, 0, IN_CHANNELS - 3))
        return padded.to(self.kind).contiguous(memory_format=torch.channels_last)

    def _axis(self, zoom: Tensor, shift: Tensor, sigma: Tensor) -> Tensor:
        """(N, 96, 96): what each row (or column) takes from which, moved, zoomed and then blurred."""
        places = torch.arange(SIZE, device=zoom.device, dtype=torch.float32)
        around = torch.arange(-MARGIN, SIZE + MARGIN, device=zoom.device, dtype=torch.float32)
        middle = (SIZE - 1) / 2
        source = (places - middle) * zoom[:, None] + middle + shift[:, None]
        weights = (1 - (around - source[:, :, None]).abs()).clamp_min(0)
        apart = around - places[:, None]
        blur = torch.exp(-0.5 * (apart / sigma[:, None, None]).square()) * (apart.abs() <= 3)
        blur = blur / blur.sum(2, keepdim=True)
        return (blur @ self.fold) @ (weights @ self.fold)

    def moved(self, pictures: Tensor, draws: Tensor, strength: Tensor) -> Tensor:
        """(N, 96, 96, 3) → (N, 3, 96, 96)."""
        n, (share, most_zoom, most_shift, blurred, most_blur) = len(pictures), strength[:5]
        moves = (draws[:, 0] < share).float()
        zoom = torch.exp(moves * most_zoom * (2 * draws[:, 1] - 1))
        sigma = torch.where(draws[:, 4] < blurred, 0.3 + (most_blur - 0.3) * draws[:, 5], 1e-3)
        down, across = (moves * most_shift * (2 * draws[:, i] - 1) for i in (2, 3))
        rows = self._axis(zoom, down, sigma) @ pictures.reshape(n, SIZE, SIZE * 3)
        planes = rows.view(n, SIZE, SIZE, 3).permute(0, 3, 1, 2).reshape(n, 3 * SIZE, SIZE)
        return (planes @ self._axis(zoom, across, sigma).transpose(1, 2)).view(n, 3, SIZE, SIZE)

    def turned(self, pictures: Tensor, draws: Tensor, strength: Tensor) -> Tensor:
        """One of the eight views, where strength says so."""
        across, down, over = ((draws[:, i] < 0.5 * strength[12])[:, None, None, None] for i in (18, 19, 20))
        pictures = torch.where(across, pictures.transpose(2, 3), pictures)
        pictures = torch.where(down, pictures.flip(2), pictures)
        return torch.where(over, pictures.flip(3), pictures)

    def stained(self, pictures: Tensor, draws: Tensor, strength: Tensor) -> Tensor:
        """Each stain's density scaled and shifted: one 3×3 matrix and one offset a picture, in optical density."""
        scale = 1 + strength[5] * (2 * draws[:, 6:9] - 1)
        shift = (strength[6] * (2 * draws[:, 9:12] - 1)) @ self.stains
        mixing = torch.einsum("ij,nj,jk->nik", self.unstained, scale, self.stains)
        density = -torch.log((pictures.clamp(0, 255) + 1) / 256)
        changed = sum(density[:, i, None] * mixing[:, i, :, None, None] for i in range(3)) + shift[:, :, None, None]
        return (256 * torch.exp(-changed) - 1).clamp(0, 255)

    def lit(self, pictures: Tensor, draws: Tensor, strength: Tensor) -> Tensor:
        """Contrast, brightness, saturation and hue."""
        spread = (2 * draws[:, 12:16] - 1)[:, :, None, None, None]
        amount, hue = strength[7], strength[8]
        mean = pictures.mean((2, 3), keepdim=True)
        pictures = (pictures - mean) * (1 + amount * spread[:, 0]) + mean
        pictures = pictures * (1 + 0.5 * amount * spread[:, 1])
        grey = pictures.mean(1, keepdim=True)
        chroma = (pictures - grey) * (1 + amount * spread[:, 2])
        angle = hue * spread[:, 3] * 2 * math.pi
        crossed = torch.roll(chroma, 1, 1) - torch.roll(chroma, -1, 1)
        return (grey + chroma * torch.cos(angle) + crossed * torch.sin(angle) / math.sqrt(3)).clamp(0, 255)

    def compressed(self, pictures: Tensor, draws: Tensor, strength: Tensor) -> Tensor:
        """A share of the pictures, as a JPEG of some quality would give them back."""
        quality = torch.floor(strength[10] + (strength[11] - strength[10] + 1) * draws[:, 17]).clamp(1, 100)
        return torch.where((draws[:, 16] < strength[9])[:, None, None, None], self.jpeg(pictures, quality), pictures)

    def jpeg(self, pictures: Tensor, quality: Tensor) -> Tensor:
        """(N, 3, 96, 96) in 0..255 as a baseline JPEG with 4:2:0 chroma gives them back; quality (N,) 1 to 100."""
        factor = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None]
        luma, chroma = (torch.floor((t * factor + 50) / 100).clamp(1, 255) for t in (self.luma, self.chroma))
        r, g, b = pictures.round().unbind(1)
        bright = 0.299 * r + 0.587 * g + 0.114 * b
        both = [torch.round(0.5 / (1 - 0.114) * (b - bright)), torch.round(0.5 / (1 - 0.299) * (r - bright))]
        n, half = len(r), SIZE // 2
        small = [torch.round(c.reshape(n, half, 2, half, 2).mean((2, 4))) for c in both]
        y = torch.round(quantised(bright.round() - 128, self.cosine, luma) + 128).clamp(0, 255)
        cb, cr = (
            self.upsampling @ torch.round(quantised(c, self.cosine_chroma, chroma)).clamp(-128, 127) @ self.upsampling.T
            for c in small
        )
        back = [y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb]
        return torch.stack(back, 1).round().clamp(0, 255)
