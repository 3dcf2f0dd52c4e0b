"""What the service is told by its environment, and the one place where life-size times become wall times.

Three classes of time (CONTRACTS.md section 5): *waits* on others are divided by the time scale; *guards* on
computing become max(x / scale, min(x, 250 ms)); *protocol constants* are never scaled (see `signatures`, `calcom`).
Per-minute budgets are multiplied by the scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from booking_service.flaws import Flaw, parse_flaws

GUARD_FLOOR_S = 0.25

RECONCILE_PERIOD_S = 15.0
ABANDON_AFTER_S = 90.0
"""Longer than a stalled Cal.com plus link plus margin (CONTRACTS.md section 5)."""


@dataclass(frozen=True)
class TimeScale:
    """Converts life-size seconds to wall seconds."""

    factor: float

    def wait(self, life_size_s: float) -> float:
        """A wait on somebody else: lock lives, deadlines on dependencies, periods."""
        return life_size_s / self.factor

    def guard(self, life_size_s: float) -> float:
        """A guard on computing: keeps a floor, because a processor does not get faster with the scale."""
        return max(life_size_s / self.factor, min(life_size_s, GUARD_FLOOR_S))

    def per_minute(self, life_size_per_min: float) -> float:
        return life_size_per_min * self.factor


@dataclass(frozen=True)
class Durations:
    """Every duration of the service in wall seconds. Made by `Durations.at`; the life-size figures stand there."""

    lock_ttl_s: float
    lock_wait_s: float
    lock_poll_s: float
    redis_budget_s: float
    redis_pause_s: float
    reply_deadline_s: float
    synchronous_reply_deadline_s: float
    calcom_request_s: float
    calcom_connect_s: float
    calcom_budget_wait_s: float
    availability_deadline_s: float
    slots_fresh_s: float
    slots_usable_s: float
    pool_wait_s: float
    pool_growth_pause_s: float
    statement_s: float
    connect_s: float
    retry_s: float
    directory_fresh_s: float
    reconcile_period_s: float
    reconcile_spacing_s: float
    abandon_after_s: float
    drain_s: float

    @classmethod
    def at(cls, scale: TimeScale) -> Durations:
        wait, guard = scale.wait, scale.guard
        return cls(
            lock_ttl_s=wait(30.0),
            lock_wait_s=wait(4.0),
            lock_poll_s=wait(0.5),
            redis_budget_s=guard(0.2),
            redis_pause_s=wait(5.0),
            reply_deadline_s=wait(8.0),
            synchronous_reply_deadline_s=wait(70.0),
            calcom_request_s=wait(60.0),
            calcom_connect_s=guard(5.0),
            calcom_budget_wait_s=wait(2.0),
            availability_deadline_s=wait(6.0),
            slots_fresh_s=wait(3.0),
            slots_usable_s=wait(60.0),
            pool_wait_s=guard(1.0),
            pool_growth_pause_s=guard(0.5),
            statement_s=guard(10.0),
            connect_s=guard(3.0),
            retry_s=wait(1.0),
            directory_fresh_s=wait(30.0),
            reconcile_period_s=wait(RECONCILE_PERIOD_S),
            reconcile_spacing_s=wait(1.0),
            abandon_after_s=wait(ABANDON_AFTER_S),
            drain_s=wait(20.0),
        )


class Settings(BaseModel):
    """The service's environment (docs/interfaces.md)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: str
    redis_url: str
    calcom_url: str
    retell_url: str
    retell_api_key: str = Field(min_length=1, repr=False)
    flaws: frozenset[Flaw] = frozenset()
    time_scale: float = Field(default=1.0, gt=0)
    calcom_requests_per_min: float = Field(default=120.0, gt=0)
    db_pool_size: int = Field(default=50, ge=1)
    trace_path: Path | None = None
    calcom_webhook_secret: str = Field(default="", repr=False)
    transcript_max_bytes: int = Field(default=64 * 1024, ge=0)

    @property
    def scale(self) -> TimeScale:
        return TimeScale(self.time_scale)

    @property
    def durations(self) -> Durations:
        return Durations.at(self.scale)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Settings from `BOOKING_*` variables; a variable that is absent or empty keeps its default.

        Raises:
            pydantic.ValidationError: a required variable is missing or a value is wrong.
            ValueError: an unknown flaw.
        """
        values: dict[str, object] = {
            name: environ[f"BOOKING_{name.upper()}"]
            for name in cls.model_fields
            if name != "flaws" and environ.get(f"BOOKING_{name.upper()}")
        }
        flaws = parse_flaws(environ.get("BOOKING_FLAWS", "").split(","))
        return cls.model_validate({**values, "flaws": flaws})
