"""A resource cut into groups whose ranges hang together: each is decided alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from slotproof.checks.exact.model import Booking, Claim, Group, Range, Reader
from slotproof.checks.exact.resolve import Resolved


def groups_of(resolved: Resolved, capacity: int, *, with_readers: bool) -> Iterator[Group]:
    """Groups in order of range. A booking that moves belongs to all its ranges and ties them together."""
    readers = resolved.readers if with_readers else []
    booked = {booking.id: booking for booking in resolved.bookings}
    spans = _tied([*map(hull, booked.values()), *(reader.range for reader in readers if not _by_id(reader))])
    homes: dict[str, int] = {name: _home(spans, hull(booking)) for name, booking in booked.items()}
    bookings_of: dict[int, list[Booking]] = {}
    readers_of: dict[int, list[Reader]] = {}
    for name, booking in booked.items():
        bookings_of.setdefault(homes[name], []).append(booking)
    stray: list[Reader] = []
    for reader in readers:
        if not _by_id(reader):
            readers_of.setdefault(_home(spans, reader.range), []).append(reader)
        elif reader.id in homes:
            readers_of.setdefault(homes[reader.id], []).append(reader)
        elif reader.claim is Claim.HELD_BY:
            stray.append(reader)
    for home in sorted(bookings_of.keys() | readers_of.keys()):
        yield Group(resolved.resource, tuple(bookings_of.get(home, ())), tuple(readers_of.get(home, ())), capacity)
    for reader in stray:
        yield Group(resolved.resource, (), (reader,), capacity)


def _by_id(reader: Reader) -> bool:
    """A claim about a booking, wherever it is. (`not held` of a booking that never was is true, and left out.)"""
    return reader.claim in (Claim.NOT_HELD, Claim.HELD_BY)


def hull(booking: Booking) -> Range:
    ranges = [booking.range, *(move.to for move in booking.moves)]
    return min(start for start, _ in ranges), max(end for _, end in ranges)


def _tied(ranges: Iterable[Range]) -> list[Range]:
    """Overlapping ranges united, in order."""
    tied: list[Range] = []
    for start, end in sorted(ranges):
        if tied and start < tied[-1][1]:
            tied[-1] = (tied[-1][0], max(end, tied[-1][1]))
        else:
            tied.append((start, end))
    return tied


def _home(spans: list[Range], span: Range) -> int:
    """Which of the united ranges holds it."""
    return bisect_right(spans, span[0], key=lambda united: united[0]) - 1
