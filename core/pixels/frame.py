"""The network frame: the slide on a lattice of 0.972 µm pixels, centred on the slide.

With s = 0.972 / mpp (level-0 pixels per network pixel), W the slide's width in level-0 pixels and N the smallest
multiple of 16 with N·s ≥ W, network pixel j covers along x the level-0 interval

    [W/2 + (j − N/2)·s,  W/2 + (j + 1 − N/2)·s]

and what lies outside the slide is white. y is the same. Pixel j mirrors onto pixel N − 1 − j, because the lattice is
centred and N is even; so the frame of a turned or mirrored slide is the turned or mirrored frame, and resampling
commutes with all eight views (D4).

A 10× scan is up to 9 % coarser than the network (s < 1): its pixels are divided rather than averaged, and no detail is
added. docs/usage.md has how far that moves the scores.

The network sees 96 px around a cell's centre. A halo of 48 px on every side therefore gives every edge a cell: with it
the frame has N + 96 pixels and N/16 + 1 cells a side, with centres at j = 0, 16, …, N.
"""

import math
from dataclasses import dataclass

from core.errors import Invalid

NETWORK_MPP = 0.972  # of PatchCamelyon: Camelyon16's 0.243 µm at 40×, times 4
COARSEST_MPP = 1.06  # of a slide: 10× scans have 1.00 to 1.05, and scores at 1.06 were measured (docs/usage.md)
STRIDE_PX = 16
HALO_PX = 48
REGION_PX = 512
SNAP = 1e-3  # a TIFF's rational gives 0.97200001: within 0.1 % a ratio counts as whole


@dataclass(frozen=True)
class Axis:
    """One axis of the network frame: `length_l0_px` level-0 pixels of `mpp` µm."""

    length_l0_px: int
    mpp: float

    @property
    def scale(self) -> float:
        """Level-0 pixels per network pixel; a whole number when within 0.1 % of one (1: not resampled)."""
        ratio = NETWORK_MPP / self.mpp
        nearest = round(ratio)
        return float(nearest) if abs(ratio - nearest) <= SNAP * ratio else ratio

    @property
    def size_net_px(self) -> int:
        """N, a multiple of 16; the halo is not included."""
        exact = self.length_l0_px / self.scale
        return STRIDE_PX * max(1, math.ceil(exact / STRIDE_PX - 1e-6))  # rounding must not add 16 px of glass

    @property
    def cells(self) -> int:
        return self.size_net_px // STRIDE_PX + 1

    def to_l0(self, x_net: float) -> float:
        """Returns the level-0 coordinate of lattice line x_net, which is 0 at the frame's edge without its halo."""
        return self.length_l0_px / 2 + (x_net - self.size_net_px / 2) * self.scale

    def to_net(self, x_l0: float) -> float:
        """Returns the lattice coordinate of a level-0 one: the inverse of `to_l0`."""
        return (x_l0 - self.length_l0_px / 2) / self.scale + self.size_net_px / 2


@dataclass(frozen=True)
class Frame:
    """The network frame of a slide.

    Raises (on `from_slide`):
        Invalid: the slide is coarser than COARSEST_MPP: the network would need detail that was not scanned.
    """

    x: Axis
    y: Axis

    @classmethod
    def from_slide(cls, width_l0_px: int, height_l0_px: int, mpp_x: float, mpp_y: float) -> "Frame":
        coarsest = max(mpp_x, mpp_y)
        if coarsest > COARSEST_MPP:
            raise Invalid(
                "slide-too-coarse",
                f"the slide has {coarsest:.3f} µm per pixel; the network reads {NETWORK_MPP}, at most {COARSEST_MPP} "
                "can be analysed, and detail that was not scanned cannot be made up",
                "rescan at 10× or higher; if the slide's value is wrong, correct its mpp with a reason",
                mpp=coarsest,
                coarsest=COARSEST_MPP,
            )
        return cls(Axis(width_l0_px, mpp_x), Axis(height_l0_px, mpp_y))

    @property
    def is_coarser_than_network(self) -> bool:
        """Whether an axis has less than one level-0 pixel per network pixel, so that pixels are divided."""
        return min(self.x.scale, self.y.scale) < 1

    def cell_area_um2(self) -> float:
        """Returns the area of a cell's own square, 16×16 network pixels."""
        pixel = self.x.scale * self.x.mpp * self.y.scale * self.y.mpp
        return STRIDE_PX * STRIDE_PX * pixel
