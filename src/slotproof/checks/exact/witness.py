"""From an impossible history to a minimal set of ops that is impossible by itself.

What a witness leaves out of a booking it names counts as unknown: a begin or end that may be at any time. A refusal
names every booking that may have been what it was refused for. So a booking that is left out of the reasoning may still
explain a refusal, and each op that stays is one without which the others could be explained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from slotproof.checks.exact.greedy import book_unit, end_unit, read_unit
from slotproof.checks.exact.model import (
    BEFORE,
    END_UNKNOWN,
    Booking,
    Claim,
    Group,
    Reader,
    Role,
    Unit,
    overlap,
)

LARGEST = 150
"""Sets of more units are given as they are."""


def all_units(group: Group) -> frozenset[Unit]:
    units = {read_unit(reader) for reader in group.readers}
    for booking in group.bookings:
        units |= {book_unit(booking), end_unit(booking)}
        units |= {Unit(Role.MOVE, move.op) for move in booking.moves}
    return frozenset(units)


def minimise(
    group: Group, within: Iterable[frozenset[Unit] | None], impossible: Callable[[Group], bool]
) -> tuple[frozenset[Unit], tuple[str, ...]]:
    """A minimal witness, and its bookings' ids.

    `within`: where to look for it, in this order; it is looked for in the whole group when none of these suffices.
    """
    tried = (units for units in within if units is not None)
    units = next((units for units in tried if impossible(restrict(group, units, named(group, units)))), None)
    units = all_units(group) if units is None else units
    while len(units) <= LARGEST:
        ids = named(group, units)
        smaller = units
        for unit in sorted(units, key=_order):
            if impossible(restrict(group, smaller - {unit}, ids)):
                smaller -= {unit}
        if named(group, smaller) == ids:
            units = smaller
            break
        units = smaller
    return units, tuple(sorted(named(group, units)))


def _order(unit: Unit) -> tuple[bool, str, str]:
    """Reads are dropped first: what remains is then said of bookings alone where that is possible."""
    return unit.role is not Role.READ, unit.role.value, str(unit.key)


def named(group: Group, units: Iterable[Unit]) -> frozenset[str]:
    """The bookings that the units are about."""
    units = frozenset(units)
    ids = {str(unit.key) for unit in units if unit.role in (Role.BOOK, Role.CANCEL)}
    ids |= {
        booking.id for booking in group.bookings if any(Unit(Role.MOVE, move.op) in units for move in booking.moves)
    }
    readers = [reader for reader in group.readers if read_unit(reader) in units]
    ids |= {reader.id for reader in readers if reader.id is not None}
    refusals = [reader for reader in readers if reader.claim in (Claim.HELD, Claim.HELD_BY_OTHER)]
    ids |= {booking.id for booking in group.bookings if any(_may_explain(booking, each) for each in refusals)}
    return frozenset(ids & {booking.id for booking in group.bookings})


def _may_explain(booking: Booking, refusal: Reader) -> bool:
    ranges = [booking.range, *(move.to for move in booking.moves)]
    there = booking.begin_since <= refusal.until and refusal.since <= booking.end_until
    return there and booking.id != refusal.id and any(overlap(each, refusal.range) for each in ranges)


def restrict(group: Group, units: frozenset[Unit], ids: frozenset[str]) -> Group:
    """Only the bookings `ids` and the readers among `units`; begins, ends and moves outside `units` are unknown."""
    return Group(
        resource=group.resource,
        bookings=tuple(_loosen(booking, units) for booking in group.bookings if booking.id in ids),
        readers=tuple(reader for reader in group.readers if read_unit(reader) in units),
        capacity=group.capacity,
    )


def _loosen(booking: Booking, units: frozenset[Unit]) -> Booking:
    if book_unit(booking) not in units:
        booking = replace(booking, begin_since=BEFORE, begin_until=END_UNKNOWN)
        # Without its reply nobody was told that it stands: then the service may have undone it at any time.
        if booking.end_until >= END_UNKNOWN:
            booking = replace(booking, end_since=BEFORE, end_until=END_UNKNOWN, rest=None)
    if booking.cancel_ops and end_unit(booking) not in units:
        booking = replace(booking, end_since=BEFORE, end_until=END_UNKNOWN)
    moves = tuple(
        move if Unit(Role.MOVE, move.op) in units else replace(move, since=BEFORE, until=END_UNKNOWN, optional=True)
        for move in booking.moves
    )
    return replace(booking, moves=moves) if moves else booking
