"""Components of many slots as arrays, and which of their readers count (CHECKER.md section 3b.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slotproof.record.columns import Flags, Ints, Numbers


@dataclass
class Components:
    """Tied gaps that the greedy could not explain. `slot`, `has_left`, `has_right`: by component.

    `forward`: (component, booking) in order; the first and the last of a component are only its borders where
    `has_left`, `has_right` say so. `readers`, `narrow`: (component, index). `wide`: (first, last, booking), where
    first and last are numbers of `origin`: one may be of many components.
    """

    slot: Numbers
    has_left: Flags
    has_right: Flags
    forward: tuple[Ints, Ints]
    readers: tuple[Ints, Ints]
    narrow: tuple[Ints, Ints]
    wide: tuple[Ints, Ints, Ints]
    origin: Ints

    @property
    def count(self) -> int:
        return len(self.slot)

    def wide_of(self, number: int) -> list[int]:
        """Those that reach the component, the one whose window began last first: earlier components miss it least."""
        first, last, booking = self.wide
        at = self.origin[number]
        mine = np.flatnonzero((first <= at) & (at <= last))
        found: list[int] = booking[mine[np.argsort(-first[mine], kind="stable")]].tolist()
        return found

    def only(self, chosen: Ints) -> Components:
        """Those of the components, renumbered."""
        number = np.full(self.count, -1, np.int64)
        number[chosen] = np.arange(len(chosen))

        def kept(pair: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
            mine = number[pair[0]] >= 0
            return number[pair[0][mine]], pair[1][mine]

        return Components(
            self.slot[chosen], self.has_left[chosen], self.has_right[chosen], kept(self.forward), kept(self.readers),
            kept(self.narrow), self.wide, self.origin[chosen],
        )  # fmt: skip

    def copies(self, times: int) -> Components:
        """Each as often: copy i of component k is component i x count + k."""

        def repeated(pair: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
            shift = np.repeat(np.arange(times) * self.count, len(pair[0]))
            return np.tile(pair[0], times) + shift, np.tile(pair[1], times)

        return Components(
            np.tile(self.slot, times), np.tile(self.has_left, times), np.tile(self.has_right, times),
            repeated(self.forward), repeated(self.readers), repeated(self.narrow), self.wide,
            np.tile(self.origin, times),
        )  # fmt: skip


def innermost(alike: Sequence[Numbers], since: Ints, until: Ints) -> Flags:
    """All but those whose interval contains another one, or the same, that is `alike` in everything else: what
    explains the inner explains the outer."""
    order = np.lexsort((until, -since, *alike))
    begins = np.zeros(len(order), np.bool_)
    for each in alike:
        begins[1:] |= np.diff(each[order]) != 0
    rank = np.searchsorted(np.sort(until), until[order])
    lowered = rank - np.cumsum(begins) * len(order)  # falls from group to group, so that each begins anew
    kept = np.ones(len(order), np.bool_)
    kept[order[1:]] = lowered[1:] < np.minimum.accumulate(lowered)[:-1]
    return kept
