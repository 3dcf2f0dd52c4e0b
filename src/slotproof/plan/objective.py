"""An objective (SLO): indicator, comparator, limit, window (CONTRACTS.md sections 5 and 6)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag, model_validator

from slotproof.plan.base import Name, PositiveSeconds, Strict
from slotproof.record.schemas import Kind, Outcome


class Measure(StrEnum):
    """What is measured of each request (n counts requests; `none` and `pending` are answers too)."""

    LATENCY_MS = "latency_ms"  # from the intended start to the answer
    LATENCY_NET_MS = "latency_net_ms"  # … less the time the service waited for Cal.com
    ANSWERED_WITHIN_S = "answered_within_s"  # share answered, whatever the answer, within limit_s
    SERVED = "served"  # share answered with ok, taken, not_held or pending (within limit_s, when given)
    GOODPUT_PER_S = "goodput_per_s"  # served requests a second (within limit_s, when given)
    HONOURED = "honoured"  # share of pending bookings that ended live in database and calendar
    CALCOM_REQUESTS_PER_MIN = "calcom_requests_per_min"  # the most that the calendar saw in any minute


class Statistic(StrEnum):
    P50 = "p50"
    P90 = "p90"
    P95 = "p95"
    P99 = "p99"
    P999 = "p999"
    SHARE = "share"
    RATE = "rate"
    MAX = "max"

    @property
    def quantile(self) -> float | None:
        return {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}.get(self.value)


_STATISTICS = {
    Measure.LATENCY_MS: {Statistic.P50, Statistic.P90, Statistic.P95, Statistic.P99, Statistic.P999},
    Measure.LATENCY_NET_MS: {Statistic.P50, Statistic.P90, Statistic.P95, Statistic.P99, Statistic.P999},
    Measure.ANSWERED_WITHIN_S: {Statistic.SHARE},
    Measure.SERVED: {Statistic.SHARE},
    Measure.GOODPUT_PER_S: {Statistic.RATE},
    Measure.HONOURED: {Statistic.SHARE},
    Measure.CALCOM_REQUESTS_PER_MIN: {Statistic.MAX},
}


class DuringWindow(Strict):
    during: Name


class AfterWindow(Strict):
    after: Name


def _window_tag(value: Any) -> str:
    """Which form of a window was meant, so that an error speaks of that one only."""
    if isinstance(value, DuringWindow | AfterWindow):
        return "during" if isinstance(value, DuringWindow) else "after"
    if isinstance(value, dict):
        return "after" if any(str(key).startswith("a") for key in value) else "during"
    return "word"


Window = Annotated[
    Annotated[Literal["steady", "all"], Tag("word")]
    | Annotated[DuringWindow, Tag("during")]
    | Annotated[AfterWindow, Tag("after")],
    Discriminator(_window_tag),
]


class WaitsOn(StrEnum):
    """`delays` are scaled waits and reported life-size; `computing` is wall time as it is (CONTRACTS.md section 5)."""

    DELAYS = "delays"
    COMPUTING = "computing"


class Objective(Strict):
    """`below` or `above`, exactly one. Limits on `delays` are life-size, on `computing` wall time."""

    id: Name
    title: str | None = None
    kind: Kind | Literal["any"]
    measure: Measure
    statistic: Statistic
    below: float | None = None
    above: float | None = None
    limit_s: PositiveSeconds | None = None
    outcomes: tuple[Outcome, ...] | None = None
    window: Window
    waits_on: WaitsOn

    @model_validator(mode="after")
    def _is_coherent(self) -> Objective:
        if (self.below is None) == (self.above is None):
            raise ValueError("an objective needs exactly one of `below` and `above`")
        if self.statistic not in _STATISTICS[self.measure]:
            allowed = ", ".join(sorted(_STATISTICS[self.measure]))
            raise ValueError(f"statistic {self.statistic} does not fit measure {self.measure}; it takes {allowed}")
        if self.measure is Measure.ANSWERED_WITHIN_S and self.limit_s is None:
            raise ValueError("measure answered_within_s needs `limit_s`")
        return self

    @property
    def fault_id(self) -> str | None:
        """The fault that the window names, if any."""
        if isinstance(self.window, DuringWindow):
            return self.window.during
        return self.window.after if isinstance(self.window, AfterWindow) else None

    @property
    def window_text(self) -> str:
        if isinstance(self.window, str):
            return self.window
        return f"during {self.window.during}" if isinstance(self.window, DuringWindow) else f"after {self.window.after}"
