"""Reads from the head of a JPEG or JPEG 2000 stream what colours it holds.

ITU T.81, T.871 (JFIF), T.800; Adobe TN 5116.
"""

import struct

from core.pixels.native_tiles import ADOBE, JFIF, SHAPES, SOI, segments_of

COD, SOT = 0xFF52, 0xFF90


def jpeg_states_rgb(stream: bytes) -> bool | None:
    """Whether a JPEG of three components says that they are RGB (True) or YCbCr (False); None where it says neither."""
    if stream[:2] != SOI:
        return None
    stated: bool | None = None
    for kind, start, end in segments_of(stream):
        if kind == ADOBE and stream[start + 4 : start + 9] == b"Adobe":
            return stream[start + 15 : start + 16] == b"\0"
        if kind == JFIF:
            stated = False
        elif kind in SHAPES and stated is None and stream[start + 10 : end : 3] == b"RGB":
            stated = True
    return stated


def j2k_transforms_colours(stream: bytes) -> bool:
    """Whether a JPEG 2000 codestream transforms its colours itself (ICT or RCT), so that decoders give RGB.

    T.800, A.6.1: the multiple component transformation in the COD segment.
    """
    place = 2
    while stream[:2] == b"\xff\x4f" and place + 4 <= len(stream):
        marker, length = struct.unpack(">HH", stream[place : place + 4])
        if marker == COD:
            return stream[place + 8 : place + 9] == b"\x01"
        if marker == SOT or length < 2:
            return False
        place += 2 + length
    return False
