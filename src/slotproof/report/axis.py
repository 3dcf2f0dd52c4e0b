"""The run's one time axis: life-size seconds from the load's start, with everything that shades it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from slotproof.plan.plan import Plan
from slotproof.record.events import Phase
from slotproof.record.record import FaultSpan, Record


@dataclass(frozen=True)
class Band:
    """One fault while it was on. `healed` is False when the record ends before it was healed."""

    fault_id: str
    label: str
    start_s: float
    end_s: float
    healed: bool


@dataclass(frozen=True)
class Axis:
    """From 0 to `end_s`; the load ends at `load_end_s`, what follows is the drain."""

    end_s: float
    warm_up_s: float
    load_end_s: float
    bands: tuple[Band, ...]

    def share(self, at_s: float) -> float:
        """Position on the axis, 0 to 1."""
        return min(1.0, max(0.0, at_s / self.end_s))


def axis_of(plan: Plan, record: Record) -> Axis:
    ended = record.phase_ns(Phase.LOAD_ENDED) or record.phase_ns(Phase.ABORTED)
    load_end_s = record.life_s(ended) if ended is not None else plan.scenario.load.duration_s
    last_s = record.life_s(int(record.ops_frame["complete_ns"].max())) if record.ops.num_rows else 0.0
    end_s = max(load_end_s, last_s, 1.0)
    bands = [_band(span, record, end_s) for span in record.fault_spans if span.injected_ns is not None]
    return Axis(
        end_s=max([end_s, *(band.end_s for band in bands)]),
        warm_up_s=plan.scenario.load.warm_up_s,
        load_end_s=load_end_s,
        bands=tuple(bands),
    )


def _band(span: FaultSpan, record: Record, end_s: float) -> Band:
    assert span.injected_ns is not None
    healed = span.healed_ns is not None
    return Band(
        fault_id=span.fault_id,
        label=f"{span.fault_id}: {span.sentence}" if span.sentence else f"{span.fault_id} ({span.fault})",
        start_s=record.life_s(span.injected_ns),
        end_s=record.life_s(span.healed_ns) if span.healed_ns is not None else end_s,
        healed=healed,
    )


def time_ticks(end_s: float, most: int) -> list[float]:
    """Round seconds from 0; from half a minute on in steps that a clock has."""
    least = end_s / most
    clock = (30, 60, 120, 300, 600, 1200, 1800, 3600)
    step = nice_step(least) if least <= 20 else next((s for s in clock if s >= least), nice_step(least))
    return [index * step for index in range(int(end_s / step) + 1)]


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """Round values in [low, high], at most `most` of them, in steps of 1, 2 or 5 times a power of ten."""
    step = nice_step((high - low) / max(most - 1, 1))
    first = math.ceil(low / step - 1e-9)
    ticks: list[float] = []
    while (first + len(ticks)) * step <= high + step * 1e-9:
        ticks.append((first + len(ticks)) * step)
    return ticks


def nice_step(least: float) -> float:
    """The smallest of 1, 2, 5 x 10^k that is not below `least`."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
