"""What the exact checker finds in a run: histories that no order of events explains (CHECKER.md).

`double_booking` adds what its pairs do not show: bookings that exclude each other though never two callers were told
at one instant, and moves that cannot all have happened. `replies` has the rest: refusals and offers that were not true.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from slotproof.checks.base import Finding, FindingKind
from slotproof.checks.bookings import Booking, Range, Resolved
from slotproof.checks.exact.check import check_columns
from slotproof.checks.exact.result import HistoryFinding, HistoryResult
from slotproof.checks.requests import Attempt
from slotproof.checks.wording import Wording
from slotproof.record.columns import HistoryColumns
from slotproof.record.run_columns import history_of_tables
from slotproof.record.schemas import Kind

BOOKINGS = frozenset({FindingKind.DOUBLE_BOOKING, FindingKind.OVER_CAPACITY, FindingKind.IMPOSSIBLE_MOVES})
"""Kinds about bookings that exclude each other."""
REPLIES = frozenset({FindingKind.FALSE_FREE, FindingKind.FALSE_REFUSAL, FindingKind.INCONSISTENT_REPLIES})
"""Kinds about replies that were not true. The other kinds need no order: lost_booking and phantom_booking have them."""


@dataclass(frozen=True, eq=False)
class Orders:
    """One record's history and what the exact checker says of it."""

    resolved: Resolved
    history: HistoryColumns
    result: HistoryResult

    def findings(self, check: str, kinds: frozenset[FindingKind]) -> Iterator[Finding]:
        """The findings of these kinds, as a report has them."""
        words = _OrderWords(self)
        for found in self.result.findings:
            if found.kind in kinds:
                yield words.finding(check, found)

    @cached_property
    def bookings(self) -> Mapping[int, Booking]:
        """By the number of the request that asked for them."""
        return {booking.number: booking for booking in self.resolved.bookings if booking.number is not None}


@lru_cache(maxsize=1)  # the checks of one record share the work
def decide_orders(resolved: Resolved) -> Orders:
    """The record's history, decided."""
    record = resolved.record
    known = resolved.at_rest
    history = history_of_tables(
        record.ops,
        record.database if known else None,
        record.calendar if known else None,
        staleness_ns=int(record.staleness_s / record.time_scale * 1e9),
    )
    return Orders(resolved, history, check_columns(history))


class _OrderWords:
    """A finding of the exact checker in a report's words, with its rows."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._wording = Wording(orders.resolved.record)
        self._attempts = {attempt.op: attempt for booking in orders.resolved.bookings for attempt in _attempts(booking)}

    def finding(self, check: str, found: HistoryFinding) -> Finding:
        bookings = [self._orders.bookings[int(name)] for name in found.bookings if int(name) in self._orders.bookings]
        ops = [self._with_offer(op, bookings) for op in self._ops(found.ops)]
        story = self._story(bookings, self._with_requests(bookings, ops) if found.kind in BOOKINGS else ops)
        span = _shared(bookings, ops)
        rows = [row for booking in bookings for row in booking.rows if row.was_live]
        return Finding(
            check=check,
            kind=found.kind,
            resource=found.resource,
            ops=found.ops,
            rows=tuple(row.name for row in rows),
            bookings=tuple(booking.number for booking in bookings if booking.number is not None),
            at_ns=max([op.complete_ns for op in ops] or [row.live_since_ns for row in rows], default=0),
            sentence=f"{self._wording.slot(found.resource, span)}, {_WHAT[found.kind]}: {story}",
        )

    def _with_requests(self, bookings: Iterable[Booking], ops: Sequence[Attempt]) -> list[Attempt]:
        """Also what each booking began with, though the proof may not need it."""
        begun = [booking.request.strongest for booking in bookings if booking.request]
        return sorted({*ops, *begun}, key=lambda each: (each.complete_ns, each.op))

    def _ops(self, numbers: Sequence[int]) -> list[Attempt]:
        missing = [number for number in numbers if number not in self._attempts]
        if missing:
            self._attempts |= {attempt.op: attempt for attempt in self._others(missing)}
        return sorted((self._attempts[number] for number in numbers), key=lambda each: (each.complete_ns, each.op))

    def _others(self, numbers: Sequence[int]) -> Iterator[Attempt]:
        """Ops that book, cancel and move nothing."""
        ops = self._orders.resolved.record.ops.select(list(Attempt._fields))
        for row in ops.filter(pc.is_in(ops["op"], pa.array(numbers, pa.int64()))).to_pylist():
            yield Attempt(**row)

    def _story(self, bookings: Iterable[Booking], ops: Sequence[Attempt]) -> str:
        facts = [self._fact(op) for op in ops]
        told = {op.request for op in ops}
        facts += [self._row_fact(booking) for booking in bookings if booking.number not in told and booking.live_rows]
        return ", ".join(facts)

    def _fact(self, op: Attempt) -> str:
        who = f"caller {op.call}"
        if op.kind == Kind.AVAILABILITY:
            return f"{who} was offered {self._hours(op)} at {self._wording.at(op.complete_ns)}"
        said = f"{who}{_ASKING[op.kind]} {self._wording.reply(op)}"
        return said if op.kind == Kind.CANCEL or op.start_s is None else f"{said} ({self._hours(op)})"

    def _hours(self, op: Attempt) -> str:
        return self._wording.hours((op.start_s or 0, op.end_s or 0))

    def _with_offer(self, op: Attempt, bookings: Sequence[Booking]) -> Attempt:
        """An availability op names the first time that it offered: here with the one that these bookings held."""
        if op.kind != Kind.AVAILABILITY:
            return op
        history = self._orders.history
        places = history.place[history.op == op.op]
        offers = list(zip(history.places.start[places].tolist(), history.places.end[places].tolist(), strict=True))
        held = [(live.start_s, live.end_s) for booking in bookings for row in booking.rows for live in row.lives]
        start_s, end_s = next(
            (offer for offer in offers if any(offer[0] < end and start < offer[1] for start, end in held)), offers[0]
        )
        return op._replace(start_s=start_s, end_s=end_s)

    def _row_fact(self, booking: Booking) -> str:
        row = booking.live_rows[0]
        since = self._wording.at(row.live_since_ns)
        return f"that of {self._wording.caller(booking)} ({self._wording.hours(row.range_s)}) stands since {since}"


def _attempts(booking: Booking) -> Iterator[Attempt]:
    for request in (booking.request, *booking.cancels, *booking.moves):
        if request is not None:
            yield from request.attempts


def _shared(bookings: Sequence[Booking], ops: Sequence[Attempt]) -> Range:
    """The range that all concerned share; that of the first where they share none."""
    spans = [(op.start_s, op.end_s) for op in ops if op.start_s is not None and op.end_s is not None]
    spans += [row.range_s for booking in bookings for row in booking.live_rows]
    shared = max((low for low, _ in spans), default=0), min((high for _, high in spans), default=0)
    return shared if shared[0] < shared[1] or not spans else spans[0]


_ASKING: Mapping[str, str] = {Kind.BOOK: "", Kind.CANCEL: ", asking to cancel,", Kind.MOVE: ", asking to move,"}
_WHAT = {
    FindingKind.DOUBLE_BOOKING: "was sold twice: in no order of events can both have had it",
    FindingKind.OVER_CAPACITY: "was sold more often than there is room",
    FindingKind.IMPOSSIBLE_MOVES: "no order of events allows these moves",
    FindingKind.FALSE_FREE: "was offered though it was held all the time",
    FindingKind.FALSE_REFUSAL: "was refused though nothing can have held it",
    FindingKind.INCONSISTENT_REPLIES: "no order of events explains these replies",
}
