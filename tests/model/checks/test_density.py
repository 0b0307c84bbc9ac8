"""The density is two-sided, its threshold has the stated rate, and corruptions do what their names say."""

import numpy as np
import pytest
from PIL import Image

from model.checks.density import EXCEEDED_BY, fit
from model.evidence.other_tissue import tissue_patches
from model.train.corruptions import CORRUPTIONS


@pytest.fixture(scope="module")
def gaussian():
    """Correlated descriptions of 12 numbers, and a density fitted to them."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(12, 12))
    draw = lambda n, scale=1.0: scale * rng.normal(size=(n, 12)) @ mixing.T + 3  # noqa: E731
    return draw, fit(draw(4000), draw(2000))


def test_threshold_is_exceeded_at_the_stated_rate(gaussian):
    draw, density = gaussian
    exceeded = (density.strangeness(draw(20_000)) > density.threshold).mean()
    assert exceeded == pytest.approx(EXCEEDED_BY, abs=0.01)


@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_density_is_two_sided(gaussian, scale):
    draw, density = gaussian
    assert (density.strangeness(draw(500, scale)) > density.threshold).mean() > 0.95


def test_the_distance_is_mahalanobis(gaussian):
    draw, density = gaussian
    points = draw(50)
    precision = density.whitener.T @ density.whitener
    expected = [np.log((x - density.mean) @ precision @ (x - density.mean)) for x in points]
    np.testing.assert_allclose(density.distance(points), expected, rtol=1e-9)
    assert np.isnan(density.strangeness(np.full((1, 12), np.nan)))[0]


def test_too_few_patches_are_refused():
    with pytest.raises(ValueError, match="too few"):
        fit(np.zeros((30, 12)), np.zeros((30, 12)))


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_corruptions_are_drawn_by_seed_and_leave_their_input(name):
    patches = np.random.default_rng(1).integers(60, 220, (4, 96, 96, 3), dtype=np.uint8)
    before = patches.copy()
    first, again, other = (CORRUPTIONS[name](patches, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(patches, before)
    assert first.shape == patches.shape
    assert first.dtype == np.uint8
    assert (first != patches).mean() > 0.2
    assert name == "JPEG 10" or (first != other).any()


def test_a_picture_is_cut_into_its_tissue_at_the_network_s_scale(tmp_path):
    """Left half pink, right half glass, at half the network's µm per pixel: twice as fine."""
    pixels = np.full((2 * 96 * 2, 2 * 96 * 4, 3), 245, np.uint8)
    pixels[:, : 2 * 96 * 2] = (225, 150, 200)
    Image.fromarray(pixels).save(tmp_path / "picture.tiff")
    patches = tissue_patches(tmp_path / "picture.tiff", 0.486, 0.972)
    assert patches.shape == (2 * 2, 96, 96, 3)
    np.testing.assert_array_equal(patches, np.broadcast_to(np.uint8((225, 150, 200)), patches.shape))
