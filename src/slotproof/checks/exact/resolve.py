"""Unknown outcomes become certain by what the ledger says, before anything else (CHECKER.md section 2).

Ops with the id of one booking and the same function are attempts of one request: it takes effect once, after the
first invocation of an attempt that may have acted and before the first `ok`. A definite refusal is a claim of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from slotproof.checks.base import FindingKind
from slotproof.checks.exact.model import (
    BEFORE,
    END_UNKNOWN,
    NEVER,
    WHOLE,
    Booking,
    Claim,
    Move,
    Range,
    Reader,
    Role,
    Unit,
)
from slotproof.record.exchange import Function, HistoryOp, Reply, RestRow, RestState


class Suspicion(NamedTuple):
    """Something that cannot be, found without looking at any order."""

    kind: FindingKind
    ops: tuple[int, ...]
    booking: str
    why: str


@dataclass
class Resolved:
    """One resource: what took effect and when, what replies claim, and what is wrong already."""

    resource: str
    bookings: list[Booking] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)
    suspicions: list[Suspicion] = field(default_factory=list)


class _Interval(NamedTuple):
    since: int
    until: int
    ops: tuple[int, ...]


_NOT_ENDED = _Interval(NEVER, NEVER, ())


@dataclass
class _Requests:
    """All ops that name one booking."""

    book: list[HistoryOp] = field(default_factory=list)
    cancel: list[HistoryOp] = field(default_factory=list)
    move: list[HistoryOp] = field(default_factory=list)


def resolve_booking(resource: str, name: str, ops: Sequence[HistoryOp], rows: list[RestRow] | None) -> Resolved:
    """One booking: its requests and what the ledger says; `rows` None when the ledger was not read."""
    requests = _Requests()
    by_function = {Function.BOOK: requests.book, Function.CANCEL: requests.cancel, Function.MOVE: requests.move}
    for op in ops:
        if op.function in by_function:
            by_function[op.function].append(op)
    resolved = Resolved(resource)
    _Resolution(resolved, name, requests, rows).run()
    return resolved


def refused_move(op: HistoryOp) -> Reader | None:
    """What the refusal of a move claims: that something other than the booking held the range it wanted."""
    if op.complete_ns is None:
        return None
    return Reader(op.op, Claim.HELD_BY_OTHER, target_of(op), op.invoke_ns, op.complete_ns, op.id, told="taken")


class _Resolution:
    """One booking id: its requests and its rows, None when the ledger was not read."""

    def __init__(self, resolved: Resolved, name: str, requests: _Requests, rows: list[RestRow] | None) -> None:
        self._resolved = resolved
        self._name = name
        self._requests = requests
        self._rows = rows
        self._book = _merge(requests.book)
        self._cancel = _merge(requests.cancel)
        self._confirmed = _has(requests.book, Reply.OK)
        self._cancelled = _has(requests.cancel, Reply.OK)
        self._misplaced = False

    def run(self) -> None:
        if self._book is None:
            self._nobody_booked()
        elif self._rows is None:
            self._without_ledger(self._book)
        elif not self._rows:
            self._without_row(self._book)
        else:
            self._with_row(self._book, self._rows)

    def _nobody_booked(self) -> None:
        if self._rows:
            refused = tuple(op.op for op in self._requests.book)
            why = f"the ledger has {self._name}, " + (
                "whose caller was refused" if refused else "which nobody asked for"
            )
            self._suspect(FindingKind.PHANTOM_BOOKING, refused[:1], why)
            since = min((op.invoke_ns for op in self._requests.book), default=BEFORE)
            gone = self._state(self._rows) is RestState.CANCELLED
            ends = _Interval(since, END_UNKNOWN, ()) if gone else _NOT_ENDED
            self._add(_Interval(since, END_UNKNOWN, ()), ends)
            return
        if self._cancel is not None and self._cancelled:
            self._suspect(
                FindingKind.INCONSISTENT_REPLIES, self._cancel.ops, f"{self._name} was cancelled, but never booked"
            )
        moved = self._moved()
        if moved:
            self._suspect(FindingKind.INCONSISTENT_REPLIES, moved[:1], f"{self._name} was moved, but never booked")

    def _without_ledger(self, book: _Interval) -> None:
        """Whatever is unknown may have happened or not."""
        if self._cancel is not None and self._cancelled:
            ends = self._cancel
        elif not self._confirmed:
            ends = _Interval(book.since, NEVER, ())
        elif self._cancel is not None:
            ends = self._cancel._replace(until=NEVER)
        else:
            ends = _NOT_ENDED
        took_effect = self._confirmed or self._cancelled or bool(self._moved())
        self._add(book, ends, optional=not took_effect)

    def _moved(self) -> tuple[int, ...]:
        return tuple(op.op for op in self._requests.move if op.outcome is Reply.OK)

    def _without_row(self, book: _Interval) -> None:
        """Only what was confirmed has a place in the order: for the rest the missing row says all."""
        moved = self._moved()
        if self._confirmed:
            self._suspect(
                FindingKind.LOST_BOOKING, book.ops, f"{self._name} was confirmed, and the ledger has no row of it"
            )
            self._add(book, self._cancel or _NOT_ENDED)
        elif self._cancel is not None and self._cancelled:
            why = f"{self._name} was cancelled, but never booked"
            self._suspect(FindingKind.INCONSISTENT_REPLIES, self._cancel.ops, why)
        elif moved:
            self._suspect(
                FindingKind.LOST_BOOKING, moved[:1], f"{self._name} was moved, and the ledger has no row of it"
            )

    def _with_row(self, book: _Interval, rows: list[RestRow]) -> None:
        live = [row for row in rows if row.state is RestState.LIVE]
        if len(live) > 1:
            self._suspect(
                FindingKind.DUPLICATE_BOOKING,
                book.ops,
                f"{self._name} was asked for once, and has {len(live)} live rows",
            )
        if self._state(rows) is RestState.LIVE:
            if self._cancel is not None and self._cancelled:
                self._suspect(
                    FindingKind.LOST_CANCEL,
                    self._cancel.ops,
                    f"the cancel of {self._name} was confirmed, and the ledger has it live",
                )
            self._check_place(book)
            self._add(book, _NOT_ENDED)
        elif self._cancel is not None and (self._cancelled or self._confirmed):
            self._add(book, self._cancel)
        elif self._confirmed:
            why = f"{self._name} was confirmed, and the ledger has it cancelled, though its caller did not cancel"
            self._suspect(FindingKind.LOST_BOOKING, book.ops, why)
            self._add(book, _NOT_ENDED)
        else:
            # Nobody was told that it stands: the service may have undone it at any time after it was asked for.
            self._add(book, _Interval(book.since, END_UNKNOWN, ()))

    def _check_place(self, book: _Interval) -> None:
        """The ledger must have a live booking in a range that its caller was told, or may have got."""
        rest = self._rest()
        moves = self._moves()
        possible = {move.to for move in moves}
        if all(move.optional for move in moves):
            possible.add(self._range())
        if rest is not None and rest not in possible:
            kind = FindingKind.LOST_BOOKING if self._confirmed else FindingKind.PHANTOM_BOOKING
            witness = self._moved()[:1] or book.ops
            self._suspect(
                kind, witness, f"the ledger has {self._name} in a range that it was never given, {rest[0]}–{rest[1]}"
            )
            self._misplaced = True

    @staticmethod
    def _state(rows: Sequence[RestRow]) -> RestState:
        """Rows are a history in any order: once cancelled, a booking stays so."""
        return RestState.CANCELLED if any(row.state is RestState.CANCELLED for row in rows) else RestState.LIVE

    def _add(self, book: _Interval, end: _Interval, *, optional: bool = False) -> None:
        self._resolved.bookings.append(
            Booking(
                id=self._name,
                range=self._range(),
                begin_since=book.since,
                begin_until=book.until,
                end_since=end.since,
                end_until=end.until,
                book_ops=book.ops,
                cancel_ops=end.ops,
                moves=self._moves(),
                rest=None if self._misplaced or end.until != NEVER else self._rest(),
                optional=optional,
            )
        )

    def _range(self) -> Range:
        for op in self._requests.book:
            if op.start is not None and op.end is not None:
                return op.start, op.end
        for row in self._rows or ():
            if row.start is not None and row.end is not None:
                return row.start, row.end
        return WHOLE

    def _moves(self) -> tuple[Move, ...]:
        return tuple(
            Move(
                op.op,
                target_of(op),
                op.invoke_ns,
                END_UNKNOWN if op.complete_ns is None else op.complete_ns,
                optional=op.outcome is Reply.INFO,
            )
            for op in sorted(self._requests.move, key=lambda op: (op.invoke_ns, op.op))
            if op.outcome in (Reply.OK, Reply.INFO)
        )

    def _rest(self) -> Range | None:
        """Where the ledger has it live; None when it says nothing of the kind, or two things."""
        live = {(row.start, row.end) for row in self._rows or () if row.state is RestState.LIVE}
        start, end = live.pop() if len(live) == 1 else (None, None)
        return None if start is None or end is None else (start, end)

    def _suspect(self, kind: FindingKind, ops: tuple[int, ...], why: str) -> None:
        self._resolved.suspicions.append(Suspicion(kind, ops, self._name, why))


def _merge(attempts: Sequence[HistoryOp]) -> _Interval | None:
    """The attempts of one request that may have acted, as one; None when none did."""
    acting = [op for op in attempts if op.outcome in (Reply.OK, Reply.INFO)]
    if not acting:
        return None
    since = min(op.invoke_ns for op in acting)
    until = min((op.complete_ns for op in acting if op.complete_ns is not None), default=END_UNKNOWN)
    return _Interval(since, until, tuple(sorted(op.op for op in acting)))


def _has(ops: Iterable[HistoryOp], outcome: Reply) -> bool:
    return any(op.outcome is outcome for op in ops)


def target_of(op: HistoryOp) -> Range:
    return WHOLE if op.to_start is None or op.to_end is None else (op.to_start, op.to_end)


def unit_ops(bookings: Mapping[str, Booking], units: Iterable[Unit]) -> tuple[int, ...]:
    """The numbers of the ops that the units stand for."""
    numbers: set[int] = set()
    for role, key in units:
        if isinstance(key, int):
            numbers.add(key)
        elif role is Role.BOOK:
            numbers.update(bookings[key].book_ops)
        else:
            numbers.update(bookings[key].cancel_ops)
    return tuple(sorted(numbers))
