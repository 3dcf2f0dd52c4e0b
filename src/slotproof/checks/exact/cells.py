"""The sound check for calendars that are too hard to search: each smallest cell of the calendar alone (CHECKER.md 4).

What must hold for a range must hold for each cell of it: a free range is free in every cell. A refused range needs a
booking in some cell, so refusals count only where one cell sees every booking that could explain them, and else must
at least meet some booking's widest hold. What this finds is a violation; what passes it is not decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.greedy import Failure, book_unit, end_unit, read_unit
from slotproof.checks.exact.model import Booking, Claim, Group, Range, Reader, overlap
from slotproof.checks.exact.slot import Decision

_REFUSALS = (Claim.HELD, Claim.HELD_BY_OTHER)


def decide_cells(group: Group, decide: Callable[[Group], Decision]) -> Failure | None:
    """A failure in one cell, or a refusal that meets no booking; None = nothing found, which proves nothing."""
    for reader in group.readers:
        if reader.claim in _REFUSALS and not any(_may_explain(booking, reader) for booking in group.bookings):
            near = [booking for booking in group.bookings if overlap(booking.range, reader.range)]
            units = {unit for booking in near for unit in (book_unit(booking), end_unit(booking))}
            return Failure(frozenset({read_unit(reader), *units}))
    if group.capacity > 1:
        return None
    for cell in _cells(group):
        decision = decide(_in_cell(group, cell))
        if decision.answer is Answer.IMPOSSIBLE and decision.units is not None:
            return Failure(decision.units)
    return None


def _cells(group: Group) -> Iterator[Range]:
    """The stretches between neighbouring ends of ranges."""
    ranges = {booking.range for booking in group.bookings} | {reader.range for reader in group.readers}
    edges = sorted({edge for span in ranges for edge in span})
    yield from pairwise(edges)


def _in_cell(group: Group, cell: Range) -> Group:
    """The cell as one slot. Bookings that move are left out: where they are is not known."""
    bookings = tuple(
        Booking(
            booking.id, cell, booking.begin_since, booking.begin_until, booking.end_since, booking.end_until,
            booking.book_ops, booking.cancel_ops, optional=booking.optional,
        )
        for booking in group.bookings
        if overlap(booking.range, cell) and not booking.moves
    )  # fmt: skip
    return Group(group.resource, bookings, tuple(_readers_in(group, cell)))


def _readers_in(group: Group, cell: Range) -> Iterator[Reader]:
    here = {booking.id for booking in group.bookings if overlap(booking.range, cell) and not booking.moves}
    for reader in group.readers:
        by_id = reader.claim in (Claim.NOT_HELD, Claim.HELD_BY)
        if by_id:
            counts = reader.id in here
        elif reader.claim is Claim.FREE:
            counts = overlap(reader.range, cell)
        else:
            counts = reader.claim is Claim.HELD and all(
                booking.id in here for booking in group.bookings if _touches(booking, reader.range)
            )
        if counts:
            yield Reader(reader.op, reader.claim, cell, reader.since, reader.until, reader.id, reader.told)


def _touches(booking: Booking, span: Range) -> bool:
    return any(overlap(each, span) for each in (booking.range, *(move.to for move in booking.moves)))


def _may_explain(booking: Booking, reader: Reader) -> bool:
    if reader.claim is Claim.HELD_BY_OTHER and booking.id == reader.id:
        return False
    held = _touches(booking, reader.range)
    return held and booking.begin_since <= reader.until and booking.end_until >= reader.since
