"""One slot, sequentially: "as late as possible" over its forward bookings (CHECKER.md section 3).

A booking is *forward* when it certainly held the slot for a while, its core: from the latest begin to the earliest
end. Cores give the order of the bookings; every reader then bounds at most one boundary of the gap it falls into. The
bounds are a chain in which a later boundary never shrinks the next one's best value, so giving each boundary the
latest value that is allowed loses nothing.

This is the readable reference; each bound remembers the units that set it, so that a failure comes with its witness.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from slotproof.checks.exact.model import BEFORE, BEYOND, Booking, Claim, Reader, Role, Unit


class Bound(NamedTuple):
    """A bound on a boundary, the units that set it, and the bounds that made a conditional one apply."""

    at: int
    units: tuple[Unit, ...]
    because: tuple[Bound, ...] = ()

    def all_units(self) -> frozenset[Unit]:
        found: set[Unit] = set()
        waiting = [self]
        while waiting:
            bound = waiting.pop()
            found.update(bound.units)
            waiting.extend(bound.because)
        return frozenset(found)


class Failure(NamedTuple):
    """Bounds that no order meets, by the units that set them."""

    units: frozenset[Unit]


@dataclass(frozen=True, slots=True)
class Life:
    """A booking's bounds after what its own replies and reads that name it imply. Closed intervals."""

    booking: Booking
    begin_low: Bound
    begin_high: Bound
    end_low: Bound
    end_high: Bound

    @property
    def is_forward(self) -> bool:
        return self.begin_high.at < self.end_low.at

    @property
    def window(self) -> tuple[int, int]:
        """Where an inverted booking needs a free instant: it may begin and end there at once."""
        return self.end_low.at, self.begin_high.at

    def may_span(self, since: int, until: int) -> bool:
        """Whether it may have held from before `since` until after `until`."""
        return self.begin_low.at < since and until < self.end_high.at

    @property
    def units(self) -> tuple[Unit, ...]:
        return self.begin_high.units + self.end_low.units


@dataclass
class Slot:
    """A slot made ready: forward lives in order of their cores, inverted ones apart."""

    forward: list[Life] = field(default_factory=list)
    inverted: list[Life] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)


def book_unit(booking: Booking) -> Unit:
    return Unit(Role.BOOK, booking.id)


def end_unit(booking: Booking) -> Unit:
    """Never cancelled: the row itself says so, and it comes with the book."""
    return Unit(Role.CANCEL, booking.id) if booking.cancel_ops else book_unit(booking)


def read_unit(reader: Reader) -> Unit:
    return Unit(Role.READ, reader.op)


def make_slot(bookings: Iterable[Booking], readers: Iterable[Reader]) -> Slot | Failure:
    """Bounds tightened, forward bookings sorted; a failure when a booking contradicts itself or two cores overlap."""
    naming: dict[str, list[Reader]] = {}
    slot = Slot()
    booked = {booking.id: booking for booking in bookings}
    for reader in readers:
        if reader.claim is Claim.HELD_BY and reader.id is not None:
            if reader.id not in booked:
                return Failure(frozenset({read_unit(reader)}))
            naming.setdefault(reader.id, []).append(reader)
        elif reader.claim is not Claim.NOT_HELD or reader.id in booked:
            slot.readers.append(reader)
    for booking in booked.values():
        life = tighten(booking, naming.get(booking.id, ()))
        for low, high in ((life.begin_low, life.begin_high), (life.end_low, life.end_high)):
            if low.at > high.at:
                return Failure(low.all_units() | high.all_units())
        (slot.forward if life.is_forward else slot.inverted).append(life)
    slot.forward.sort(key=lambda life: (life.begin_high.at, life.end_low.at))
    for life, following in pairwise(slot.forward):
        if life.end_low.at > following.begin_high.at:
            return Failure(frozenset(life.units + following.units))
    return slot


def tighten(booking: Booking, naming: Iterable[Reader]) -> Life:
    book, end = book_unit(booking), end_unit(booking)
    begin_low = Bound(booking.begin_since, (book,))
    begin_high = Bound(booking.begin_until, (book,))
    end_low = Bound(booking.end_since, (end,))
    end_high = Bound(booking.end_until, (end,))
    if end_high.at < begin_high.at:
        begin_high = end_high
    if begin_low.at > end_low.at:
        end_low = begin_low
    for reader in naming:
        if reader.until < begin_high.at:
            begin_high = Bound(reader.until, (read_unit(reader),))
        if reader.since > end_low.at:
            end_low = Bound(reader.since, (read_unit(reader),))
    return Life(booking, begin_low, begin_high, end_low, end_high)


class Instant(NamedTuple):
    """Something that needs an instant in [since, until], and the units that say so."""

    since: int
    until: int
    units: tuple[Unit, ...]
    reader: Reader | None = None


