"""Bookings and readers of all slots as arrays, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from slotproof.checks.exact.settle import HELD_BY
from slotproof.record.columns import Flags, Ints, Numbers, Words


@dataclass
class SlotBookings:
    """Bookings of all slots: slot number and intervals. What is said of them later is an index into these."""

    slot: Numbers
    begin_since: Ints
    begin_until: Ints
    end_since: Ints
    end_until: Ints


@dataclass
class SlotReaders:
    """Readers of all slots; `booking` is an index into the bookings for HELD_BY and NOT_HELD, else -1."""

    claim: Words
    slot: Numbers
    booking: Numbers
    since: Ints
    until: Ints


@dataclass(frozen=True)
class Failing:
    """Things that cannot be: in which slot each is, and between which two times (in either order) it goes wrong."""

    slot: Numbers
    since: Ints
    until: Ints

    def count(self, slots: int) -> Ints:
        """How many there are in each slot."""
        return np.bincount(self.slot, minlength=slots)

    def of(self, slots: Flags) -> Failing:
        """Those in these slots."""
        mine = slots[self.slot]
        return Failing(self.slot[mine], self.since[mine], self.until[mine])

    def only(self, slots: Flags) -> Failing:
        """Those in these slots, which are numbered anew."""
        found = self.of(slots)
        return replace(found, slot=(np.cumsum(slots) - 1)[found.slot])

    @classmethod
    def together(cls, parts: Sequence[Failing]) -> Failing:
        slot, since, until = zip(*((each.slot, each.since, each.until) for each in parts), strict=True)
        return cls(np.concatenate(slot), np.concatenate(since), np.concatenate(until))


def tightened(bookings: SlotBookings, readers: SlotReaders) -> SlotBookings:
    """Bounds after what a booking's own replies imply, and the reads that saw it."""
    begin_until = np.minimum(bookings.begin_until, bookings.end_until)
    end_since = np.maximum(bookings.end_since, bookings.begin_since)
    naming = np.flatnonzero(readers.claim == HELD_BY)
    if naming.size:
        named = readers.booking[naming]
        np.minimum.at(begin_until, named, readers.until[naming])
        np.maximum.at(end_since, named, readers.since[naming])
    return replace(bookings, begin_until=begin_until, end_since=end_since)
