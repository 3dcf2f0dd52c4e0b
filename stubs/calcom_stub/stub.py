"""Puts the parts together: one calendar behind an API app and a control app."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from starlette.types import ASGIApp

from calcom_stub.api import Api
from calcom_stub.behaviours import Behaviours
from calcom_stub.calendar import Calendar
from calcom_stub.control import Control
from calcom_stub.gate import Gate
from calcom_stub.ledger import Ledger
from calcom_stub.operations import Operations
from calcom_stub.pacing import LatencyProfile, Pacing
from calcom_stub.rate_limit import SUSPEND_AFTER_S, RateLimiter
from calcom_stub.subscriptions import Subscriptions
from calcom_stub.trace import Tracer
from calcom_stub.webhooks import Webhooks
from calcom_stub.world import World

REQUESTS_PER_MIN = 120
"""The vendor's default for an API key (FACTS-calcom-retell.md section 1.9)."""


@dataclass(frozen=True)
class Settings:
    """`requests_per_min` and latencies are life-size; the scale multiplies the former and divides the latter."""

    ledger_path: Path
    trace_path: Path | None = None
    time_scale: float = 1.0
    requests_per_min: int = REQUESTS_PER_MIN
    latency: LatencyProfile = LatencyProfile.REAL
    seed: int = 0

    @property
    def requests_per_wall_min(self) -> int:
        return max(1, round(self.requests_per_min * self.time_scale))


def utc_now() -> datetime:
    return datetime.now(UTC)


class CalcomStub:
    """One stub: `api` and `control` are ASGI apps of one event loop. Raises LedgerError and OSError."""

    def __init__(
        self,
        world: World,
        settings: Settings,
        *,
        now: Callable[[], datetime] = utc_now,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._ledger = Ledger(settings.ledger_path, clock_ns)
        self._tracer = Tracer(settings.trace_path, clock_ns)
        calendar = Calendar()
        behaviours = Behaviours(clock_ns)
        limiter = RateLimiter(settings.requests_per_wall_min, clock_ns, SUSPEND_AFTER_S / settings.time_scale)
        pacing = Pacing(settings.latency, settings.time_scale, settings.seed, behaviours)
        subscriptions = Subscriptions()
        self._webhooks = webhooks = Webhooks(subscriptions, now, settings.seed)
        operations = Operations(calendar, pacing, self._ledger, webhooks, now, clock_ns)
        gate = Gate(Api(world, calendar, operations, subscriptions, self._tracer, now).app(), limiter)
        self.api: ASGIApp = gate
        self.control: ASGIApp = Control(
            calendar, operations, gate, limiter, self._ledger, behaviours, webhooks, world
        ).app()

    async def stop(self) -> None:
        """Ends what the stub has in progress by itself; in the event loop that served it, before `close`."""
        await self._webhooks.stop()

    def close(self) -> None:
        self._ledger.close()
        self._tracer.close()
