"""The windows of a run, in monotonic nanoseconds: warm-up, steady, during and after each fault.

A request belongs to a window by its intended time, so that a frozen system cannot push its victims out of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slotproof.plan.objective import AfterWindow, DuringWindow, Objective
from slotproof.plan.plan import Plan
from slotproof.record.events import Phase
from slotproof.record.record import Record

Span = tuple[int, int]
"""From (included) and to (excluded)."""


@dataclass(frozen=True)
class Windows:
    """`during`, `recovery` and `after` by fault id, without faults that were never injected (or healed)."""

    warm_up: Span
    load: Span
    during: Mapping[str, Span]
    recovery: Mapping[str, Span]
    after: Mapping[str, Span]

    @property
    def all(self) -> Sequence[Span]:
        """The whole load but its warm-up."""
        return _lasting([(self.warm_up[1], self.load[1])])

    @property
    def steady(self) -> Sequence[Span]:
        """Everything outside warm-up, faults and recovery."""
        spans = list(self.all)
        for disturbed in (*self.during.values(), *self.recovery.values()):
            spans = [part for span in spans for part in _without(span, disturbed)]
        return spans

    def of(self, objective: Objective) -> Sequence[Span]:
        """The spans of an objective's window; empty when there was no such time."""
        window = objective.window
        if isinstance(window, DuringWindow):
            return _lasting([self.during[window.during]] if window.during in self.during else [])
        if isinstance(window, AfterWindow):
            return _lasting([self.after[window.after]] if window.after in self.after else [])
        return self.steady if window == "steady" else self.all


def find_windows(plan: Plan, record: Record) -> Windows:
    """Warm-up as planned, faults as the journal says. `after` begins when the time allowed for recovery is over.

    A load that did not end (the run was aborted or killed) ends with what is known of it.
    """
    begins = record.load_started_ns
    ends = max(begins, _load_ended_ns(record))
    warm_up_ends = min(ends, begins + _wall_ns(plan, plan.scenario.load.warm_up_s))
    allowed_ns = _wall_ns(plan, plan.experiment.recovery_s) if plan.experiment else 0
    during: dict[str, Span] = {}
    recovery: dict[str, Span] = {}
    after: dict[str, Span] = {}
    for fault in record.fault_spans:
        if fault.injected_ns is None:
            continue
        during[fault.fault_id] = (fault.injected_ns, ends if fault.healed_ns is None else fault.healed_ns)
        if fault.healed_ns is not None:
            recovered = fault.healed_ns + allowed_ns
            recovery[fault.fault_id] = (fault.healed_ns, recovered)
            after[fault.fault_id] = (recovered, ends)
    return Windows((begins, warm_up_ends), (begins, ends), during, recovery, after)


def duration_s(spans: Sequence[Span]) -> float:
    """Wall seconds."""
    return sum(to - start for start, to in spans) / 1e9


def inside(times_ns: npt.NDArray[np.int64], spans: Sequence[Span]) -> npt.NDArray[np.bool_]:
    """Which times lie in one of the spans."""
    chosen = np.zeros(len(times_ns), dtype=np.bool_)
    for start, to in spans:
        chosen |= (times_ns >= start) & (times_ns < to)
    return chosen


def _load_ended_ns(record: Record) -> int:
    for phase in (Phase.LOAD_ENDED, Phase.ABORTED):
        at = record.phase_ns(phase)
        if at is not None:
            return at
    return int(record.ops_frame["complete_ns"].max()) if record.ops.num_rows else record.load_started_ns


def _wall_ns(plan: Plan, life_s: float) -> int:
    return round(plan.wall_s(life_s) * 1e9)


def _without(span: Span, hole: Span) -> Sequence[Span]:
    return _lasting([(span[0], min(span[1], hole[0])), (max(span[0], hole[1]), span[1])])


def _lasting(spans: Sequence[Span]) -> list[Span]:
    return [(start, to) for start, to in spans if start < to]
