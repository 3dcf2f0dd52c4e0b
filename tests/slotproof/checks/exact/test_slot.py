"""One slot without a ledger: what nobody knows is searched, what is certain needs no search."""

from __future__ import annotations

from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.model import NEVER, WHOLE, Booking, Claim, Group, Reader, Role, Unit
from slotproof.checks.exact.slot import decide_slot

NARROW = 1
"""A cap at which no search gets anywhere."""


def booking(name: str, since: int, until: int, *, optional: bool = False) -> Booking:
    return Booking(name, WHOLE, since, until, NEVER, NEVER, (1,), (), optional=optional)


UNKNOWN = [booking(f"u{number}", 0, 100, optional=True) for number in range(3)]


def test_what_was_certainly_sold_twice_is_found_whatever_else_is_unknown() -> None:
    decision = decide_slot(Group("r", (*UNKNOWN, booking("a", 0, 5), booking("b", 3, 9)), ()), NARROW)
    assert decision.answer is Answer.IMPOSSIBLE
    assert decision.units is not None
    assert set(decision.units) == {Unit(Role.BOOK, "a"), Unit(Role.BOOK, "b")}


def test_what_may_have_been_is_searched_up_to_the_cap() -> None:
    told_free = Reader(9, Claim.FREE, WHOLE, 200, 210)
    group = Group("r", (*UNKNOWN, booking("a", 20, 30)), (Reader(8, Claim.HELD, WHOLE, 5, 10),))
    assert decide_slot(group, NARROW).answer is Answer.TOO_MANY
    assert decide_slot(group, 100).answer is Answer.IMPOSSIBLE, "what was refused first may not end before the other"
    assert decide_slot(Group("r", (*UNKNOWN, booking("a", 0, 30)), (told_free,)), 100).answer is Answer.IMPOSSIBLE
    assert decide_slot(Group("r", tuple(UNKNOWN), (told_free,)), 100).answer is Answer.POSSIBLE
