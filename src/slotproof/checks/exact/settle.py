"""All bookings and replies of a history, made certain by the ledger at once (CHECKER.md section 2).

Most bookings are plain: asked for, and the ledger says how they ended. They stay in columns. Whatever is not plain
goes through `resolve`, one booking at a time, and comes back into the columns where it fits: moves, and bookings of
which nobody knows whether they took effect, stay apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from slotproof.checks.exact.model import BEFORE, END_UNKNOWN, NEVER, Booking, Claim, Range, Reader
from slotproof.checks.exact.resolve import Resolved, Suspicion, refused_move, resolve_booking
from slotproof.record import columns as words
from slotproof.record.columns import NONE, WHOLE, Codes, Flags, HistoryColumns, Ints, Numbers, Words
from slotproof.record.exchange import HistoryOp, RestRow

FREE, HELD, HELD_BY, NOT_HELD, OTHER = range(5)
"""Claims by code; OTHER = those of refused moves, which stay apart."""
_CLAIMS = (Claim.FREE, Claim.HELD, Claim.HELD_BY, Claim.NOT_HELD)
_TOLD = ("free", "taken", "busy", "not held")


@dataclass
class Readers:
    """Replies that changed nothing: row of the history, and claim code. The rest is looked up when it is needed."""

    history: HistoryColumns
    row: Numbers
    claim: Words

    @property
    def place(self) -> Codes:
        return self.history.place[self.row]

    @property
    def booking(self) -> Codes:
        return self.history.booking[self.row]

    @property
    def since(self) -> Ints:
        return self.history.invoke_ns[self.row]

    @property
    def until(self) -> Ints:
        return self.history.complete_ns[self.row]


@dataclass
class Settled:
    """What took effect and when, by booking code; `stands` says for which codes. Intervals as in `Booking`.

    `special`: bookings that move, or may never have been; `moved`: refused moves. Neither is in the columns.
    `suspicions`: what cannot be, by booking, found without looking at any order.
    """

    history: HistoryColumns
    stands: Flags
    begin_since: Ints
    begin_until: Ints
    end_since: Ints
    end_until: Ints
    cancelled: Flags
    place: Codes
    readers: Readers
    special: dict[int, Booking] = field(default_factory=dict)
    moved: list[tuple[int, Reader]] = field(default_factory=list)
    suspicions: list[tuple[int, Suspicion]] = field(default_factory=list)

    def range_of(self, place: int) -> Range:
        places = self.history.places
        return (int(places.start[place]), int(places.end[place])) if place != NONE else WHOLE

    def bookings(self, codes: Iterable[int]) -> dict[int, Booking]:
        """The bookings with these codes as objects, with the numbers of their ops."""
        wanted = sorted({int(code) for code in codes})
        found = {code: self.special[code] for code in wanted if code in self.special}
        plain = np.array([code for code in wanted if code not in found], np.int64)
        if not plain.size:
            return found
        history = self.history
        ops: dict[tuple[int, int], list[int]] = {}
        for row in _rows_of(history.booking, plain, len(self.stands)):
            if history.reply[row] in (words.OK, words.INFO):
                key = (int(history.booking[row]), int(history.function[row]))
                ops.setdefault(key, []).append(int(history.op[row]))
        for code in plain.tolist():
            cancels = ops.get((code, words.CANCEL), []) if self.cancelled[code] else []
            found[code] = Booking(
                id=history.names[code],
                range=self.range_of(int(self.place[code])),
                begin_since=int(self.begin_since[code]),
                begin_until=int(self.begin_until[code]),
                end_since=int(self.end_since[code]),
                end_until=int(self.end_until[code]),
                book_ops=tuple(sorted(ops.get((code, words.BOOK), []))),
                cancel_ops=tuple(sorted(cancels)),
            )
        return found

    def reader(self, index: int) -> Reader:
        history = self.history
        claim, row = int(self.readers.claim[index]), int(self.readers.row[index])
        code = int(history.booking[row])
        busy = history.reply[row] == words.BUSY
        named = claim in (HELD_BY, NOT_HELD)
        return Reader(
            op=int(history.op[row]),
            claim=_CLAIMS[claim],
            range=self.range_of(int(history.place[row])),
            since=int(history.invoke_ns[row]),
            until=int(history.complete_ns[row]),
            id=history.names[code] if named else None,
            told="busy" if busy else _TOLD[claim],
        )


def settle(history: HistoryColumns) -> Settled:
    """Unknown outcomes made certain, or, without a ledger, left open where nothing tells."""
    count = len(history.names)
    acting = (history.reply == words.OK) | (history.reply == words.INFO)
    book = _Interval.of(history, np.flatnonzero(acting & (history.function == words.BOOK)), count)
    cancel = _Interval.of(history, np.flatnonzero(acting & (history.function == words.CANCEL)), count)
    confirmed, cancelled = book.told, cancel.told
    place, one_place = _places(history, book.rows, count)
    asked = book.since < END_UNKNOWN
    ended = cancel.since < END_UNKNOWN
    moves = np.zeros(count, np.bool_)
    if history.to_place is not None:
        moves[history.booking[acting & (history.function == words.MOVE)]] = True
    if history.ledger is None:
        live = confirmed & ~ended
        dropped = ~asked & ~cancelled
        by_cancel = confirmed & cancelled
        plain = asked & one_place & (live | by_cancel)
        compensated = np.zeros(count, np.bool_)
    else:
        rows = _rest(history, place)
        live = rows.live == 1
        dropped = (rows.count == 0) & ~confirmed & ~cancelled
        by_cancel = ended & (cancelled | confirmed) & (rows.live == 0)
        compensated = (rows.live == 0) & ~by_cancel & ~confirmed
        in_order = (live & ~cancelled & ~rows.cancelled) | by_cancel | compensated
        plain = asked & one_place & (rows.count > 0) & in_order & ~rows.elsewhere
    named = np.zeros(count, np.bool_)
    named[book.rows_booking] = True
    named[cancel.rows_booking] = True
    if history.ledger is not None:
        named[history.ledger.booking] = True
    plain &= ~moves
    end_since = np.where(by_cancel, cancel.since, np.where(compensated, book.since, NEVER))
    end_until = np.where(by_cancel, cancel.until, np.where(compensated, END_UNKNOWN, NEVER))
    settled = Settled(
        history, plain, book.since, book.until, end_since, end_until, by_cancel & plain, place, _readers(history)
    )
    _settle_the_rest(settled, np.flatnonzero((named | moves) & ~plain & ~(dropped & ~moves)))
    if history.to_place is not None:
        _refused_moves(settled)
    return settled


@dataclass
class _Interval:
    """By booking code: first invocation of an attempt that may have acted, first `ok`, and whether there was one."""

    since: Ints
    until: Ints
    told: Flags
    rows: Ints
    rows_booking: Codes

    @classmethod
    def of(cls, history: HistoryColumns, rows: Ints, count: int) -> _Interval:
        booking = history.booking[rows]
        complete = history.complete_ns[rows]
        since = np.full(count, END_UNKNOWN, np.int64)
        until = np.full(count, END_UNKNOWN, np.int64)
        np.minimum.at(since, booking, history.invoke_ns[rows])
        np.minimum.at(until, booking, complete)
        return cls(since, until, until < END_UNKNOWN, rows, booking)


def _places(history: HistoryColumns, rows: Ints, count: int) -> tuple[Codes, Flags]:
    """Where each booking was asked for, and whether all its attempts say the same."""
    place = np.full(count, NONE, np.int32)
    booking, asked = history.booking[rows], history.place[rows]
    place[booking] = asked
    same = np.ones(count, np.bool_)
    same[booking[place[booking] != asked]] = False
    return place, same


@dataclass
class _Rest:
    """By booking code: rows, live rows, whether one is cancelled, whether one is in another range than asked for."""

    count: Ints
    live: Ints
    cancelled: Flags
    elsewhere: Flags


def _rest(history: HistoryColumns, place: Codes) -> _Rest:
    ledger = history.ledger
    assert ledger is not None
    count = len(history.names)
    cancelled = np.zeros(count, np.bool_)
    cancelled[ledger.booking[~ledger.live]] = True
    elsewhere = np.zeros(count, np.bool_)
    asked = place[ledger.booking]
    other = (ledger.place != NONE) & (ledger.place != asked)
    elsewhere[ledger.booking[other]] = True
    rows = np.bincount(ledger.booking, minlength=count)
    live = np.bincount(ledger.booking[ledger.live], minlength=count)
    return _Rest(rows, live, cancelled, elsewhere)


def _readers(history: HistoryColumns) -> Readers:
    answered = history.complete_ns < END_UNKNOWN
    claim = np.full(history.size, OTHER, np.int8)
    reads = history.function == words.FREE
    claim[reads & (history.reply == words.IS_FREE)] = FREE
    busy = reads & (history.reply == words.BUSY)
    claim[busy] = np.where(history.booking[busy] == NONE, HELD, HELD_BY)
    claim[(history.function == words.BOOK) & (history.reply == words.CONFLICT)] = HELD
    claim[(history.function != words.BOOK) & (history.reply == words.NOT_HELD)] = NOT_HELD
    rows = np.flatnonzero(answered & (claim != OTHER))
    return Readers(history, rows.astype(np.int32) if history.size < 2**31 else rows, claim[rows])


def _settle_the_rest(settled: Settled, codes: Ints) -> None:
    """One booking at a time, for those that are not plain."""
    if not codes.size:
        return
    history = settled.history
    ops: dict[int, list[HistoryOp]] = {}
    rows: dict[int, list[RestRow]] = {}
    count = len(settled.stands)
    at = _rows_of(history.booking, codes, count)
    for code, op in zip(history.booking[at].tolist(), history.rows(at), strict=True):
        ops.setdefault(code, []).append(op)
    if history.ledger is not None:
        at = _rows_of(history.ledger.booking, codes, count)
        for code, row in zip(history.ledger.booking[at].tolist(), history.ledger_rows(at), strict=True):
            rows.setdefault(code, []).append(row)
    spans = _spans(history)
    for code in codes.tolist():
        known = None if history.ledger is None else rows.get(code, [])
        resource = int(history.booking_resource[code])
        resolved = resolve_booking(history.resources[resource], history.names[code], ops.get(code, []), known)
        settled.suspicions.extend((code, suspicion) for suspicion in resolved.suspicions)
        _take_up(settled, code, resolved, spans)


def _spans(history: HistoryColumns) -> Mapping[tuple[int, int, int], int]:
    places = history.places
    return {
        (resource, start, end): code
        for code, (resource, start, end) in enumerate(
            zip(places.resource.tolist(), places.start.tolist(), places.end.tolist(), strict=True)
        )
    }


def _take_up(settled: Settled, code: int, resolved: Resolved, spans: Mapping[tuple[int, int, int], int]) -> None:
    resource = int(settled.history.booking_resource[code])
    for booking in resolved.bookings:
        place = spans.get((resource, *booking.range))
        if booking.optional or booking.moves or place is None:
            settled.special[code] = booking
            continue
        settled.stands[code] = True
        settled.begin_since[code], settled.begin_until[code] = booking.begin_since, booking.begin_until
        settled.end_since[code], settled.end_until[code] = booking.end_since, booking.end_until
        settled.cancelled[code] = bool(booking.cancel_ops)
        settled.place[code] = place


def _refused_moves(settled: Settled) -> None:
    history = settled.history
    rows = np.flatnonzero((history.function == words.MOVE) & (history.reply == words.CONFLICT))
    for op, resource in zip(history.rows(rows), history.booking_resource[history.booking[rows]].tolist(), strict=True):
        reader = refused_move(op)
        if reader is not None:
            settled.moved.append((resource, reader))


def _rows_of(booking: Codes, codes: Ints, count: int) -> Ints:
    """The rows that name one of the bookings, in order."""
    wanted = np.zeros(count + 1, np.bool_)  # one more, so that NONE finds a False
    wanted[codes] = True
    return np.flatnonzero(wanted[booking])


__all__ = ["BEFORE", "FREE", "HELD", "HELD_BY", "NOT_HELD", "Readers", "Settled", "settle"]
