"""Seeded mutants of small slides: bytes flipped, tags overwritten, pieces cut out, doubled or moved."""

import struct
from collections.abc import Iterator
from random import Random

NASTY = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFF00, 0x7FFFFFFF, 0xFFFFFFFF)


def mutants(content: bytes, seed: int, count: int) -> Iterator[bytes]:
    """`count` damaged copies; the same for the same seed."""
    for number in range(count):
        rng = Random(f"{seed}-{number}")
        damaged = bytearray(content)
        for _ in range(rng.choice((1, 1, 2, 5, 20))):
            rng.choice((_flip, _overwrite, _cut, _repeat, _swap))(damaged, rng)
        yield bytes(damaged)


def _place(content: bytearray, rng: Random) -> int:
    """Often near the ends, where headers and directories lie."""
    span = len(content) if rng.random() < 0.4 else min(len(content), 600)
    offset = rng.randrange(max(1, span))
    return offset if rng.random() < 0.5 else max(0, len(content) - 1 - offset)


def _flip(content: bytearray, rng: Random) -> None:
    if content:
        content[_place(content, rng)] ^= 1 << rng.randrange(8)


def _overwrite(content: bytearray, rng: Random) -> None:
    value, form = rng.choice(NASTY), rng.choice(("<H", "<I", "<Q", ">I"))
    packed = struct.pack(form, value & (1 << 8 * struct.calcsize(form)) - 1)
    place = _place(content, rng)
    content[place : place + len(packed)] = packed


def _cut(content: bytearray, rng: Random) -> None:
    place = _place(content, rng)
    del content[place : place + rng.choice((1, 16, 1000, len(content)))]


def _repeat(content: bytearray, rng: Random) -> None:
    place = _place(content, rng)
    content[place:place] = content[place : place + rng.choice((1, 12, 300))]


def _swap(content: bytearray, rng: Random) -> None:
    one, other = _place(content, rng), _place(content, rng)
    one_part, other_part = content[one : one + 8], content[other : other + 8]
    if len(one_part) == len(other_part) == 8 and abs(one - other) >= 8:
        content[one : one + 8], content[other : other + 8] = other_part, one_part
