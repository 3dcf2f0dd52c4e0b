"""One clock: monotonic nanoseconds, and the pair that turns them into UTC."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class ClockPair:
    """One instant told by both clocks of one machine, in nanoseconds."""

    monotonic_ns: int
    utc_ns: int

    @classmethod
    def now(cls) -> ClockPair:
        """Read both clocks; of three tries the one with the least time between the two monotonic readings."""
        tries = []
        for _ in range(3):
            before = time.monotonic_ns()
            utc = time.time_ns()
            after = time.monotonic_ns()
            tries.append((after - before, (before + after) // 2, utc))
        _, monotonic, utc = min(tries)
        return cls(monotonic, utc)

    def to_utc(self, monotonic_ns: int) -> datetime:
        return datetime.fromtimestamp((self.utc_ns + monotonic_ns - self.monotonic_ns) / 1e9, UTC)

    def to_monotonic_ns(self, utc_ns: int) -> int:
        return self.monotonic_ns + utc_ns - self.utc_ns
