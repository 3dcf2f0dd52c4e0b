"""The search, asked directly: it is the last to be asked, and must then be right by itself."""

from __future__ import annotations

from tests.slotproof.checks.exact.reference import groups_of, resolve

from slotproof.checks.exact import frontier
from slotproof.checks.exact.frontier import Answer
from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState


def _answer(ops: list[HistoryOp], cancelled: list[str]) -> Answer:
    rows = tuple(RestRow("s", name, RestState.CANCELLED) for name in cancelled)
    (resolved,) = resolve(History(tuple(ops), rows))
    (group,) = groups_of(resolved, 1, with_readers=True)
    return frontier.decide(group)


def test_a_lost_booking_that_is_seen_later_is_not_spent_in_place_of_one_that_is_not() -> None:
    """Two refusals between the certain bookings, and two lost ones to explain them; the second was seen at the end."""
    known = [
        HistoryOp(1, Function.BOOK, Reply.OK, 0, 3, "s", "first"),
        HistoryOp(2, Function.CANCEL, Reply.OK, 5, 5, "s", "first"),
        HistoryOp(3, Function.BOOK, Reply.OK, 11, 11, "s", "second"),
        HistoryOp(4, Function.CANCEL, Reply.OK, 12, 16, "s", "second"),
    ]
    refusals = [
        HistoryOp(5, Function.BOOK, Reply.CONFLICT, 6, 7, "s", "refused"),
        HistoryOp(6, Function.BOOK, Reply.CONFLICT, 8, 9, "s", "refused too"),
    ]
    lost = HistoryOp(7, Function.BOOK, Reply.INFO, -4, None, "s", "lost")
    seen = [
        HistoryOp(8, Function.BOOK, Reply.INFO, 7, None, "s", "seen"),
        HistoryOp(9, Function.FREE, Reply.BUSY, 19, 20, "s", "seen"),
    ]
    names = ["first", "second", "lost", "seen"]
    assert _answer([*known, *refusals, lost, *seen], names) is Answer.POSSIBLE
    between = HistoryOp(10, Function.FREE, Reply.FREE, 8, 8, "s")
    assert _answer([*known, *refusals, lost, *seen, between], names) is Answer.POSSIBLE
    assert _answer([*known, *refusals, *seen], ["first", "second", "seen"]) is Answer.IMPOSSIBLE
