"""How long an operation takes and where in it: the latency profile and, on top, behaviours.

Profile `real`, life-size: slots 300-800 ms, booking 1.5-5 s (FACTS-calcom-retell.md section 4.1), other endpoints
150-400 ms; all divided by the time scale. Most of a booking's time lies between its check and its insert
(FACTS-faults.md section 1.2).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from calcom_stub.behaviours import Behaviours, Endpoint, Stage
from calcom_stub.trace import RequestTrace


class LatencyProfile(StrEnum):
    REAL = "real"
    NONE = "none"


_BOOKING_MS = (1500.0, 5000.0)
_OTHER_MS = (150.0, 400.0)
_LATENCY_MS = {
    Endpoint.BOOKINGS_CREATE: _BOOKING_MS,
    Endpoint.BOOKINGS_RESCHEDULE: _BOOKING_MS,
    Endpoint.SLOTS_GET: (300.0, 800.0),
}
_BOOKING_SHARES = {Stage.BEFORE_CHECK: 0.2, Stage.BEFORE_INSERT: 0.6, Stage.BEFORE_REPLY: 0.2}
_READ_SHARES = {Stage.BEFORE_CHECK: 0.5, Stage.BEFORE_REPLY: 0.5}
_SHARES = {
    Endpoint.BOOKINGS_CREATE: _BOOKING_SHARES,
    Endpoint.BOOKINGS_RESCHEDULE: _BOOKING_SHARES,
    Endpoint.BOOKINGS_CANCEL: _BOOKING_SHARES,
    Endpoint.BOOKINGS_CONFIRM: _BOOKING_SHARES,
    Endpoint.BOOKINGS_DECLINE: _BOOKING_SHARES,
}


class Pacing:
    """Draws latencies, one stream of random numbers per endpoint, so that one endpoint's order keeps its draws."""

    def __init__(self, profile: LatencyProfile, time_scale: float, seed: int, behaviours: Behaviours) -> None:
        self._profile = profile
        self._time_scale = time_scale
        self._random = {endpoint: Random(f"{seed}:{endpoint}") for endpoint in Endpoint}
        self._behaviours = behaviours

    def begin(self, endpoint: Endpoint, trace: RequestTrace) -> Pace:
        """The pace of one operation that starts now."""
        return Pace(endpoint, self._draw_s(endpoint), self._behaviours, trace)

    def _draw_s(self, endpoint: Endpoint) -> float:
        if self._profile is LatencyProfile.NONE:
            return 0.0
        shortest_ms, longest_ms = _LATENCY_MS.get(endpoint, _OTHER_MS)
        return self._random[endpoint].uniform(shortest_ms, longest_ms) / 1000 / self._time_scale


@dataclass(frozen=True)
class Pace:
    """One operation's way through its stages; `latency_s` is the wall time of all of them together."""

    endpoint: Endpoint
    latency_s: float
    behaviours: Behaviours
    trace: RequestTrace

    async def reach(self, stage: Stage) -> None:
        """Returns when the operation has come past the stage."""
        if self.latency_s:
            await asyncio.sleep(self.latency_s * _SHARES.get(self.endpoint, _READ_SHARES)[stage])
        await self.behaviours.hold(self.endpoint, stage, self.trace)
