"""When each call begins: a pure function of load and seed, so that load and judge agree on what was planned."""

from __future__ import annotations

import random
from collections.abc import Iterator

from slotproof.plan.scenario import Load, LoadPhase


def arrival_times_s(load: Load, seed: int) -> list[float]:
    """Life-size seconds from the load's start at which calls begin, ascending; call n (from 1) is at index n-1.

    The warm-up runs at the first phase's rate.
    """
    generator = random.Random(f"arrivals/{seed}")
    first = load.phases[0]
    phases = [first.model_copy(update={"duration_s": load.warm_up_s})] if load.warm_up_s > 0 else []
    times: list[float] = []
    begins = 0.0
    for phase in (*phases, *load.phases):
        times.extend(begins + offset for offset in _offsets(phase, generator))
        begins += phase.duration_s
    return times


def _offsets(phase: LoadPhase, generator: random.Random) -> Iterator[float]:
    step = 1 / phase.calls_per_s
    at = generator.expovariate(phase.calls_per_s) if phase.arrivals == "poisson" else step / 2
    while at < phase.duration_s:
        yield at
        at += generator.expovariate(phase.calls_per_s) if phase.arrivals == "poisson" else step
