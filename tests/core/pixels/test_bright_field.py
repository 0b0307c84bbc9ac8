"""What counts as fluorescence, and what must not: dark stains, blank glass, black borders, slides full of tissue."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slides import GLASS, tissue

from core.pixels.bright_field import light_of

SIDE = 200


def filled(colour, noise=8):
    rng = np.random.default_rng(0)
    return np.clip(np.array(colour) + rng.integers(-noise, noise + 1, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


def on(ground, colour, share, noise=8):
    """Stripes of one colour on another that cover a share of the picture."""
    picture, other = filled(ground, noise), filled(colour, noise)
    stripes = (np.arange(SIDE) % 20) < 20 * share
    picture[:, stripes] = other[:, stripes]
    return picture


BRIGHT = {
    "H&E": tissue(SIDE, SIDE),
    "full of tissue": filled((200, 130, 180)),
    "full of dense nuclei": filled((92, 52, 140)),
    "overstained": filled((85, 40, 120)),
    "brown (IHC)": on(GLASS, (70, 40, 25), 0.6),
    "full of brown": filled((110, 70, 45)),
    "blue counterstain": filled((120, 130, 190)),
    "blank glass": filled(GLASS, 1),
    "grey glass": np.full((SIDE, SIDE, 3), 240, np.uint8),
    "nothing scanned": np.full((SIDE, SIDE, 3), 255, np.uint8),
    "vivid pen": on(GLASS, (20, 60, 230), 0.5),
    "black borders": on((0, 0, 0), (210, 140, 190), 0.15, 3),
    "black borders and brown": on((0, 0, 0), (110, 70, 45), 0.4, 3),
    "black ink": on(GLASS, (10, 10, 10), 0.7, 3),
}
DARK = {
    "nuclei in blue": on((4, 4, 6), (20, 30, 210), 0.3),
    "green": on((2, 4, 2), (20, 180, 30), 0.3),
    "red": on((5, 3, 3), (220, 30, 20), 0.4),
    "two channels": on((5, 5, 5), (10, 140, 160), 0.5),
    "dim grey": on((3, 3, 3), (48, 48, 48), 0.4, 3),
    "dim everywhere": filled((14, 32, 40)),
    "all black": np.zeros((SIDE, SIDE, 3), np.uint8),
    "sparse on unscanned white": np.concatenate(
        [np.full((SIDE, SIDE, 3), 255, np.uint8), on((3, 3, 3), (20, 20, 200), 0.1)]
    ),
}


@pytest.mark.parametrize("name", BRIGHT)
def test_transmitted_light_is_bright_field(name):
    assert light_of(BRIGHT[name]) == "bright-field"


@pytest.mark.parametrize("name", DARK)
def test_fluorescence_is_dark(name):
    assert light_of(DARK[name]) == "dark"


def test_a_picture_without_colour_is_grey():
    grey = np.repeat(tissue(SIDE, SIDE).mean(2, keepdims=True).astype(np.uint8), 3, 2)
    assert light_of(grey) == "grey"


@given(st.sampled_from([*BRIGHT.values(), *DARK.values()]), st.integers(0, 3), st.booleans())
def test_the_answer_does_not_depend_on_the_view(picture, turns, mirrored):
    view = np.rot90(picture[:, ::-1] if mirrored else picture, turns)
    assert light_of(view) == light_of(picture)


@given(st.floats(0.0, 0.9))
def test_unscanned_white_does_not_decide(share):
    """Formats leave parts of a slide unscanned, which are shown white."""
    for pictures in (BRIGHT, DARK):
        for name in ("full of tissue", "green"):
            if name in pictures:
                picture = pictures[name].copy()
                picture[: int(share * SIDE)] = 255
                assert light_of(picture) == ("bright-field" if pictures is BRIGHT else "dark")
