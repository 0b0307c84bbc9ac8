"""Augmentation of a batch does what that of single images does, and its JPEG what libjpeg's does."""

import io

import numpy as np
import pytest
import torch
from pcam_files import smooth_patches
from PIL import Image

from model.train.augment import light_jitter, stain_jitter
from model.train.gpu.augmentation import DRAWS, Augmentation, Strength

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))]
NOTHING = Strength(moved=0, blurred=0, stain=0, stain_shift=0, light=0, hue=0, jpeg=0)
CPU = torch.device("cpu")


def batch(count=6, device="cpu"):
    return torch.from_numpy(smooth_patches(count)).to(device), Augmentation(torch.float32).to(device)


def as_planes(patches):
    return patches.permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("quality", [50, 75, 90])
def test_jpeg_is_libjpegs(quality, device):
    patches, augmentation = batch(device=device)
    images = augmentation.jpeg(as_planes(patches), torch.full((len(patches),), float(quality), device=device))
    for patch, image in zip(patches.cpu().numpy(), images.cpu(), strict=True):
        file = io.BytesIO()
        Image.fromarray(patch).save(file, "JPEG", quality=quality, subsampling="4:2:0")
        lost = image.permute(1, 2, 0).numpy() - patch
        lost_by_libjpeg = np.asarray(Image.open(file), dtype=np.float32) - patch
        # Alike, not equal: a coefficient between two steps may fall to the other side.
        assert np.abs(lost - lost_by_libjpeg).mean() < 0.35 * np.abs(lost_by_libjpeg).mean()
        assert abs(np.abs(lost).mean() / np.abs(lost_by_libjpeg).mean() - 1) < 0.1


@pytest.mark.parametrize("device", DEVICES)
def test_no_strength_changes_nothing(device):
    patches, augmentation = batch(device=device)
    draws = torch.rand(len(patches), DRAWS, device=device)
    images = augmentation(patches, draws, NOTHING.on(torch.device(device)))
    torch.testing.assert_close(images, augmentation.unchanged(patches), rtol=0, atol=2e-3)
    assert images.shape == (6, 8, 96, 96)
    assert not images[:, 3:].any()


def test_a_move_moves():
    patches, augmentation = batch(1)
    draws = torch.full((1, DRAWS), 0.5)
    draws[0, 2] = 1.0  # 4 px down
    image = augmentation.move(patches.float(), draws, Strength(moved=1, zoom=0, blurred=0).on(CPU))[0]
    torch.testing.assert_close(image[:, :-4], as_planes(patches)[0, :, 4:], rtol=0, atol=1e-3)


def test_a_blur_keeps_the_mean_and_takes_the_detail():
    patches, augmentation = batch(2)
    draws = torch.full((2, DRAWS), 0.5)
    draws[:, 4], draws[:, 5] = 0.0, 1.0
    images = augmentation.move(patches.float(), draws, Strength(moved=0, blurred=1, blur_px=2.0).on(CPU))
    planes = as_planes(patches)
    torch.testing.assert_close(images.mean((2, 3)), planes.mean((2, 3)), rtol=0, atol=0.5)
    assert (images.diff(dim=2).abs().mean() < 0.95 * planes.diff(dim=2).abs().mean()).all()


def test_stain_jitter_is_that_of_single_images():
    patches, augmentation = batch(2)
    rng = torch.Generator().manual_seed(3)
    draws = torch.rand(2, DRAWS)
    draws[:, 6:9], draws[:, 9:12] = torch.rand(2, 3, generator=rng), torch.rand(2, 3, generator=rng)
    expected = stain_jitter(as_planes(patches), torch.Generator().manual_seed(3), 0.2, 0.03)
    images = augmentation.stain(as_planes(patches), draws, Strength().on(CPU))
    torch.testing.assert_close(images, expected, rtol=1e-3, atol=0.05)


def test_light_jitter_is_that_of_single_images():
    patches, augmentation = batch(2)
    rng, draws = torch.Generator().manual_seed(3), torch.rand(2, DRAWS)
    for column in range(12, 16):
        draws[:, column] = torch.rand(2, generator=rng)
    expected = light_jitter(as_planes(patches), torch.Generator().manual_seed(3), 0.2, 0.03)
    images = augmentation.light(as_planes(patches), draws, Strength().on(CPU))
    torch.testing.assert_close(images, expected, rtol=1e-3, atol=0.05)


def test_eight_views_are_eight():
    patches, augmentation = batch(1)
    images = as_planes(patches).expand(400, -1, -1, -1)[:, :, ::8, ::8]
    turned = augmentation.turn(images, torch.rand(400, DRAWS), Strength(turned=1).on(CPU))
    assert len({image.numpy().tobytes() for image in turned.contiguous()}) == 8
    still = augmentation.turn(images, torch.rand(400, DRAWS), Strength().on(CPU))
    assert torch.equal(still, images)


def test_a_factor_changes_colours_light_and_blur_alone():
    half = Strength().times(0.5)
    assert (half.stain, half.light, half.hue, half.blurred) == (0.1, 0.1, 0.015, 0.15)
    assert (half.moved, half.zoom, half.shift_px, half.jpeg, half.turned) == (0.7, 0.1, 4.0, 0.5, 0.0)
