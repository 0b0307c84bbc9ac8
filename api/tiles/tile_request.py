"""A tile's address and its parts."""

import re
from dataclasses import dataclass

from api.contract.calls import DEEP_ZOOM_TILE, NATIVE_TILE, PLACEHOLDER, Call

FIELDS = {"slide_id": "[0-9a-f]{32}", "level": r"\d{1,2}", "dz_level": r"\d{1,2}", "col": r"\d{1,7}", "row": r"\d{1,7}"}


def _address(call: Call) -> re.Pattern[str]:
    """The pattern of a tile's address, from the table of calls; `.jpg` is accepted, too."""
    parts = PLACEHOLDER.split(call.path)
    pattern = "".join(f"({FIELDS[part]})" if i % 2 else re.escape(part) for i, part in enumerate(parts))
    return re.compile(pattern.replace("jpeg", "jpe?g"))


ADDRESSES = [(call, _address(call)) for call in (NATIVE_TILE, DEEP_ZOOM_TILE)]


@dataclass(frozen=True)
class TileRequest:
    """A tile of the slide's own grid (`native`) or of the Deep Zoom pyramid."""

    native: bool
    slide_id: str
    level: int
    col: int
    row: int

    @classmethod
    def from_path(cls, path: str) -> "TileRequest | None":
        """None where the path is not a tile's."""
        for call, address in ADDRESSES:
            match = address.fullmatch(path)
            if match:
                return cls(call is NATIVE_TILE, match[1], int(match[2]), int(match[3]), int(match[4]))
        return None

    @property
    def call(self) -> Call:
        return NATIVE_TILE if self.native else DEEP_ZOOM_TILE

    def tag(self, version: str) -> bytes:
        """The ETag (RFC 9110, section 8.8.3)."""
        return f'"{version}-{"n" if self.native else "d"}-{self.level}-{self.col}-{self.row}"'.encode()
