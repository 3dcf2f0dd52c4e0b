"""Components of many slots as arrays, and which of their readers count (CHECKER.md section 3b.7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slotproof.checks.exact.settle import FREE, HELD
from slotproof.record.columns import Flags, Ints, Numbers, Words

_LARGEST = 2**62


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


def innermost(owner: Ints, claim: Words, since: Ints, until: Ints) -> Flags:
    """All but those whose interval contains another one of the same component that says the same of nobody in
    particular: what explains the inner explains the outer."""
    kept = np.ones(len(claim), np.bool_)
    for alike in (np.flatnonzero(claim == FREE), np.flatnonzero(claim == HELD)):
        if not alike.size:
            continue
        step = int(until[alike].max()) - int(since[alike].min()) + 1
        if step * (int(owner[alike].max()) + 1) >= _LARGEST:
            continue
        order = alike[np.lexsort((until[alike], -since[alike], owner[alike]))]
        lowered = until[order] - owner[order] * step  # falls from component to component, so that each begins anew
        least = np.minimum.accumulate(lowered)
        kept[order[1:]] = lowered[1:] < least[:-1]
    return kept
