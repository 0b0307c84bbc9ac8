"""Strangeness is a map like the scores: it turns with the slide, independent of regions, and its file is verified."""

import numpy as np
import pytest
import torch

from model.checks import familiarity, familiarity_file
from model.checks.density import Density, fit
from model.checks.familiarity import Familiarity
from model.groups.group import get_group, transform
from model.inference.dense import infer, infer_with_features
from model.inference.frozen import freeze
from model.inference.frozen_autoencoder import freeze_autoencoder
from model.networks.autoencoder import Autoencoder
from model.networks.densenet import DenseNet, DenseNetConfig
from model.train.familiarity import main, usual_shares
from model.train.pcam import Split
from model.weights.card import WeightsRefused
from model.weights.checkpoint import load_network, save_network

DETECTOR = "d" * 64


def lively(module):
    """Norms as after training, so that nothing is trivially zero."""
    for part in module.modules():
        if hasattr(part, "running_var"):
            part.running_mean.uniform_(-0.3, 0.3)
            part.running_var.uniform_(0.5, 2.0)
    return module.eval()


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    return freeze(lively(DenseNet(DenseNetConfig("p4m", n0=6, growth=6))))


@pytest.fixture(scope="module")
def learner():
    torch.manual_seed(1)
    return lively(Autoencoder())


@pytest.fixture(scope="module")
def density(detector, learner):
    rng = np.random.default_rng(0)
    numbers = familiarity.describe(learner, region(96), infer_with_features(detector, region(96))[1]).shape[-1]
    mean, whitener = rng.normal(size=numbers), np.eye(numbers) + 0.02 * rng.normal(size=(numbers, numbers))
    as_in_a_file = (array.astype(np.float32).astype(float) for array in (mean, whitener))
    return Density(*as_in_a_file, 5.0, 0.3, 2.5)


def region(height, width=None, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (1, height, width or height, 3), dtype=np.uint8)


def strange(detector, learner, density, pixels):
    return Familiarity(freeze_autoencoder(learner), density).strangeness(
        pixels, infer_with_features(detector, pixels)[1]
    )[0]


def test_encoder_output_equals_the_network_bit_for_bit(detector):
    np.testing.assert_array_equal(infer_with_features(detector, region(128, 160))[0], infer(detector, region(128, 160)))


def test_it_turns_with_the_slide(detector, learner, density):
    pixels = region(112, 144)
    plain = strange(detector, learner, density, pixels)
    for element in get_group("p4m").elements:
        turned = strange(detector, learner, density, transform(pixels[0], element)[None])
        np.testing.assert_allclose(turned, transform(plain, element), atol=2e-4)


def test_a_cell_is_as_strange_as_its_patch(detector, learner, density):
    pixels = region(128, 160)
    dense = strange(detector, learner, density, pixels)
    assert dense.shape == (3, 5)
    for row, col in [(0, 0), (1, 4), (2, 2)]:
        patch = pixels[:, 16 * row : 16 * row + 96, 16 * col : 16 * col + 96]
        np.testing.assert_allclose(strange(detector, learner, density, patch)[0, 0], dense[row, col], atol=2e-4)


def test_density_file_round_trips_and_is_checked(tmp_path, detector, learner, density):
    path = familiarity_file.path_of("p4m-densenet", tmp_path)
    familiarity_file.write(Familiarity(learner, density, {"usual_shares": [0.01, 0.04]}), DETECTOR, path)
    again = familiarity_file.read(path, DETECTOR)
    pixels = region(112)
    expected = strange(detector, learner, density, pixels)
    np.testing.assert_array_equal(again.strangeness(pixels, infer_with_features(detector, pixels)[1])[0], expected)
    assert (again.threshold, again.usual_share) == (density.threshold, 0.04)
    with pytest.raises(WeightsRefused, match="another detector"):
        familiarity_file.read(path, "e" * 64)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsRefused, match="cannot be read"):
        familiarity_file.read(path, DETECTOR)


