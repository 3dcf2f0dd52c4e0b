"""Slots and times in one integer, so that one sort and one search serve all slots at once (CHECKER.md section 3b.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slotproof.checks.exact.model import BEFORE, END_UNKNOWN
from slotproof.record.columns import Ints, Numbers

_LARGEST = 2**62


class Timeline:
    """Keys in order of slot, then time. Inside a slot 0 is before everything, and `beyond` the largest.

    Where slots x span of time would not fit into 62 bits, times are replaced by their ranks: only order counts.
    """

    def __init__(self, slots: int, times: Sequence[Ints]) -> None:
        known = [(int(each.min()), int(each.max())) for each in map(_only_times, times) if each.size]
        self._first = min((low for low, _ in known), default=0)
        self._ranks: Ints | None = None
        length = max((high for _, high in known), default=0) - self._first + 3  # one later than all is ordinary too
        if (length + 4) * (slots + 1) >= _LARGEST:
            self._ranks = np.unique(np.concatenate([_only_times(each) for each in times]))
            length = len(self._ranks) + 2
        self.span = length + 4
        self._end_unknown = length + 1
        self.beyond = length + 3

    @property
    def is_ranked(self) -> bool:
        """Whether it knows only the times that it was made of."""
        return self._ranks is not None

    def keys(self, slot: Numbers, times: Ints) -> Ints:
        """`times` in nanoseconds, or BEFORE, END_UNKNOWN, NEVER, BEYOND of the model."""
        if self._ranks is not None:
            keys = np.searchsorted(self._ranks, times).astype(np.int64) + 2
        else:
            keys = times - (self._first - 2)
        late = times >= END_UNKNOWN
        if late.any():
            keys[late] = times[late] - END_UNKNOWN + self._end_unknown
        keys[times <= BEFORE] = 0
        keys += slot.astype(np.int64) * self.span
        return keys


def _only_times(times: Ints) -> Ints:
    ordinary = (times > BEFORE) & (times < END_UNKNOWN)
    return times if ordinary.all() else times[ordinary]
