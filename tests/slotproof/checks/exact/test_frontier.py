"""The search, asked directly: it is the last to be asked, and must then be right by itself."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from tests.slotproof.checks.exact import generate as shapes
from tests.slotproof.checks.exact.brute_force import explains
from tests.slotproof.checks.exact.generate import Shape
from tests.slotproof.checks.exact.reference import groups_of, resolve
from tests.slotproof.checks.exact.tight import tight

from slotproof.checks.exact import frontier
from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.model import Booking, Claim, Group, Move, Reader
from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState

HISTORIES = 300


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
        HistoryOp(6, Function.BOOK, Reply.CONFLICT, 9, 9, "s", "refused too"),
    ]
    lost = HistoryOp(7, Function.BOOK, Reply.INFO, -4, None, "s", "lost")
    seen = [
        HistoryOp(8, Function.BOOK, Reply.INFO, 7, None, "s", "seen"),
        HistoryOp(9, Function.FREE, Reply.BUSY, 19, 20, "s", "seen"),
    ]
    names = ["first", "second", "lost", "seen"]
    assert _answer([*known, *refusals, lost, *seen], names) is Answer.POSSIBLE
    between = HistoryOp(10, Function.FREE, Reply.FREE, 8, 8, "s")
    assert _answer([*known, *refusals, lost, *seen, between], names) is Answer.IMPOSSIBLE
    assert _answer([*known, *refusals, *seen], ["first", "second", "seen"]) is Answer.IMPOSSIBLE
    assert _answer([*known, *refusals, lost], ["first", "second", "lost"]) is Answer.POSSIBLE
    assert _answer([*known, *refusals, lost, between], ["first", "second", "lost"]) is Answer.IMPOSSIBLE


@pytest.mark.parametrize("name", ["SLOT", "RANGES", "MOVES", "POOL", "RANGE_POOL"])
def test_the_search_agrees_with_the_brute_force(name: str) -> None:
    shape: Shape = getattr(shapes, name)
    answers: Counter[bool] = Counter()
    for index in range(2 * HISTORIES):
        rng = random.Random(f"{name}-{index}")
        history = tight(rng, shape, known=2, lost=3, replies=4) if index % 2 else shapes.generate(rng, shape)
        (resolved,) = resolve(history)
        if resolved.suspicions:
            continue
        groups = groups_of(resolved, shape.capacity, with_readers=True)
        possible = all(frontier.decide(group) is Answer.POSSIBLE for group in groups)
        assert possible is explains(history, shape.capacity), f"{name}-{index}"
        answers[possible] += 1
    assert min(answers[True], answers[False]) > HISTORIES // 10, answers


@pytest.mark.parametrize("name", ["SLOT", "RANGES", "MOVES", "POOL", "RANGE_POOL"])
def test_ways_are_dropped_only_for_what_can_do_as_much(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same answers as when one lost booking never stands for another."""
    shape: Shape = getattr(shapes, name)
    groups = [
        group
        for index in range(HISTORIES)
        for resolved in resolve(tight(random.Random(f"{name}-{index}"), shape, lost=5, replies=7))
        for group in groups_of(resolved, shape.capacity, with_readers=True)
    ]
    found = [frontier.decide(group) for group in groups]
    monkeypatch.setattr(frontier._Sweep, "_dominates", _does_as_much)
    assert found == [frontier.decide(group) for group in groups]
    assert min(Counter(found)[answer] for answer in (Answer.POSSIBLE, Answer.IMPOSSIBLE)) > HISTORIES // 10


def _does_as_much(_: object, one: frontier._Way, other: frontier._Way) -> bool:
    return one.satisfied | other.satisfied == one.satisfied and one.used <= other.used


EARLY, LATE = (0, 10), (5, 15)
LOST = {
    "x": Booking("x", EARLY, 0, 100, 0, 100, (), ()),
    "like x": Booking("like x", EARLY, 0, 100, 0, 100, (), ()),
    "ends sooner": Booking("ends sooner", EARLY, 0, 100, 0, 90, (), ()),
    "begins sooner": Booking("begins sooner", EARLY, 0, 90, 0, 100, (), ()),
    "elsewhere": Booking("elsewhere", LATE, 0, 100, 0, 100, (), ()),
    "named": Booking("named", EARLY, 0, 100, 0, 100, (), ()),
    "moved": Booking("moved", LATE, 0, 0, 100, 100, (), (), moves=(Move(1, EARLY, 0, 100, optional=True),)),
}


@pytest.mark.parametrize(
    ("used", "by_other", "can_do_as_much"),
    [
        ((), (), True),
        ((), ("x",), True),
        (("x",), (), False),
        (("x",), ("x", "named"), True),
        (("x",), ("like x",), True),
        (("ends sooner",), ("x",), True),
        (("x",), ("ends sooner",), False),
        (("begins sooner",), ("x",), True),
        (("x",), ("begins sooner",), False),
        (("x",), ("elsewhere",), False),
        (("x",), ("named",), False),
        (("named",), ("x",), False),
        (("x",), ("moved",), False),
        (("moved",), ("x",), False),
        (("x", "like x"), ("ends sooner", "begins sooner"), False),
        (("ends sooner", "begins sooner"), ("x", "like x"), True),
        (("x", "like x"), ("ends sooner",), False),
        (("ends sooner", "x"), ("like x", "elsewhere"), False),
        (("x", "ends sooner"), ("like x", "begins sooner"), True),
        (("x", "elsewhere"), ("like x", "elsewhere"), True),
    ],
)
def test_what_one_way_may_still_do_must_make_up_for_what_it_has_done(
    used: tuple[str, ...], by_other: tuple[str, ...], can_do_as_much: bool
) -> None:
    seen = Reader(1, Claim.HELD_BY, EARLY, 50, 60, "named")
    sweep = frontier._Sweep(Group("s", tuple(LOST.values()), (seen,)), 1000)
    sweep.run()
    optional = {writer.id: index for index, writer in enumerate(sweep._writers) if writer.to and writer.since < 100}
    one, other = (frozenset(map(optional.__getitem__, names)) for names in (used, by_other))
    for told, by_both in ((0b11, 0b01), (0b01, 0b01)):
        assert sweep._dominates(frontier._Way(one, told), frontier._Way(other, by_both)) is can_do_as_much
    assert not sweep._dominates(frontier._Way(one, 0b01), frontier._Way(other, 0b11))
