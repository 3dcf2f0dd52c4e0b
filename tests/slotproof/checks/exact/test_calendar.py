"""Calendars: what bookings alone decide needs no search, and what a search cannot follow is looked at cell by cell."""

from __future__ import annotations

from dataclasses import replace

from slotproof.checks.exact.calendar import decide_calendar
from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.model import NEVER, Booking, Claim, Group, Move, Range, Reader, Role, Unit

NARROW = 1
"""A cap at which no search gets anywhere."""
A, B, C = (0, 10), (10, 20), (5, 15)
TWICE = (0, 20)


def booking(name: str, span: Range, *moves: Move, rest: Range | None = None, optional: bool = False) -> Booking:
    return Booking(name, span, 0, 5, NEVER, NEVER, (1,), (), moves, optional, rest)


def gone(name: str, span: Range, since: int, until: int) -> Booking:
    """Made and cancelled: nobody knows when, in between."""
    return Booking(name, span, since, until, since, until, (1,), (2,))


def decide(*bookings: Booking, readers: tuple[Reader, ...] = (), capacity: int = 1, cap: int = NARROW) -> Answer:
    return decide_calendar(Group("r", bookings, readers, capacity), cap).answer


def test_bookings_alone_need_no_search() -> None:
    many = [gone(f"b{number}", (number, number + 2), 0, 100) for number in range(10)]
    assert decide(*many) is Answer.POSSIBLE
    assert decide(*many, capacity=2) is Answer.POSSIBLE
    assert decide(booking("a", A), booking("b", C)) is Answer.IMPOSSIBLE
    assert decide(booking("a", A), booking("b", C), capacity=2) is Answer.POSSIBLE


def test_moves_alone_need_no_search() -> None:
    moved = booking("a", A, Move(7, B, 20, 30), rest=B)
    assert decide(moved, booking("b", (20, 30))) is Answer.POSSIBLE
    assert decide(moved, booking("b", C)) is Answer.IMPOSSIBLE
    assert decide(replace(moved, rest=None)) is Answer.POSSIBLE


def test_a_booking_rests_where_its_last_move_took_it() -> None:
    moves = (Move(7, B, 20, 30), Move(8, (30, 40), 40, 50))
    assert decide(booking("a", A, *moves, rest=(30, 40)), cap=100) is Answer.POSSIBLE
    for elsewhere in (A, B):
        assert decide(booking("a", A, *moves, rest=elsewhere), cap=100) is Answer.IMPOSSIBLE


def test_people_of_a_pool_can_be_moved_to_the_same_time() -> None:
    moved = [booking(name, A, Move(number, B, 20, 30)) for number, name in ((7, "a"), (8, "b"))]
    assert decide(*moved, capacity=2, cap=100) is Answer.POSSIBLE
    third = booking("c", B)
    assert decide(*moved, third, capacity=2, cap=100) is Answer.IMPOSSIBLE
    assert decide(*moved, third, capacity=2) is Answer.TOO_MANY, "that takes a search"


def test_what_is_uncertain_does_not_hide_what_was_sold_twice() -> None:
    uncertain = (booking("u", (40, 50), optional=True), booking("m", (40, 50), Move(7, (60, 70), 20, 30)))
    for first in uncertain:
        assert decide(first, booking("a", A), booking("b", C)) is Answer.IMPOSSIBLE
        assert decide(first, *(booking(name, A) for name in "abc"), capacity=2) is Answer.IMPOSSIBLE


def test_a_cancel_that_was_over_before_its_booking_was_asked_for() -> None:
    contradiction = Booking("a", A, 10, 20, 0, 5, (1,), (2,))
    decision = decide_calendar(Group("r", (booking("b", (40, 50)), contradiction), ()), NARROW)
    assert decision.answer is Answer.IMPOSSIBLE
    assert decision.units is not None
    assert set(decision.units) == {Unit(Role.BOOK, "a"), Unit(Role.CANCEL, "a")}


def test_beyond_the_cap_a_cell_may_still_tell() -> None:
    crowd = [gone(f"b{number}", TWICE, 100, 200) for number in range(4)]
    held = Booking("a", C, 0, 5, 50, 60, (1,), (2,))
    told_free = Reader(9, Claim.FREE, (0, 15), 20, 30)
    decision = decide_calendar(Group("r", (held, *crowd), (told_free,)), NARROW)
    assert decision.answer is Answer.IMPOSSIBLE
    assert decision.units is not None
    assert set(decision.units) == {Unit(Role.BOOK, "a"), Unit(Role.CANCEL, "a"), Unit(Role.READ, 9)}
    harmless = replace(told_free, range=(15, 20))
    assert decide(held, *crowd, readers=(harmless,)) is Answer.TOO_MANY
    assert decide(held, *crowd, readers=(told_free,), cap=10_000) is Answer.IMPOSSIBLE


def test_with_room_for_its_states_a_calendar_is_searched() -> None:
    crowd = [gone(f"b{number}", TWICE, 100, 200) for number in range(2)]
    refused = [Reader(8, Claim.HELD, A, 110, 120), Reader(9, Claim.HELD, B, 130, 140)]
    free = Reader(10, Claim.FREE, TWICE, 122, 128)
    assert decide(*crowd, readers=(*refused, free), cap=100) is Answer.POSSIBLE
    assert decide(crowd[0], booking("far", (15, 40)), readers=(*refused, free), cap=100) is Answer.IMPOSSIBLE
