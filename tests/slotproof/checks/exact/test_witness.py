"""Which bookings a witness names, and what it leaves unknown of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.model import BEFORE, END_UNKNOWN, NEVER, Booking, Claim, Group, Move, Reader, Role, Unit
from slotproof.checks.exact.slot import decide_slot
from slotproof.checks.exact.witness import all_units, minimise, named, restrict

A = Booking("a", (0, 10), 0, 10, 40, 50, (1,), (2,))
STANDS = Booking("b", (0, 10), 0, 10, NEVER, NEVER, (3,), ())
MOVED = Booking("m", (20, 30), 0, 10, NEVER, NEVER, (4,), (), (Move(7, (0, 10), 20, 30),), rest=(0, 10))
REFUSED = Reader(9, Claim.HELD, (0, 10), 10, 20)
READ = Unit(Role.READ, 9)


def names(booking: Booking, reader: Reader = REFUSED) -> frozenset[str]:
    return named(Group("r", (booking,), (reader,)), [Unit(Role.READ, reader.op)])


@pytest.mark.parametrize(
    ("begin_since", "end_until", "may"),
    [(0, 50, True), (20, 50, True), (21, 50, False), (0, 10, True), (0, 9, False)],
)
def test_a_refusal_names_what_may_have_been_there_at_some_instant_of_it(
    begin_since: int, end_until: int, may: bool
) -> None:
    booking = replace(A, begin_since=begin_since, begin_until=begin_since, end_since=end_until, end_until=end_until)
    assert names(booking) == ({"a"} if may else set())


def test_a_refusal_names_only_what_shares_its_range() -> None:
    assert names(replace(A, range=(10, 20))) == set()
    assert names(replace(A, range=(9, 20))) == {"a"}
    assert names(MOVED) == {"m"}, "where it went counts, too"


def test_a_refused_move_does_not_name_its_own_booking() -> None:
    own = Reader(9, Claim.HELD_BY_OTHER, (0, 10), 10, 20, "a")
    group = Group("r", (A, STANDS), (own,))
    assert named(group, [READ]) == {"a", "b"}, "the reply is about a, and b may be the reason"
    assert named(Group("r", (replace(A, id="x"),), (own,)), [READ]) == {"x"}


@pytest.mark.parametrize("claim", [Claim.FREE, Claim.NOT_HELD, Claim.HELD_BY])
def test_other_replies_name_what_they_are_about(claim: Claim) -> None:
    reader = Reader(9, claim, (0, 10), 10, 20, None if claim is Claim.FREE else "b")
    expected = set() if claim is Claim.FREE else {"b"}
    assert named(Group("r", (A, STANDS), (reader,)), [READ]) == expected


def test_ops_name_their_bookings() -> None:
    group = Group("r", (A, STANDS, MOVED), (REFUSED,))
    assert named(group, [Unit(Role.CANCEL, "a")]) == {"a"}
    assert named(group, [Unit(Role.MOVE, 7)]) == {"m"}
    assert named(group, [Unit(Role.BOOK, "somebody else's")]) == set()


def loosened(booking: Booking, *units: Unit) -> Booking:
    (kept,) = restrict(Group("r", (booking,), (REFUSED,), 2), frozenset(units), frozenset({booking.id})).bookings
    return kept


def test_what_is_left_out_is_unknown() -> None:
    book, cancel, move = Unit(Role.BOOK, "a"), Unit(Role.CANCEL, "a"), Unit(Role.MOVE, 7)
    assert loosened(A, book, cancel) == A
    assert loosened(A, book) == replace(A, end_since=BEFORE, end_until=END_UNKNOWN)
    assert loosened(A, cancel) == replace(A, begin_since=BEFORE, begin_until=END_UNKNOWN)
    assert loosened(STANDS, Unit(Role.BOOK, "b")) == STANDS
    assert loosened(STANDS) == replace(
        STANDS, begin_since=BEFORE, begin_until=END_UNKNOWN, end_since=BEFORE, end_until=END_UNKNOWN
    ), "without its reply the service may have undone it"
    withdrawn = replace(STANDS, end_since=STANDS.begin_since, end_until=END_UNKNOWN)
    assert loosened(withdrawn) == loosened(STANDS), "and so it did, nobody knows when"
    assert loosened(MOVED, Unit(Role.BOOK, "m"), move) == MOVED
    unknown = Move(7, (0, 10), BEFORE, END_UNKNOWN, optional=True)
    assert loosened(MOVED, Unit(Role.BOOK, "m")) == replace(MOVED, moves=(unknown,))
    assert loosened(MOVED, move).rest is None


def test_readers_stay_only_where_they_are_named() -> None:
    group = Group("r", (A, STANDS), (REFUSED, replace(REFUSED, op=10)), 2)
    kept = restrict(group, frozenset({READ}), frozenset({"a"}))
    assert (kept.resource, kept.capacity) == ("r", 2)
    assert [reader.op for reader in kept.readers] == [9]
    assert [booking.id for booking in kept.bookings] == ["a"]


def impossible(group: Group) -> bool:
    return decide_slot(group).answer is Answer.IMPOSSIBLE


def test_a_witness_is_minimal_and_prefers_bookings_to_reads() -> None:
    free = Reader(11, Claim.FREE, (0, 10), 15, 16)
    group = Group("r", (A, STANDS), (REFUSED, free))
    units, ids = minimise(group, (None,), impossible)
    assert units == {Unit(Role.CANCEL, "a"), Unit(Role.BOOK, "b")}, "what was cancelled at 40 was there, beside b"
    assert ids == ("a", "b")
    assert units < all_units(group)


def test_a_witness_is_looked_for_where_it_is_thought_to_be_first() -> None:
    """Two reasons: whichever is named is found, and the whole group when that was wrong."""
    free = Reader(11, Claim.FREE, (0, 10), 15, 16)
    group = Group("r", (A, STANDS), (free,))
    here = frozenset({Unit(Role.READ, 11), Unit(Role.BOOK, "b")})
    assert minimise(group, (here, None), impossible) == (here, ("b",))
    wrong = frozenset({Unit(Role.CANCEL, "a")})
    assert minimise(group, (wrong, here), impossible) == (here, ("b",))
    assert minimise(group, (wrong,), impossible) == minimise(group, (None,), impossible)
