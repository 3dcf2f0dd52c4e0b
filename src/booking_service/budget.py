"""The request budget of one Cal.com API key (FACTS-calcom-retell.md sections 1.9 and 4.1).

A token bucket that can never send more than `limit` requests in any 60 s: its burst and what flows in during a
minute add up to 95 % of the limit; the rest is for requests that a slow link pushes together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from booking_service import errors

WINDOW_S = 60.0
"""Cal.com's window and block; a protocol constant."""

_BURST_SHARE = 0.20
_FLOW_SHARE = 0.75

RECONCILER_RESERVE = 0.0
BOOKING_RESERVE = 0.1
AVAILABILITY_RESERVE = 0.3
"""Shares of the burst that less important requests leave to more important ones."""


class RequestBudget:
    """Admits requests to Cal.com. `requests_per_min` is the wall-time limit (already multiplied by the scale)."""

    def __init__(self, requests_per_min: float, now: Callable[[], float] = time.monotonic) -> None:
        self._capacity = max(1.0, requests_per_min * _BURST_SHARE)
        self._per_s = requests_per_min * _FLOW_SHARE / WINDOW_S
        self._now = now
        self._tokens = self._capacity
        self._filled_at = now()
        self._blocked_until = 0.0

    def take(self, reserve: float = 0.0) -> float:
        """Takes a token and returns 0, or returns the seconds until one may be there, leaving `reserve` untouched."""
        now = self._now()
        if now < self._blocked_until:
            return self._blocked_until - now
        self._tokens = min(self._capacity, self._tokens + (now - self._filled_at) * self._per_s)
        self._filled_at = now
        needed = 1.0 + min(reserve * self._capacity, self._capacity - 1.0)
        if self._tokens >= needed:
            self._tokens -= 1.0
            return 0.0
        return max(0.001, (needed - self._tokens) / self._per_s)

    def give_back(self) -> None:
        """Returns a token whose request was not sent."""
        self._tokens = min(self._capacity, self._tokens + 1.0)

    def block(self, seconds: float) -> None:
        """Cal.com said 429: nothing is sent until its block ends."""
        self._blocked_until = max(self._blocked_until, self._now() + seconds)

    async def acquire(self, max_wait_s: float, reserve: float = 0.0) -> None:
        """Takes a token, waiting at most `max_wait_s`.

        Raises:
            ServiceError: `rate_limited`, at once when the wait could not be long enough.
        """
        give_up_at = self._now() + max_wait_s
        while delay_s := self.take(reserve):
            if self._now() + delay_s > give_up_at:
                raise errors.rate_limited(retry_after_s=max(1, round(delay_s)))
            await asyncio.sleep(delay_s)
