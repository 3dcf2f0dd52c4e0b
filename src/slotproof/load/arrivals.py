"""Which calls a worker makes, and when."""

from __future__ import annotations

from dataclasses import dataclass

from slotproof.plan.arrivals import arrival_times_s
from slotproof.plan.plan import Plan


@dataclass(frozen=True)
class Arrival:
    """One planned call: number (from 1), life-size seconds after the load's start, and that moment's monotonic ns."""

    call: int
    at_s: float
    due_ns: int


def own_arrivals(plan: Plan, worker: int, t0_ns: int) -> list[Arrival]:
    """This worker's calls: of the plan's arrivals every n-th, so that the workers share them without overlap."""
    times_s = arrival_times_s(plan.scenario.load, plan.seed)
    return [
        Arrival(call, at_s, t0_ns + round(plan.wall_s(at_s) * 1e9))
        for call, at_s in enumerate(times_s, 1)
        if (call - 1) % plan.scenario.load.workers == worker
    ]
