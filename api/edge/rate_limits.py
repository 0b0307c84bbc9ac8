"""Token buckets for rate limits."""

from dataclasses import dataclass, field

from cachetools import TTLCache

MOST_KEYS, IDLE_SECONDS = 4096, 600.0


@dataclass
class Buckets:
    """One token bucket a key: `burst` requests at once, `rate` a second in the long run. A rate of 0: no limit.

    Each process counts for itself.
    """

    rate: float
    burst: float
    _tokens: TTLCache[str, tuple[float, float]] = field(default_factory=lambda: TTLCache(MOST_KEYS, IDLE_SECONDS))

    def take(self, key: str, at: float) -> bool:
        """Takes one token, if there is one.

        Args:
            at: seconds of a monotonic clock.
        """
        tokens, filled_at = self._tokens.get(key, (self.burst, at))
        tokens = min(self.burst, tokens + (at - filled_at) * self.rate)
        if self.rate and tokens < 1:
            return False
        self._tokens[key] = (tokens - 1, at)
        return True
