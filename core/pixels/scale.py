"""The scale of a slide, in µm per level-0 pixel: reads it from a file's properties, and says which values to doubt.

A wrong scale gives wrong results without an error: the network sees tissue at another magnification, and every length
and area is off. So a value that no scanner has is not used. The slide waits for a person's (`needs_input`), and the
reason names the file's value. Three rules decide:

* Limits. Scanners have objectives of 2.5× to 100×. At 10 / power that is 4 to 0.1 µm; 0.08 leaves room for cameras with
  small pixels. 0.025 (40×, ten times too fine), 84.7 (300 dpi) and 352.8 (72 dpi) lie outside.
* Objective. mpp · power is 10 on the common scanners, and 4.4 to 13 on those with adapters or small camera pixels. A
  product beyond 2.5 to 40 contradicts the objective: a decimal point or a unit is wrong in one of the two.
* Square pixels. The frame reads axes that differ. Scanners differ by less than 1 %, so above 5 % a value is wrong.

Zero and text that is no number state nothing. Then 10 / power of the objective is a guess (source "objective").
"""

import html
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Pair = tuple[float, float]  # µm per pixel along x and y

FINEST_MPP, COARSEST_MPP = 0.08, 4.0
MOST_UNEQUAL = 1.05
POWER_TIMES_MPP = (2.5, 40.0)
COMMON = 10.0  # power · mpp of most scanners
MPP = ("openslide.mpp-x", "openslide.mpp-y")
POWER = "openslide.objective-power"
OME_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")
OME_SIZE = re.compile(r"""\bPhysicalSize([XY])(Unit)?\s*=\s*["']([^"']*)["']""")
# The OME schema's default is µm. It has two code points: U+00B5 and U+03BC.
OME_UNITS = {
    "µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "pm": 1e-6, "Å": 1e-4, "mm": 1e3, "cm": 1e4, "m": 1e6, "in": 25400.0
}  # fmt: skip
STATE_IT = "give mpp, for example 0.25 for 40× or 0.5 for 20×"
CORRECT_IT = f"{STATE_IT}, with a reason"


@dataclass(frozen=True)
class Scale:
    """µm per pixel with its source (file or objective), or the reason why there is none: code, detail, action."""

    x: float | None = None
    y: float | None = None
    source: str | None = None
    reason: dict[str, Any] | None = None


def read_scale(properties: Mapping[str, str], description: str = "") -> Scale:
    """Returns the scale of a file. `properties`: OpenSlide's. `description`: of a TIFF, which may be OME-XML."""
    stated, power = ome_mpp(description) or _stated(properties), objective_power(properties)
    if stated is None and power is None:
        return Scale(reason=MISSING)
    if stated is None:
        assert power is not None
        return Scale(COMMON / power, COMMON / power, "objective")
    reason = doubt(stated, power)
    return Scale(*stated, "file") if reason is None else Scale(reason=reason)


def doubt(mpp: Pair, power: float | None) -> dict[str, Any] | None:
    """Returns why a stated scale is not to be used (code, detail, action, parameters), or None."""
    values = " × ".join(f"{value:.6g}" for value in (mpp if mpp[0] != mpp[1] else mpp[:1]))
    stated: dict[str, Any] = {
        "mpp_x": f"{mpp[0]:.6g}",
        "mpp_y": f"{mpp[1]:.6g}",
    }  # texts: JSON has no NaN and no infinity
    if not all(is_plausible(value) for value in mpp):
        detail = f"the file states {values} µm per pixel; scanners have {FINEST_MPP} to {COARSEST_MPP}"
        return _reason("mpp-implausible", detail, **stated, finest=FINEST_MPP, coarsest=COARSEST_MPP)
    if max(mpp) > MOST_UNEQUAL * min(mpp):
        detail = f"the file states pixels that are not square: {values} µm"
        return _reason("mpp-not-square", detail, **stated)
    if power is not None and not all(POWER_TIMES_MPP[0] <= value * power <= POWER_TIMES_MPP[1] for value in mpp):
        usual = COMMON / power
        detail = f"the file states {values} µm per pixel with an objective of {power:g}×, which has about {usual:.3g}"
        return _reason("mpp-contradicts-objective", detail, **stated, power=power, usual=usual)
    return None


def is_plausible(mpp: float) -> bool:
    """Whether a scanner can have this many µm per pixel. False for NaN."""
    return FINEST_MPP <= mpp <= COARSEST_MPP


def objective_power(properties: Mapping[str, str]) -> float | None:
    """Returns the power of the objective, None where no plausible one is stated."""
    power = _number(properties.get(POWER, "").strip().rstrip("xX×"))
    return power if power is not None and is_plausible(COMMON / power) else None


def ome_mpp(description: str) -> Pair | None:
    """Returns PhysicalSizeX and Y of the first image of an OME-XML in µm; None where it lacks one or has no unit.

    https://docs.openmicroscopy.org/ome-model/latest/ (Pixels, UnitsLength).
    """
    tag = OME_PIXELS.search(description)
    if tag is None:
        return None
    fields = {axis + unit: html.unescape(value) for axis, unit, value in OME_SIZE.findall(tag.group())}
    sizes = [_number(fields.get(axis, "")) for axis in "XY"]
    units = [OME_UNITS.get(fields.get(f"{axis}Unit", "µm").strip()) for axis in "XY"]
    x, y = (size * unit if size and unit else None for size, unit in zip(sizes, units, strict=True))
    return None if x is None or y is None else (x, y)


def _stated(properties: Mapping[str, str]) -> Pair | None:
    x, y = (_number(properties.get(name, "")) for name in MPP)
    return None if x is None or y is None else (x, y)


def _number(text: str) -> float | None:
    """The number of a text, with a decimal point or comma; None for zero, which states nothing, and for other text."""
    try:
        return float(text.strip().replace(",", ".")) or None
    except ValueError:
        return None


def _reason(code: str, detail: str, action: str = CORRECT_IT, **parameters: Any) -> dict[str, Any]:
    return {"code": code, "detail": detail, "action": action, "parameters": parameters}


MISSING = _reason("mpp-missing", "the file does not state its micrometres per pixel", STATE_IT)


def same(one: float | None, other: float | None) -> bool:
    """Whether two scales are one, as far as a person can write them."""
    return one is not None and other is not None and math.isclose(one, other, rel_tol=1e-6)
