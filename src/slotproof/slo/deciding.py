"""An interval against a limit: met, missed, or how much longer it would take to tell."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from slotproof.plan.objective import Objective
from slotproof.slo.intervals import Interval
from slotproof.slo.results import ObjectiveStatus

_MOST_FACTOR = 1e6


@dataclass(frozen=True)
class Estimate:
    """What was observed of one objective, in its own unit. Infinite figures mean "no answer came".

    `gate` has the bounds that decide, `drawn` the two-sided 95 % interval. `wider(f)` estimates the gate's interval
    if the window lasted `f` times as long and nothing else changed; None when no sampling error is involved.
    """

    observed: float
    gate: Interval
    drawn: Interval
    n: int
    wider: Callable[[float], Interval] | None = None


def decide(objective: Objective, gate: Interval) -> ObjectiveStatus:
    """Met when the bound that is nearest to the limit is within it; missed when the other one is beyond."""
    if objective.below is not None:
        if gate.high is not None and gate.high < objective.below:
            return ObjectiveStatus.MET
        missed = gate.low is not None and gate.low >= objective.below
    else:
        limit = objective.above if objective.above is not None else math.inf
        if gate.low is not None and gate.low > limit:
            return ObjectiveStatus.MET
        missed = gate.high is not None and gate.high <= limit
    return ObjectiveStatus.MISSED if missed else ObjectiveStatus.INCONCLUSIVE


def deciding_factor(objective: Objective, estimate: Estimate) -> float | None:
    """How many times longer the window would have to last; None when no length would decide."""
    if estimate.wider is None:
        return None

    def decides(factor: float) -> bool:
        assert estimate.wider is not None
        return decide(objective, estimate.wider(factor)) is not ObjectiveStatus.INCONCLUSIVE

    low, high = 1.0, 2.0
    while not decides(high):
        low, high = high, high * 2
        if high > _MOST_FACTOR:
            return None
    while high / low > 1.05:
        middle = (low + high) / 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high