@dataclass
class Constraints:
    """What readers ask of the boundaries, by gap (the gap before forward booking g; the last one is open)."""

    last_end: dict[int, list[Instant]] = field(default_factory=dict)
    """U: the booking before gap g ended at `until` or earlier."""
    first_begin: dict[int, list[Instant]] = field(default_factory=dict)
    """L: booking g began at `since` or later."""
    held: dict[int, list[Instant]] = field(default_factory=dict)
    """C: the booking before gap g ended at `since` or later, or booking g began at `until` or earlier."""
    spanning: dict[int, list[Instant]] = field(default_factory=dict)
    """S: booking g began at `since` or later, or ended at `until` or earlier."""


def decide_forward(slot: Slot) -> Failure | None:
    """Decides the forward bookings and readers, with each inverted booking as one free instant in its window.

    None = an order exists. A failure is final when the slot has no inverted booking; else an inverted booking may
    still explain a conflict.
    """
    placed = place(slot)
    return placed if isinstance(placed, Failure) else _sweep(slot.forward, placed)


def place(slot: Slot) -> Constraints | Failure:
    """What every reader that is not certainly right asks of which boundary; a failure when one is certainly wrong."""
    begins = [life.begin_high.at for life in slot.forward]
    ends = [life.end_low.at for life in slot.forward]
    index = {life.booking.id: number for number, life in enumerate(slot.forward)}
    constraints = Constraints()
    frees = [Instant(*life.window, life.units) for life in slot.inverted]
    for reader in slot.readers:
        instant = Instant(reader.since, reader.until, (read_unit(reader),), reader)
        if reader.claim is Claim.FREE:
            frees.append(instant)
        elif reader.claim is Claim.HELD:
            _place_held(instant, begins, ends, constraints)
        elif reader.id in index and slot.forward[index[reader.id]].may_span(instant.since, instant.until):
            constraints.spanning.setdefault(index[reader.id], []).append(instant)
    for instant in frees:
        failure = _place_free(instant, slot.forward, begins, ends, constraints)
        if failure is not None:
            return failure
    return constraints


def _place_free(
    instant: Instant, forward: Sequence[Life], begins: list[int], ends: list[int], constraints: Constraints
) -> Failure | None:
    gap = bisect_left(begins, instant.since)
    low = ends[gap - 1] if gap else BEFORE
    high = begins[gap] if gap < len(begins) else BEYOND
    if low > instant.until:
        return Failure(frozenset(instant.units + forward[gap - 1].units))
    if instant.until < high:
        constraints.last_end.setdefault(gap, []).append(instant)
        if low < instant.since:
            constraints.first_begin.setdefault(gap, []).append(instant)
    elif low < instant.since:
        next_high = begins[gap + 1] if gap + 1 < len(begins) else BEYOND
        if ends[gap] > instant.until:
            constraints.first_begin.setdefault(gap, []).append(instant)
        elif instant.until < next_high and forward[gap].may_span(instant.since, instant.until):
            constraints.spanning.setdefault(gap, []).append(instant)
    return None


def _place_held(instant: Instant, begins: list[int], ends: list[int], constraints: Constraints) -> None:
    gap = bisect_left(ends, instant.since)
    if gap == len(begins) or begins[gap] > instant.until:
        constraints.held.setdefault(gap, []).append(instant)


def _sweep(forward: Sequence[Life], constraints: Constraints) -> Failure | None:
    ended = Bound(BEFORE, ())
    for gap in range(len(forward) + 1):
        life = forward[gap] if gap < len(forward) else None
        high = life.begin_high if life else Bound(BEYOND, ())
        boundary = high.units + (forward[gap - 1].end_low.units if gap else ())
        for held in constraints.held.get(gap, ()):
            if ended.at < held.since and held.until < high.at:
                high = Bound(held.until, held.units + boundary, (ended,))
        if life is None:
            return None if high.at == BEYOND else Failure(high.all_units())
        low = life.begin_low
        for free in constraints.first_begin.get(gap, ()):
            if free.since > low.at:
                low = Bound(free.since, free.units)
        if high.at < low.at:
            return Failure(high.all_units() | low.all_units())
        ended = _latest_end(forward, gap, high, constraints)
        if ended.at < life.end_low.at:
            return Failure(ended.all_units() | life.end_low.all_units())
    return None


def _latest_end(forward: Sequence[Life], gap: int, begun: Bound, constraints: Constraints) -> Bound:
    """It may be later than the next begin can be: what is refused in the gap between was refused before that."""
    life = forward[gap]
    latest = life.end_high
    for free in constraints.last_end.get(gap + 1, ()):
        if free.until < latest.at:
            latest = Bound(free.until, free.units + life.end_low.units)
    for spanning in constraints.spanning.get(gap, ()):
        if begun.at < spanning.since and spanning.until < latest.at:
            latest = Bound(spanning.until, spanning.units + life.end_low.units, (begun,))
    return latest
