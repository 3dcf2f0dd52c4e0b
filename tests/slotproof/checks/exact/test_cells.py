"""The check of single cells, on calendars small enough to see what it must find and what it must leave alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from slotproof.checks.exact.cells import decide_cells
from slotproof.checks.exact.model import NEVER, Booking, Claim, Group, Move, Range, Reader, Role, Unit
from slotproof.checks.exact.slot import decide_slot


def held(name: str, span: Range, since: int = 0, until: int = NEVER) -> Booking:
    """A booking that certainly began at `since` and ended at `until`."""
    op = ord(name)
    return Booking(name, span, since, since, until, until, (op,), () if until == NEVER else (op + 100,))


def said(op: int, claim: Claim, span: Range, at: int = 50, name: str | None = None) -> Reader:
    return Reader(op, claim, span, at, at, name)


def found(bookings: Iterable[Booking], readers: Iterable[Reader], capacity: int = 1) -> frozenset[Unit] | None:
    failure = decide_cells(Group("staff-9", tuple(bookings), tuple(readers), capacity), decide_slot)
    return None if failure is None else failure.units


A, B = held("a", (0, 20)), held("b", (20, 40))


def units(*names: str, read: int, ended: str = "") -> frozenset[Unit]:
    """The reader with these bookings and the ends of those in `ended`."""
    bookings = {Unit(Role.BOOK, name) for name in names} | {Unit(Role.CANCEL, name) for name in ended}
    return frozenset({Unit(Role.READ, read), *bookings})


@pytest.mark.parametrize("span", [(0, 20), (10, 20), (19, 60), (-5, 45)])
def test_a_time_called_free_is_free_in_each_of_its_cells(span: Range) -> None:
    failure = found([A], [said(1, Claim.FREE, span)])
    assert failure is not None
    assert Unit(Role.READ, 1) in failure
    assert Unit(Role.BOOK, "a") in failure


@pytest.mark.parametrize("span", [(20, 40), (-5, 0)])
def test_a_free_time_beside_a_booking_is_none(span: Range) -> None:
    assert found([A], [said(1, Claim.FREE, span)]) is None


def test_two_bookings_that_share_a_cell_are_found() -> None:
    failure = found([A, held("c", (10, 30), since=5)], [])
    assert failure is not None
    assert {unit.key for unit in failure} == {"a", "c"}
    assert found([A, B], []) is None
    assert found([A, held("c", (10, 30), since=5, until=9)], []) is not None
    assert found([held("a", (0, 20), until=4), held("c", (10, 30), since=5)], []) is None


@pytest.mark.parametrize("claim", [Claim.HELD, Claim.HELD_BY_OTHER])
def test_a_refusal_that_no_booking_meets_is_found_with_those_beside_it(claim: Claim) -> None:
    gone, later = held("a", (0, 20), until=40), held("c", (0, 20), since=60)
    assert found([gone, B], [said(1, claim, (0, 20), name="x")]) == units("a", read=1, ended="a")
    assert found([gone, later, B], [said(1, claim, (5, 30), name="x")]) is None, "b explains it"
    assert found([gone, later, B], [said(1, claim, (0, 20), name="x")]) == units("a", "c", read=1, ended="a")
    assert found([], [said(1, claim, (0, 20), name="x")]) == units(read=1)


@pytest.mark.parametrize("capacity", [1, 2])
def test_a_refusal_without_a_reason_is_found_in_pools_too(capacity: int) -> None:
    assert found([B], [said(1, Claim.HELD, (0, 20))], capacity) == units(read=1)


def test_in_pools_cells_say_nothing_more() -> None:
    both = [A, held("c", (0, 20), since=5)]
    assert found(both, []) is not None
    assert found(both, [], capacity=2) is None


@pytest.mark.parametrize(
    ("since", "until", "explained"), [(50, 60, True), (51, 60, False), (0, 50, True), (0, 49, False)]
)
def test_a_booking_explains_a_refusal_of_the_very_instant(since: int, until: int, explained: bool) -> None:
    other = held("c", (0, 20), since, until)
    refused = found([other, B], [said(1, Claim.HELD, (0, 20))])
    assert (refused is None) is explained


def test_a_booking_is_no_reason_against_its_own_move() -> None:
    assert found([A], [said(1, Claim.HELD_BY_OTHER, (0, 20), name="a")]) == units("a", read=1)
    assert found([A], [said(1, Claim.HELD_BY_OTHER, (0, 20), name="b")]) is None
    assert found([A], [said(1, Claim.HELD, (0, 20), name="a")]) is None


def test_a_refusal_counts_in_a_cell_that_sees_every_reason() -> None:
    """One booking holds once: seen, gone and seen again it was not, unless another booking may have been the reason."""
    once = replace(A, begin_since=0, begin_until=60, end_since=10, end_until=70)
    seen = [said(1, Claim.HELD, (0, 20), at=30), said(2, Claim.FREE, (0, 20), at=40)]
    failure = found([once], [*seen, said(3, Claim.HELD, (0, 20))])
    assert failure is not None
    assert Unit(Role.READ, 1) in failure
    assert found([once, B], [*seen, said(3, Claim.HELD, (0, 40))]) is None
    assert found([once], [*seen, said(3, Claim.HELD_BY_OTHER, (0, 20), name="x")]) is None, (
        "of moves, cells know nothing"
    )


def test_replies_about_a_booking_count_in_its_cells() -> None:
    gone = held("a", (0, 20), until=40)
    failure = found([gone, B], [said(1, Claim.HELD_BY, (0, 20), name="a")])
    assert failure is not None
    assert Unit(Role.READ, 1) in failure
    assert found([gone, B], [said(1, Claim.HELD_BY, (0, 20), name="b")]) is None
    assert found([A], [said(1, Claim.NOT_HELD, (20, 40), name="a")]) is not None, "wherever the reply says it looked"
    assert found([gone], [said(1, Claim.NOT_HELD, (0, 20), name="a")]) is None


def test_bookings_that_move_are_in_no_cell_but_explain_refusals_where_they_went() -> None:
    moving = replace(A, moves=(Move(7, (60, 80), 30, 40),))
    assert found([moving, held("c", (10, 30), since=5)], []) is None
    assert found([moving], [said(1, Claim.FREE, (0, 20))]) is None
    assert found([moving, B], [said(1, Claim.HELD, (60, 80))]) is None
    assert found([moving, B], [said(1, Claim.HELD, (80, 90))]) == units(read=1)
    assert (
        found([moving], [said(1, Claim.HELD_BY, (0, 20), name="a"), said(2, Claim.NOT_HELD, (0, 20), name="a")]) is None
    )


def test_what_may_never_have_been_is_not_certain_in_a_cell() -> None:
    perhaps = replace(held("c", (10, 30), since=5), optional=True)
    assert found([A, perhaps], []) is None
    assert found([A, B, perhaps], [said(1, Claim.FREE, (20, 40))]) is not None
