"""Cores in pools and calendars: how many meet, and where an inverted booking finds room."""

from __future__ import annotations

import pytest

from slotproof.checks.base import FindingKind
from slotproof.checks.exact import check_history
from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState


def _booked(*spans: tuple[int, int]) -> History:
    ops = tuple(
        HistoryOp(number, Function.BOOK, Reply.OK, 2 * number, 2 * number + 1, "pool", f"b{number}", *span)
        for number, span in enumerate(spans)
    )
    rows = tuple(RestRow("pool", f"b{number}", RestState.LIVE, *span) for number, span in enumerate(spans))
    return History(ops, rows)


def test_bookings_that_meet_one_after_the_other_do_not_crowd_a_pool() -> None:
    """Three are live at once and each meets the long one, but no point of time has more than two."""
    assert not check_history(_booked((0, 6), (0, 2), (2, 4), (4, 6)), capacity={"pool": 2}).findings


@pytest.mark.parametrize("spans", [((0, 6), (0, 3), (2, 4)), ((2, 4), (0, 3), (0, 6), (5, 6))])
def test_a_point_with_more_bookings_than_people_is_over_capacity(spans: tuple[tuple[int, int], ...]) -> None:
    [finding] = check_history(_booked(*spans), capacity={"pool": 2}).findings
    assert finding.kind is FindingKind.OVER_CAPACITY
    assert finding.bookings == ("b0", "b1", "b2")


@pytest.mark.parametrize(("freed_until", "possible"), [(20, True), (19, False)])
def test_an_inverted_booking_needs_an_instant_of_room(freed_until: int, possible: bool) -> None:
    """a holds until 20 at the latest; b was booked and cancelled at once, somewhere in 10 to 20."""
    ops = (
        HistoryOp(1, Function.BOOK, Reply.OK, 0, 1, "s", "a", 0, 2),
        HistoryOp(2, Function.CANCEL, Reply.OK, 20, 30, "s", "a"),
        HistoryOp(3, Function.BOOK, Reply.OK, 10, freed_until, "s", "b", 1, 3),
        HistoryOp(4, Function.CANCEL, Reply.OK, 10, freed_until, "s", "b"),
    )
    rows = (RestRow("s", "a", RestState.CANCELLED, 0, 2), RestRow("s", "b", RestState.CANCELLED, 1, 3))
    assert (not check_history(History(ops, rows)).findings) == possible


def test_a_crowd_that_forms_after_somebody_left_is_seen() -> None:
    early = (
        HistoryOp(100, Function.BOOK, Reply.OK, -20, -19, "pool", "early", 0, 6),
        HistoryOp(101, Function.CANCEL, Reply.OK, -10, -9, "pool", "early"),
    )
    later = _booked((0, 6), (0, 3), (2, 4))
    history = History(
        (*early, *later.ops), (*(later.ledger or ()), RestRow("pool", "early", RestState.CANCELLED, 0, 6))
    )
    [finding] = check_history(history, capacity={"pool": 2}).findings
    assert finding.bookings == ("b0", "b1", "b2")


def test_bookings_that_only_touch_do_not_crowd_a_longer_one() -> None:
    assert not check_history(_booked((0, 2), (2, 4), (4, 6), (0, 6)), capacity={"pool": 2}).findings


def test_an_inverted_booking_has_room_beside_people_who_work_one_after_the_other() -> None:
    """Two work at that instant, but never both at the same time of the day."""
    ops = (
        *_booked((0, 2), (4, 6)).ops,
        HistoryOp(3, Function.BOOK, Reply.OK, 10, 20, "pool", "c", 0, 6),
        HistoryOp(4, Function.CANCEL, Reply.OK, 10, 20, "pool", "c"),
    )
    rows = (*(_booked((0, 2), (4, 6)).ledger or ()), RestRow("pool", "c", RestState.CANCELLED, 0, 6))
    assert not check_history(History(ops, rows), capacity={"pool": 2}).findings
    crowded = (*_booked((0, 2), (0, 2)).ops, *ops[2:])
    rows = (*(_booked((0, 2), (0, 2)).ledger or ()), rows[-1])
    assert check_history(History(crowded, rows), capacity={"pool": 2}).findings
