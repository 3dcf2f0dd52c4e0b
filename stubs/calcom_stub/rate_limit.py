"""Requests per minute and the block that follows (FACTS-calcom-retell.md section 1.9).

Per tracker (an API key, or an address without one) a window of 60 s starts with its first request; request number
limit + 1 starts a block of 60 s. Both are protocol constants: wall seconds at every time scale. Who goes on asking for
more than the limit loses the account: that is reported of five minutes (section 4.1), and documented nowhere.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

WINDOW_S = 60
BLOCK_S = 60
SUSPEND_AFTER_S = 300.0
"""Life-size: refused requests count, so that a caller who ignores the block is over the limit all the time."""
_NS = 1_000_000_000


@dataclass(frozen=True)
class Admission:
    """The answer to one request and what its headers say. `reset_s` is seconds left, not a time of day."""

    admitted: bool
    limit: int
    remaining: int
    reset_s: int
    suspended: bool = False

    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit-Default": str(self.limit),
            "X-RateLimit-Remaining-Default": str(self.remaining),
            "X-RateLimit-Reset-Default": str(self.reset_s),
        }


@dataclass
class _Tracker:
    window_ends_ns: int = 0
    blocked_until_ns: int = 0
    hits: int = 0
    recent_ns: deque[int] = field(default_factory=deque)
    """When the requests of the last minute came, refused ones too."""
    over_since_ns: int | None = None
    """Since when the last minute has always had more requests than the limit."""
    suspended: bool = False


class RateLimiter:
    """Counts requests per tracker. `clock_ns` is monotonic nanoseconds; `suspend_after_s` is wall time."""

    def __init__(self, limit: int, clock_ns: Callable[[], int], suspend_after_s: float = SUSPEND_AFTER_S) -> None:
        if limit < 1:
            raise ValueError("the limit must be at least one request per window")
        self.limit = limit
        self._clock_ns = clock_ns
        self._suspend_after_ns = round(suspend_after_s * _NS)
        self._trackers: defaultdict[str, _Tracker] = defaultdict(_Tracker)

    def admit(self, tracker_id: str) -> Admission:
        now_ns = self._clock_ns()
        tracker = self._trackers[tracker_id]
        tracker.recent_ns.append(now_ns)
        _forget_before(tracker.recent_ns, now_ns - WINDOW_S * _NS)
        if self._is_suspended(tracker, now_ns):
            return Admission(False, self.limit, 0, 0, suspended=True)
        if now_ns < tracker.blocked_until_ns:
            return self._refused(tracker, now_ns)
        if now_ns >= tracker.window_ends_ns:  # also after a block, which outlasts the window that it began in
            tracker.window_ends_ns = now_ns + WINDOW_S * _NS
            tracker.hits = 0
        tracker.hits += 1
        if tracker.hits > self.limit:
            tracker.blocked_until_ns = now_ns + BLOCK_S * _NS
            return self._refused(tracker, now_ns)
        return Admission(True, self.limit, self.limit - tracker.hits, _seconds(tracker.window_ends_ns - now_ns))

    def requests_last_min(self) -> int:
        """Requests of the busiest tracker in the last 60 s, refused ones included."""
        earliest_ns = self._clock_ns() - WINDOW_S * _NS
        for tracker in self._trackers.values():
            _forget_before(tracker.recent_ns, earliest_ns)
        return max((len(tracker.recent_ns) for tracker in self._trackers.values()), default=0)

    def blocked_until_ns(self) -> int:
        """The end of the block that lasts longest; 0 when nobody is blocked."""
        latest_ns = max((tracker.blocked_until_ns for tracker in self._trackers.values()), default=0)
        return latest_ns if latest_ns > self._clock_ns() else 0

    def suspended(self) -> int:
        """How many trackers have lost their account."""
        return sum(tracker.suspended for tracker in self._trackers.values())

    def _is_suspended(self, tracker: _Tracker, now_ns: int) -> bool:
        if len(tracker.recent_ns) <= self.limit:
            tracker.over_since_ns = None
        elif tracker.over_since_ns is None:
            tracker.over_since_ns = now_ns
        elif now_ns - tracker.over_since_ns >= self._suspend_after_ns:
            tracker.suspended = True
        return tracker.suspended

    def _refused(self, tracker: _Tracker, now_ns: int) -> Admission:
        return Admission(False, self.limit, 0, _seconds(tracker.blocked_until_ns - now_ns))


def _forget_before(instants_ns: deque[int], earliest_ns: int) -> None:
    while instants_ns and instants_ns[0] <= earliest_ns:
        instants_ns.popleft()


def _seconds(duration_ns: int) -> int:
    return ceil(duration_ns / _NS)
