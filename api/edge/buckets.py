"""Token buckets for rate limits."""

from dataclasses import dataclass, field

from cachetools import TTLCache

REMEMBERED = 4096


@dataclass
class Buckets:
    """Token buckets: `burst` requests at once, `rate` a second in the long run, for each key. 0 a second: no limit.

    Each process counts for itself.
    """

    rate: float
    burst: float
    _kept: TTLCache[str, tuple[float, float]] = field(default_factory=lambda: TTLCache(REMEMBERED, 600.0))

    def take(self, key: str, at: float) -> bool:
        """One token, if there is one."""
        left, since = self._kept.get(key, (self.burst, at))
        left = min(self.burst, left + (at - since) * self.rate)
        if self.rate and left < 1:
            return False
        self._kept[key] = (left - 1, at)
        return True
