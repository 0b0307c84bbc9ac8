"""What a file states of its scale: used where it is plausible, asked about where it is not, and never in silence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.pixels.scale import (
    COARSEST_MPP,
    FINEST_MPP,
    MOST_UNEQUAL,
    MPP,
    POWER,
    doubt,
    is_plausible,
    ome_mpp,
    read_scale,
)

any_number = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)


def properties(mpp=None, power=None):
    pair = mpp if isinstance(mpp, tuple) else (mpp, mpp)
    values = dict(zip((*MPP, POWER), (*pair, power), strict=True))
    return {name: str(value) for name, value in values.items() if value is not None}


@given(any_number, any_number, st.one_of(st.none(), any_number))
def test_whatever_a_file_states_gives_a_plausible_scale_or_a_reason(x, y, power):
    scale = read_scale(properties((x, y), power))
    if scale.source is None:
        assert (scale.x, scale.y) == (None, None)
        assert scale.reason["code"].startswith("mpp-")
        assert "mpp" in scale.reason["action"]
    else:
        assert scale.reason is None
        assert is_plausible(scale.x)
        assert is_plausible(scale.y)
        assert max(scale.x, scale.y) <= MOST_UNEQUAL * min(scale.x, scale.y)
        assert scale.source == ("file" if x and y else "objective")


@given(st.floats(FINEST_MPP, COARSEST_MPP), st.floats(1, MOST_UNEQUAL - 1e-9))
def test_a_plausible_scale_is_used_as_the_file_states_it(mpp, ratio):
    if not is_plausible(mpp * ratio):
        return
    scale = read_scale(properties((mpp, mpp * ratio)))
    assert (scale.x, scale.y, scale.source) == (mpp, mpp * ratio, "file")


@pytest.mark.parametrize("mpp", [0.025, 0.05, 25400 / 300, 25400 / 96, 25400 / 72, 250.0, 2.5e-4, -0.25, 5e-324,
                                 "nan", "inf", "-inf", "1e308"])  # fmt: skip
def test_values_that_no_scanner_has_are_asked_about_by_name(mpp):
    scale = read_scale(properties(mpp, 40))
    assert (scale.source, scale.reason["code"]) == (None, "mpp-implausible")
    assert f"{float(mpp):.6g}" in scale.reason["detail"]


@pytest.mark.parametrize("mpp", [0, "0.0", "", "n/a", "0x1"])
def test_what_is_no_value_states_nothing(mpp):
    assert read_scale(properties(mpp)).reason["code"] == "mpp-missing"
    guess = read_scale(properties(mpp, "20x"))
    assert (guess.x, guess.y, guess.source) == (0.5, 0.5, "objective")


@pytest.mark.parametrize(("power", "mpp"), [(10, 1.0), ("40", 0.25), ("2,5", 4.0), (100, 0.1)])
def test_an_objective_alone_is_a_guess(power, mpp):
    assert read_scale(properties(None, power)) == read_scale(properties((None, None), power))
    assert (read_scale(properties(None, power)).x, read_scale(properties(None, power)).source) == (mpp, "objective")


@pytest.mark.parametrize("power", [0, -40, 1000, 1.25, "nan", "inf", 5e-324, "plan"])
def test_an_implausible_objective_is_no_guess(power):
    assert read_scale(properties(None, power)).reason["code"] == "mpp-missing"
    assert read_scale(properties(0.25, power)).source == "file"


@pytest.mark.parametrize(("mpp", "power"), [(2.5, 40), (0.1, 10), (0.1, 20), (2.525, 40)])
def test_a_scale_that_its_objective_contradicts_is_asked_about(mpp, power):
    reason = read_scale(properties(mpp, power)).reason
    assert reason["code"] == "mpp-contradicts-objective"
    assert f"{mpp:g}" in reason["detail"]
    assert f"{power:g}×" in reason["detail"]


@pytest.mark.parametrize(("mpp", "power"), [(0.243, 40), (0.2208, 40), (0.11, 40), (0.243, 20), (0.325, 20), (1.0, 40)])
def test_adapters_cameras_and_reduced_exports_are_no_contradiction(mpp, power):
    assert read_scale(properties(mpp, power)).source == "file"


@pytest.mark.parametrize(("mpp", "code"), [
    ((0.2425, 0.2426), None), ((0.25, 0.2525), None), ((0.275, 0.25), "mpp-not-square"),
    ((0.25, 0.5), "mpp-not-square"),
])  # fmt: skip
def test_pixels_may_differ_by_five_percent_along_the_axes(mpp, code):
    reason = doubt(mpp, None)
    assert (reason and reason["code"]) == code


def pixels(x, y, unit_x=None, unit_y=None):
    units = "".join(f' PhysicalSize{axis}Unit="{unit}"' for axis, unit in (("X", unit_x), ("Y", unit_y)) if unit)
    tag = f'<Pixels ID="P:0" SizeX="9" PhysicalSizeX="{x}" PhysicalSizeY="{y}"{units} Type="uint8"/>'
    return f'<?xml version="1.0"?><OME xmlns="x"><Image ID="I:0" Name="a">{tag}</Image></OME>'


@pytest.mark.parametrize(("text", "mpp"), [
    (pixels(0.25, 0.25), 0.25), (pixels(250, 250, "nm", "nm"), 0.25), (pixels(0.00025, 0.00025, "mm", "mm"), 0.25),
    (pixels(0.25, 0.25, "µm", "μm"), 0.25), (pixels(0.25, 0.25, "&#181;m", "&#xB5;m"), 0.25),
    (pixels("0,25", "0,25"), 0.25), (pixels(0.25, 250, "µm", "nm"), 0.25),
])  # fmt: skip
def test_ome_states_its_unit(text, mpp):
    assert ome_mpp(text) == (pytest.approx(mpp), pytest.approx(mpp))
    ours = read_scale(properties(25400 / 72), text)
    assert (ours.source, ours.x) == ("file", pytest.approx(mpp)), "OME's size comes before the print resolution"


@pytest.mark.parametrize("text", ["", "ImageJ=1.53", pixels(1, 1, "pixel", "pixel"), pixels(0, 0), pixels("a", "b")])
def test_what_is_no_ome_or_has_no_length_states_nothing(text):
    assert ome_mpp(text) is None


def test_an_implausible_ome_size_is_asked_about():
    assert read_scale({}, pixels(250, 250)).reason["code"] == "mpp-implausible", "nm without its unit"
