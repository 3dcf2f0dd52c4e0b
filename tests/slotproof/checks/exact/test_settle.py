"""What the columns settle at once is what one booking after the other comes to."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from tests.slotproof.checks.exact import generate as shapes
from tests.slotproof.checks.exact.generate import Shape, generate
from tests.slotproof.checks.exact.reference import resolve

from slotproof.checks.exact.model import Booking, Reader
from slotproof.checks.exact.resolve import Resolved
from slotproof.checks.exact.settle import Settled, settle
from slotproof.record.columns import columns_of
from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState

HISTORIES = 500


@pytest.mark.parametrize("has_ledger", [True, False])
@pytest.mark.parametrize("name", ["SLOT", "RANGES", "MOVES"])
def test_both_ways_come_to_the_same(name: str, has_ledger: bool) -> None:
    shape: Shape = getattr(shapes, name)
    for index in range(HISTORIES):
        history = generate(random.Random(f"{name}-{index}"), shape)
        compare(history if has_ledger else replace(history, ledger=None), f"{name} {index}")


def compare(history: History, where: str = "") -> None:
    expected = resolve(history)
    settled = settle(columns_of(history))
    for of_resource in expected:
        assert bookings(settled, of_resource) == {each.id: told(each) for each in of_resource.bookings}, where
        assert readers(settled, of_resource) == sorted(of_resource.readers, key=lambda each: each.op), where
        assert {
            suspicion for code, suspicion in settled.suspicions if resource(settled, code) == of_resource.resource
        } == set(of_resource.suspicions), where


def told(booking: Booking) -> Booking:
    """Where a booking rests says nothing when it is where it began."""
    return replace(booking, rest=None) if booking.rest == booking.range and not booking.moves else booking


def resource(settled: Settled, code: int) -> str:
    return settled.history.resources[int(settled.history.booking_resource[code])]


def bookings(settled: Settled, resolved: Resolved) -> dict[str, Booking]:
    found = settled.bookings([*np.flatnonzero(settled.stands).tolist(), *settled.special])
    return {each.id: told(each) for code, each in found.items() if resource(settled, code) == resolved.resource}


def readers(settled: Settled, resolved: Resolved) -> list[Reader]:
    """Of the columns, and of the refused moves beside them."""
    history = settled.history
    resources = history.places.resource[settled.readers.place]
    found = [
        settled.reader(at) for at, code in enumerate(resources.tolist()) if history.resources[code] == resolved.resource
    ]
    found += [reader for code, reader in settled.moved if history.resources[code] == resolved.resource]
    return sorted(found, key=lambda each: each.op)


def op(number: int, function: Function, reply: Reply, since: int, until: int | None, name: str) -> HistoryOp:
    return HistoryOp(number, function, reply, since, until, "s", name, 0, 10)


def test_nothing_is_known_of_a_cancel_that_was_lost_of_a_booking_that_never_was() -> None:
    lost = op(1, Function.CANCEL, Reply.INFO, 5, None, "b1")
    for ledger in ((), None):
        settled = settle(columns_of(History((lost,), ledger)))
        assert not settled.stands.any()
        assert not settled.special
        assert not settled.suspicions


def test_attempts_of_one_request_are_one_booking() -> None:
    attempts = (
        op(1, Function.BOOK, Reply.INFO, 5, None, "b1"),
        op(2, Function.BOOK, Reply.OK, 20, 30, "b1"),
        op(3, Function.BOOK, Reply.OK, 25, 40, "b1"),
    )
    history = History(attempts, (RestRow("s", "b1", RestState.LIVE, 0, 10),))
    (booking,) = settle(columns_of(history)).bookings([0]).values()
    assert (booking.begin_since, booking.begin_until, booking.book_ops) == (5, 30, (1, 2, 3))
    compare(history)


BOOKED = op(1, Function.BOOK, Reply.OK, 5, 10, "b1")
ELSEWHERE = replace(BOOKED, op=2, outcome=Reply.INFO, complete_ns=None, start=20, end=30)
CANCELLED = op(3, Function.CANCEL, Reply.OK, 20, 30, "b1")
LIVE, GONE = (RestRow("s", "b1", state, 0, 10) for state in (RestState.LIVE, RestState.CANCELLED))


@pytest.mark.parametrize(
    ("ops", "rows"),
    [
        ((BOOKED,), (LIVE, GONE)),
        ((BOOKED, CANCELLED), (LIVE, GONE)),
        ((BOOKED,), (LIVE, LIVE)),
        ((BOOKED,), (replace(LIVE, start=20, end=30),)),
        ((BOOKED, CANCELLED), (replace(GONE, start=20, end=30),)),
        ((BOOKED,), (replace(LIVE, start=None, end=None),)),
        ((BOOKED, ELSEWHERE), (LIVE,)),
        ((ELSEWHERE, BOOKED), (LIVE,)),
        ((ELSEWHERE, BOOKED), (GONE,)),
        ((BOOKED, replace(CANCELLED, start=20, end=30)), (GONE,)),
        ((BOOKED, replace(CANCELLED, start=None, end=None)), (GONE,)),
        ((BOOKED, replace(CANCELLED, start=None, end=None, outcome=Reply.NOT_HELD)), (LIVE,)),
        ((CANCELLED,), (GONE,)),
        ((CANCELLED,), ()),
    ],
)
def test_what_is_out_of_the_ordinary_is_settled_one_by_one(
    ops: tuple[HistoryOp, ...], rows: tuple[RestRow, ...]
) -> None:
    compare(History(ops, rows))
    compare(History(ops, None))
