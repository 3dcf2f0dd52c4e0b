"""Precedence of moves: what the cores force, what they leave open, and the ops that are blamed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slotproof.checks.exact import Verdict, check_history
from slotproof.checks.exact.model import NEVER, Booking, Move, Range, Role, Unit
from slotproof.checks.exact.moves import Precedence, decide_moves
from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState

HERE, THERE = (0, 10), (10, 20)


def booking(name: str, span: Range, *moves: Move, begin: Range = (0, 1), end: Range = (NEVER, NEVER)) -> Booking:
    return Booking(name, span, *begin, *end, (1,), () if end[0] == NEVER else (2,), moves)


def move(op: int, to: Range, since: int, until: int) -> Move:
    return Move(op, to, since, until)


def blamed(precedence: Precedence) -> set[tuple[Role, str | int]]:
    assert precedence.failure is not None
    assert precedence.failure.units is not None
    return set(precedence.failure.units)


def test_a_move_onto_a_time_that_becomes_free_in_time_is_possible() -> None:
    gone = booking("a", THERE, end=(20, 30))
    moved = booking("b", HERE, move(7, THERE, 25, 40))
    precedence = decide_moves([gone, moved])
    assert precedence.failure is None
    assert precedence.complete


def test_a_move_onto_a_time_that_is_held_for_ever_is_not() -> None:
    precedence = decide_moves([booking("a", THERE), booking("b", HERE, move(7, THERE, 25, 40))])
    assert blamed(precedence) == {(Role.BOOK, "a"), (Role.MOVE, 7)}


def test_a_move_that_was_told_before_the_time_became_free_is_not() -> None:
    gone = booking("a", THERE, end=(50, 60))
    precedence = decide_moves([gone, booking("b", HERE, move(7, THERE, 25, 40))])
    assert blamed(precedence) >= {(Role.CANCEL, "a"), (Role.MOVE, 7), (Role.BOOK, "a")}
    at_once = decide_moves([replace(gone, end_since=40), booking("b", HERE, move(7, THERE, 25, 40))])
    assert at_once.failure is None, "the end and the move may be at the same instant"


def test_two_bookings_that_change_places_need_a_third_place() -> None:
    one = booking("a", HERE, move(7, THERE, 20, 30))
    other = booking("b", THERE, move(8, HERE, 20, 30))
    assert blamed(decide_moves([one, other])) >= {(Role.MOVE, 7), (Role.MOVE, 8)}
    aside = booking("b", THERE, move(9, (20, 30), 2, 10), move(8, HERE, 31, 40))
    assert decide_moves([one, aside]).failure is None


def test_a_chain_of_moves_is_blamed_whole() -> None:
    """c leaves too late for b, which leaves too late for a."""
    places = [(0, 10), (10, 20), (20, 30), (30, 40)]
    a = booking("a", places[0], move(7, places[1], 20, 30))
    b = booking("b", places[1], move(8, places[2], 20, 60))
    c = booking("c", places[2], move(9, places[3], 40, 60))
    assert {(Role.MOVE, 7), (Role.MOVE, 8), (Role.MOVE, 9)} <= blamed(decide_moves([a, b, c]))
    in_time = replace(c, moves=(move(9, places[3], 30, 60),))
    assert decide_moves([a, b, in_time]).failure is None


def test_what_is_not_certain_leaves_the_precedence_open() -> None:
    sure = booking("b", HERE, move(7, THERE, 25, 40))
    perhaps = replace(booking("a", THERE), optional=True)
    lost = booking("a", (40, 50), replace(move(8, THERE, 2, 10), optional=True))
    at_the_same_time = booking("a", (40, 50), move(8, (50, 60), 2, 10), move(9, THERE, 10, 20))
    for unsure in (perhaps, lost, at_the_same_time):
        precedence = decide_moves([unsure, sure])
        assert precedence.failure is None
        assert not precedence.complete
    one_by_one = booking("a", (40, 50), move(8, (50, 60), 2, 10), move(9, THERE, 11, 20))
    assert decide_moves([one_by_one, sure]).failure is not None


def test_stays_without_a_core_force_no_order() -> None:
    """Each may have been there for no time at all: gone as soon as it came."""
    brief = booking("a", THERE, begin=(0, 30), end=(30, 60))
    sure = booking("b", HERE, move(7, THERE, 25, 40))
    assert not decide_moves([brief, sure]).complete
    assert decide_moves([replace(brief, begin_until=29), sure]).complete
    both = decide_moves([brief, booking("b", HERE, move(7, THERE, 25, 40), end=(39, 50))])
    assert both.failure is None
    assert not both.complete


def test_a_booking_moves_onto_its_own_old_range() -> None:
    alone = booking("a", HERE, move(7, (5, 15), 20, 30), move(8, HERE, 40, 50))
    precedence = decide_moves([alone])
    assert precedence.failure is None
    assert precedence.complete
    crossed = decide_moves([booking("a", HERE, move(7, THERE, 20, 30), end=(2, 10))])
    assert blamed(crossed) >= {(Role.MOVE, 7)}, "it ended before it was moved"


def test_where_a_unit_stands_for() -> None:
    precedence = decide_moves([booking("a", HERE, move(7, THERE, 20, 30), end=(40, 50))])
    assert [boundary.unit for boundary in precedence.boundaries] == [
        Unit(Role.BOOK, "a"),
        Unit(Role.MOVE, 7),
        Unit(Role.CANCEL, "a"),
    ]


@pytest.mark.parametrize(("rest", "verdict"), [(THERE, Verdict.VIOLATION), ((20, 30), Verdict.PASS)])
def test_a_booking_rests_where_its_last_move_went(rest: Range, verdict: Verdict) -> None:
    ops = (
        HistoryOp(1, Function.BOOK, Reply.OK, 0, 10, "r", "a", *HERE),
        HistoryOp(2, Function.MOVE, Reply.OK, 20, 30, "r", "a", *HERE, *THERE),
        HistoryOp(3, Function.MOVE, Reply.OK, 40, 50, "r", "a", *THERE, 20, 30),
    )
    history = History(ops, (RestRow("r", "a", RestState.LIVE, *rest),))
    result = check_history(history)
    assert bool(result.findings) is (verdict is Verdict.VIOLATION), result
