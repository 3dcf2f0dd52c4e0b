"""A history cut into groups the plain way, resource by resource: what `settle` and `grouping` do in columns."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from slotproof.checks.exact.model import WHOLE, Booking, Claim, Group, Range, Reader, hull
from slotproof.checks.exact.resolve import Resolved, refused_move, resolve_booking
from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow


def resolve(history: History) -> list[Resolved]:
    """The whole history by resource, in order of name, with its readers: what `settle` does in columns."""
    ops: dict[str, list[HistoryOp]] = {}
    for op in history.ops:
        ops.setdefault(op.resource, []).append(op)
    rows: dict[str, list[RestRow]] = {}
    for row in history.ledger or ():
        rows.setdefault(row.resource, []).append(row)
    knows_rest = history.ledger is not None
    return [
        _resolve_resource(resource, ops.get(resource, []), rows.get(resource, []) if knows_rest else None)
        for resource in sorted(ops.keys() | rows.keys())
    ]


def _resolve_resource(resource: str, ops: Sequence[HistoryOp], rows: Sequence[RestRow] | None) -> Resolved:
    resolved = Resolved(resource)
    ops_of: dict[str, list[HistoryOp]] = {}
    for op in ops:
        resolved.readers.extend(readers_of(op))
        if op.id is not None and op.function is not Function.FREE:
            ops_of.setdefault(op.id, []).append(op)
    rows_of: dict[str, list[RestRow]] = {}
    for row in rows or ():
        rows_of.setdefault(row.id, []).append(row)
    for name in sorted(ops_of.keys() | rows_of.keys()):
        known = None if rows is None else rows_of.get(name, [])
        booking = resolve_booking(resource, name, ops_of.get(name, []), known)
        resolved.bookings.extend(booking.bookings)
        resolved.suspicions.extend(booking.suspicions)
    return resolved


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


def readers_of(op: HistoryOp) -> Iterable[Reader]:
    """What the reply claims about the state, if it claims anything."""
    if op.complete_ns is None:
        return
    since, until = op.invoke_ns, op.complete_ns
    if op.outcome is Reply.FREE:
        yield Reader(op.op, Claim.FREE, range_of(op), since, until, told="free")
    elif op.outcome is Reply.BUSY:
        claim = Claim.HELD if op.id is None else Claim.HELD_BY
        yield Reader(op.op, claim, range_of(op), since, until, op.id, told="busy")
    elif op.outcome is Reply.NOT_HELD:
        yield Reader(op.op, Claim.NOT_HELD, range_of(op), since, until, op.id, told="not held")
    elif op.outcome is Reply.CONFLICT and op.function is Function.MOVE:
        refusal = refused_move(op)
        assert refusal is not None
        yield refusal
    elif op.outcome is Reply.CONFLICT:
        yield Reader(op.op, Claim.HELD, range_of(op), since, until, told="taken")


def range_of(op: HistoryOp) -> Range:
    return WHOLE if op.start is None or op.end is None else (op.start, op.end)