@pytest.mark.parametrize("fields", [{}, {"usual_shares": []}, {"usual_shares": 3}])
def test_incomplete_density_file_is_rejected(tmp_path, learner, density, fields):
    path = familiarity_file.path_of("p4m-densenet", tmp_path)
    familiarity_file.write(Familiarity(learner, density, fields), DETECTOR, path)
    with pytest.raises(WeightsRefused, match="cannot be read"):
        familiarity_file.read(path, DETECTOR)


@pytest.mark.parametrize("content", [b"", b"no safetensors at all", (2**60).to_bytes(8, "little") + b"{}"])
def test_other_files_are_rejected(tmp_path, content):
    path = familiarity_file.path_of("p4m-densenet", tmp_path)
    path.write_bytes(content)
    with pytest.raises(WeightsRefused, match="cannot be read"):
        familiarity_file.read(path, DETECTOR)


def test_training_without_data_says_so_and_writes_nothing(tmp_path, capsys):
    torch.manual_seed(0)
    network = DenseNet(DenseNetConfig("p4m", n0=6, growth=6)).eval()
    save_network(network, "p4m-densenet", tmp_path / "weights")
    before = sorted((tmp_path / "weights").iterdir())
    assert main([str(tmp_path), "--into", str(tmp_path / "weights")]) == 2
    assert "is missing" in capsys.readouterr().err
    assert sorted((tmp_path / "weights").iterdir()) == before


def test_flat_pictures_turn_as_exactly_as_others():
    """On near-blank pictures a variance may be rounding error, which a logarithm amplifies (shipped file)."""
    network, card = load_network()
    detector, fields = freeze(network), familiarity_file.read(familiarity_file.path_of("p4m-densenet"), card.digest)
    rng = np.random.default_rng(0)
    flat = np.full((1, 128, 160, 3), 240, np.uint8) + rng.integers(0, 2, (1, 128, 160, 3), dtype=np.uint8)
    flat[:, 40:80, 60:120] = (222, 150, 196)
    plain = fields.strangeness(flat, infer_with_features(detector, flat)[1])[0]
    for element in get_group("p4m").elements:
        turned = transform(flat[0], element)[None]
        np.testing.assert_allclose(
            fields.strangeness(turned, infer_with_features(detector, turned)[1])[0],
            transform(plain, element),
            rtol=0,
            atol=1e-4,
        )


def splits(valid_names):
    """Descriptions of three named slides of train, one of them of its own kind, and of valid."""
    rng = np.random.default_rng(0)
    learnt, held_out = rng.normal(size=(600, 5)), rng.normal(size=(200, 5))
    learnt[200:260] *= 4
    names = np.array([""] * 140 + ["a"] * 60 + ["odd"] * 60 + ["b"] * 60 + ["few"] * 20 + [""] * 260, dtype="U64")
    train, valid = (
        Split(np.zeros((len(n), 1, 1, 3), np.uint8), np.zeros(len(n), np.uint8), n)
        for n in (names, np.array(valid_names, dtype="U64"))
    )
    return learnt, held_out, train, valid


def test_the_usual_share_is_of_slides_that_the_density_does_not_know():
    learnt, held_out, train, valid = splits([""] * 200)
    shares, slides = usual_shares(fit(learnt, held_out), learnt, held_out, train, valid)
    assert slides.startswith("3 slides of train"), "the slide of few patches is left out"
    assert shares == sorted(shares)
    assert shares[-1] > 0.5 > 0.2 > shares[1], "the odd slide is unfamiliar to a density without it"
    density = fit(learnt, held_out)
    assert shares[-1] > (density.strangeness(learnt[200:260]) > density.threshold).mean(), "and less to one with it"


def test_named_slides_of_valid_tell_what_is_usual():
    learnt, held_out, train, valid = splits(["v"] * 150 + ["w"] * 50)
    density = fit(learnt, held_out)
    shares, slides = usual_shares(density, learnt, held_out, train, valid)
    over = density.strangeness(held_out) > density.threshold
    assert (shares, slides) == (sorted([over[:150].mean(), over[150:].mean()]), "held-out slides")
