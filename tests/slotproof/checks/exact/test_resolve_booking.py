"""What replies and ledger say of one booking: its intervals, and what cannot be whatever the order was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slotproof.checks.base import FindingKind
from slotproof.checks.exact.model import BEFORE, END_UNKNOWN, NEVER, WHOLE, Booking
from slotproof.checks.exact.resolve import Resolved, Suspicion, resolve_booking
from slotproof.record.exchange import Function, HistoryOp, Reply, RestRow, RestState

BOOKED = HistoryOp(1, Function.BOOK, Reply.OK, 10, 20, "r", "a", 0, 5)
LOST = replace(BOOKED, outcome=Reply.INFO, complete_ns=None)
REFUSED = replace(BOOKED, outcome=Reply.CONFLICT)
CANCELLED = HistoryOp(2, Function.CANCEL, Reply.OK, 30, 40, "r", "a")
CANCEL_LOST = replace(CANCELLED, outcome=Reply.INFO, complete_ns=None)
MOVED = HistoryOp(3, Function.MOVE, Reply.OK, 50, 60, "r", "a", 0, 5, 7, 9)
MOVED_AGAIN = replace(MOVED, op=4, invoke_ns=70, complete_ns=80)
LIVE = RestRow("r", "a", RestState.LIVE, 0, 5)
GONE = replace(LIVE, state=RestState.CANCELLED)


def resolved(*ops: HistoryOp, rows: list[RestRow] | None) -> Resolved:
    return resolve_booking("r", "a", ops, rows)


def suspicion(*ops: HistoryOp, rows: list[RestRow] | None) -> Suspicion:
    (found,) = resolved(*ops, rows=rows).suspicions
    return found


def intervals(booking: Booking) -> tuple[int, int, int, int]:
    return booking.begin_since, booking.begin_until, booking.end_since, booking.end_until


@pytest.mark.parametrize(
    ("ops", "rows", "kind", "blamed", "why"),
    [
        ((BOOKED,), [], FindingKind.LOST_BOOKING, (1,), "a was confirmed, and the ledger has no row of it"),
        ((LOST, CANCELLED), [], FindingKind.INCONSISTENT_REPLIES, (2,), "a was cancelled, but never booked"),
        (
            (LOST, MOVED, MOVED_AGAIN),
            [],
            FindingKind.LOST_BOOKING,
            (3,),
            "a was moved, and the ledger has no row of it",
        ),
        ((REFUSED, CANCELLED), [], FindingKind.INCONSISTENT_REPLIES, (2,), "a was cancelled, but never booked"),
        ((REFUSED, MOVED, MOVED_AGAIN), [], FindingKind.INCONSISTENT_REPLIES, (3,), "a was moved, but never booked"),
        ((), [LIVE], FindingKind.PHANTOM_BOOKING, (), "the ledger has a, which nobody asked for"),
        (
            (REFUSED, replace(REFUSED, op=9)),
            [LIVE],
            FindingKind.PHANTOM_BOOKING,
            (1,),
            "the ledger has a, whose caller was refused",
        ),
        (
            (BOOKED,),
            [LIVE, LIVE],
            FindingKind.DUPLICATE_BOOKING,
            (1,),
            "a was asked for once, and has 2 live rows",
        ),
        (
            (BOOKED, CANCELLED),
            [LIVE],
            FindingKind.LOST_CANCEL,
            (2,),
            "the cancel of a was confirmed, and the ledger has it live",
        ),
        (
            (BOOKED,),
            [GONE],
            FindingKind.LOST_BOOKING,
            (1,),
            "a was confirmed, and the ledger has it cancelled, though its caller did not cancel",
        ),
        (
            (BOOKED, MOVED, MOVED_AGAIN),
            [replace(LIVE, start=20, end=25)],
            FindingKind.LOST_BOOKING,
            (3,),
            "the ledger has a in a range that it was never given, 20–25",
        ),
        (
            (LOST,),
            [replace(LIVE, start=20, end=25)],
            FindingKind.PHANTOM_BOOKING,
            (1,),
            "the ledger has a in a range that it was never given, 20–25",
        ),
    ],
)
def test_what_cannot_be(
    ops: tuple[HistoryOp, ...], rows: list[RestRow], kind: FindingKind, blamed: tuple[int, ...], why: str
) -> None:
    assert suspicion(*ops, rows=rows) == Suspicion(kind, blamed, "a", why)


@pytest.mark.parametrize(
    ("ops", "rows", "expected"),
    [
        ((BOOKED,), [LIVE], (10, 20, NEVER, NEVER)),
        ((BOOKED, CANCELLED), [GONE], (10, 20, 30, 40)),
        ((BOOKED, CANCEL_LOST), [GONE], (10, 20, 30, END_UNKNOWN)),
        ((BOOKED, CANCEL_LOST), [LIVE], (10, 20, NEVER, NEVER)),
        ((LOST,), [LIVE], (10, END_UNKNOWN, NEVER, NEVER)),
        ((LOST,), [GONE], (10, END_UNKNOWN, 10, END_UNKNOWN)),
        ((LOST, CANCELLED), [GONE], (10, END_UNKNOWN, 30, 40)),
        ((), [LIVE], (BEFORE, END_UNKNOWN, NEVER, NEVER)),
        ((), [GONE], (BEFORE, END_UNKNOWN, BEFORE, END_UNKNOWN)),
        ((REFUSED,), [GONE], (10, END_UNKNOWN, 10, END_UNKNOWN)),
        ((BOOKED,), None, (10, 20, NEVER, NEVER)),
        ((BOOKED, CANCELLED), None, (10, 20, 30, 40)),
        ((BOOKED, CANCEL_LOST), None, (10, 20, 30, NEVER)),
        ((LOST,), None, (10, END_UNKNOWN, 10, NEVER)),
        ((LOST, CANCELLED), None, (10, END_UNKNOWN, 30, 40)),
        ((LOST, CANCEL_LOST), None, (10, END_UNKNOWN, 10, NEVER)),
    ],
)
def test_when_it_began_and_ended(
    ops: tuple[HistoryOp, ...], rows: list[RestRow] | None, expected: tuple[int, int, int, int]
) -> None:
    (booking,) = resolved(*ops, rows=rows).bookings
    assert intervals(booking) == expected
    assert isinstance(booking.cancel_ops, tuple)
    assert booking.book_ops == tuple(
        op.op for op in ops if op.function is Function.BOOK and op.outcome is not Reply.CONFLICT
    )


@pytest.mark.parametrize(
    ("ops", "optional"),
    [
        ((LOST,), True),
        ((LOST, CANCEL_LOST), True),
        ((LOST, CANCELLED), False),
        ((LOST, MOVED), False),
        ((BOOKED,), False),
    ],
)
def test_without_a_ledger_it_may_never_have_been(ops: tuple[HistoryOp, ...], optional: bool) -> None:
    (booking,) = resolved(*ops, rows=None).bookings
    assert booking.optional is optional


def test_where_it_rests() -> None:
    (there,) = resolved(BOOKED, MOVED, rows=[replace(LIVE, start=7, end=9)]).bookings
    assert (there.range, there.rest) == ((0, 5), (7, 9))
    (misplaced,) = resolved(BOOKED, rows=[replace(LIVE, start=20, end=25)]).bookings
    assert misplaced.rest is None, "where it was found says nothing about its order"
    (gone,) = resolved(BOOKED, CANCELLED, rows=[GONE]).bookings
    assert gone.rest is None
    (unplaced,) = resolved(BOOKED, rows=[replace(LIVE, start=None, end=None)]).bookings
    assert unplaced.rest is None
    (of_row,) = resolved(rows=[LIVE]).bookings
    assert of_row.range == (0, 5)
    (nowhere,) = resolved(replace(BOOKED, start=None, end=None), rows=[replace(LIVE, start=None, end=None)]).bookings
    assert nowhere.range == WHOLE
