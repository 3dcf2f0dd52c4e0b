"""Where the checker stops, and what it takes besides a history: caps, capacities, clocks."""

from __future__ import annotations

from typing import Any

import pytest

from slotproof.checks.exact import Verdict, check_history
from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState


def test_a_resource_beyond_the_cap_is_not_decided_by_name() -> None:
    """Eight bookings that may have been made, one of which was seen, gone, and seen again: impossible, with effort."""
    lost = [
        HistoryOp(number, Function.BOOK, Reply.INFO, 0, None, "staff-9", f"c{number}", number % 5, number % 5 + 3)
        for number in range(8)
    ]
    seen = [
        HistoryOp(100 + at, Function.FREE, reply, at, at, "staff-9", name, 0, 3)
        for at, reply, name in ((5, Reply.BUSY, "c0"), (7, Reply.FREE, None), (9, Reply.BUSY, "c0"))
    ]
    history = History((*lost, *seen), None)
    hurried = check_history(history, cap=1)
    assert hurried.verdict is Verdict.NOT_DECIDED
    assert hurried.not_decided[0].resource == "staff-9"
    assert hurried.not_decided[0].reason == "more than 1 states are possible at once"
    assert [finding.ops for finding in check_history(history).findings] == [(105, 107, 109)]


def test_with_room_for_its_states_it_is_decided() -> None:
    ops = [
        HistoryOp(number, Function.BOOK, Reply.INFO, 0, None, "staff-9", f"c{number}", number, number + 2)
        for number in range(6)
    ]
    read = HistoryOp(200, Function.FREE, Reply.BUSY, 5, 6, "staff-9", None, 0, 2)
    result = check_history(History((*ops, read), None))
    assert [each.resource for each in result.not_decided] == ["ledger", "exercised"]


def test_clocks_that_differ_by_less_than_their_uncertainty_prove_nothing() -> None:
    ops = (
        HistoryOp(1, Function.BOOK, Reply.OK, 0, 10, "s", "a"),
        HistoryOp(2, Function.BOOK, Reply.OK, 20, 30, "s", "b"),
        HistoryOp(3, Function.CANCEL, Reply.OK, 35, 40, "s", "a"),
    )
    rows = (RestRow("s", "a", RestState.CANCELLED), RestRow("s", "b", RestState.LIVE))
    history = History(ops, rows)
    assert check_history(history, clock_uncertainty_ns=2).verdict is Verdict.VIOLATION
    assert check_history(history, clock_uncertainty_ns=3).verdict is Verdict.PASS


@pytest.mark.parametrize("wrong", [{"capacity": {"s": 0}}, {"clock_uncertainty_ns": -1}])
def test_impossible_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        check_history(History((), ()), **wrong)
