"""Reads network pixels: chooses a level, reads the part of it, and averages it onto the network frame."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from core.pixels.frame import STRIDE_PX, Axis, Frame
from core.pixels.levels import Source
from core.pixels.resample import Spans, area_average, spans

Read = Callable[[Source, int, int, int, int], NDArray[np.uint8]]  # source, x, y, width, height → (height, width, 3)
BLOCKS_AT_ONCE = 128
MOST_READ_SIDE_PX = 6000


def axis_downsample(length_l0: int, length_level: int) -> float:
    """Returns level-0 pixels per level pixel along one axis.

    A level's length is the quotient rounded down or up, so the ratio of lengths is off by up to one pixel at the far
    edge. Where a whole number explains the length, it is the downsample.
    """
    ratio = length_l0 / length_level
    nearest = round(ratio)
    explains = nearest and length_level in (length_l0 // nearest, -(-length_l0 // nearest))
    return float(nearest) if explains else ratio


def best_source(sources: Sequence[Source], pixel_l0: float) -> Source:
    """Returns the coarsest source of at most `pixel_l0` level-0 pixels per pixel; of ties the least shrunk."""
    # 0.1 % of slack: rounded level sizes and TIFF rationals make a level of the right scale look slightly coarser.
    fine_enough = [one for one in sources if max(one.downsample_x, one.downsample_y) <= pixel_l0 * 1.001]
    return max(fine_enough, key=lambda one: (one.downsample_x, -one.shrink), default=sources[0])


def axis_spans(axis: Axis, start_net: int, pixel_net: int, count: int, downsample: float) -> Spans:
    """Returns `count` output pixels of `pixel_net` network pixels each, in pixels of a source.

    Lines are counted from the slide's centre, in whole numbers since N is even: opposite lines differ in sign alone.
    """
    lines = start_net - axis.size_net_px // 2 + pixel_net * np.arange(count + 1)
    return spans(axis.length_l0_px / 2 / downsample, axis.scale / downsample, lines)


def sample(
    read: Read,
    sources: Sequence[Source],
    frame: Frame,
    origin: tuple[int, int],
    shape: tuple[int, int],
    pixel_net: int = 1,
) -> NDArray[np.uint8]:
    """Returns uint8 (*shape, 3): pixels of `pixel_net` network pixels each, from network pixel `origin` (y, x)."""
    # The finer axis decides, so that neither is read from a level coarser than its output.
    source = best_source(sources, pixel_net * min(frame.x.scale, frame.y.scale))
    rows = axis_spans(frame.y, origin[0], pixel_net, shape[0], source.downsample_y)
    cols = axis_spans(frame.x, origin[1], pixel_net, shape[1], source.downsample_x)
    return area_average(read(source, cols.first, rows.first, cols.count, rows.count), rows, cols)


def _blocks_at_once(sources: Sequence[Source], frame: Frame) -> int:
    """Returns how many blocks a side one read may cover, so that a file with few levels needs no more memory."""
    source = best_source(sources, STRIDE_PX * min(frame.x.scale, frame.y.scale))
    block_px = STRIDE_PX * max(frame.x.scale / source.downsample_x, frame.y.scale / source.downsample_y)
    return max(1, min(BLOCKS_AT_ONCE, int(MOST_READ_SIDE_PX / block_px)))


def sample_blocks(read: Read, sources: Sequence[Source], frame: Frame) -> NDArray[np.uint8]:
    """Returns the slide as means of blocks of 16×16 network pixels, uint8 (rows, cols, 3), read in parts."""
    rows, cols = frame.y.size_net_px // STRIDE_PX, frame.x.size_net_px // STRIDE_PX
    out, step = np.empty((rows, cols, 3), np.uint8), _blocks_at_once(sources, frame)
    for row in range(0, rows, step):
        for col in range(0, cols, step):
            shape = (min(step, rows - row), min(step, cols - col))
            origin = (row * STRIDE_PX, col * STRIDE_PX)
            out[row : row + shape[0], col : col + shape[1]] = sample(read, sources, frame, origin, shape, STRIDE_PX)
    return out
