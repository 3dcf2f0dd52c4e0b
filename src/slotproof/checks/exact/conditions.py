"""What replies say of the boundaries of gaps, in arrays (CHECKER.md section 3b)."""

from __future__ import annotations

import numpy as np

from slotproof.record.columns import Ints, Numbers


class Conditions:
    """Conditionals of all slots. C: the gap's left boundary is at `since` or later, or its right one at `until` or
    earlier. S: booking behind the gap began at `since` or later, or ended at `until` or earlier."""

    def __init__(self) -> None:
        self.held_gap: list[Ints] = []
        self.held_since: list[Ints] = []
        self.held_until: list[Ints] = []
        self._spans: list[tuple[Numbers, Ints, Ints, Ints]] = []
        self._noted: list[tuple[Ints, Ints]] = []

    def note(self, gap: Ints, tags: Ints) -> None:
        """These are not certainly right, and concern these gaps."""
        self._noted.append((gap.astype(np.int32), tags.astype(np.int32)))

    def add_spanning(self, gap: Numbers, since: Ints, until: Ints, tags: Ints) -> None:
        """For bookings behind these gaps."""
        self._spans.append((gap, since, until, tags))

    def close(self) -> None:
        self.held = tuple(map(np.concatenate, (self.held_gap, self.held_since, self.held_until)))
        gap, since, until, self.span_tags = map(np.concatenate, zip(*self._spans, strict=True))
        self.spans = (gap, since, until)
        self.noted_gap, self.noted = map(np.concatenate, zip(*self._noted, strict=True))
        del self.held_gap, self.held_since, self.held_until, self._spans, self._noted
