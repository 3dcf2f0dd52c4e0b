"""Stop conditions of an experiment: abort a run that has gone far enough wrong (exit 30)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from slotproof.plan.experiment import StopCondition


class StopWatch:
    """Looks at the load's figures; a condition fires when its figure stayed above its limit for its time."""

    def __init__(
        self, conditions: Sequence[StopCondition], time_scale: float, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._conditions = tuple(conditions)
        self._time_scale = time_scale
        self._now_s = now_s
        self._above_since: dict[int, float] = {}

    def look(self, figures: Mapping[str, float]) -> str | None:
        """Why the run must stop now, or None."""
        now = self._now_s()
        for index, condition in enumerate(self._conditions):
            value = _value(condition, figures)
            if value <= condition.above:
                self._above_since.pop(index, None)
                continue
            since = self._above_since.setdefault(index, now)
            if now - since >= condition.for_s / self._time_scale:
                return f"{condition.measure} stayed above {condition.above:g} for {condition.for_s:g} s"
        return None


def _value(condition: StopCondition, figures: Mapping[str, float]) -> float:
    if condition.measure == "calls_in_progress":
        return figures.get("in_progress", 0.0)
    ops = figures.get("ops", 0.0)
    return figures.get("errors", 0.0) / ops if ops else 0.0
