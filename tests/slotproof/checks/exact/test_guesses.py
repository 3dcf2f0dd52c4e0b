"""A guess proves that an order exists, so the search must find one too; and guesses must spare most of the searches."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tests.slotproof.checks.exact.generate import SLOT, spoil
from tests.slotproof.checks.exact.tight import STEP, tight
from tests.slotproof.checks.exact.traffic import Load, true_history

from slotproof.checks.exact import check_history, suspects
from slotproof.checks.exact.components import Component, search, without_needless
from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.guesses import Guesses
from slotproof.checks.exact.suspects import _component, _Hard
from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState

_CAP = 10_000
HardOf = Callable[[History], _Hard | None]


@pytest.fixture
def hard_of(monkeypatch: pytest.MonkeyPatch) -> HardOf:
    """The components of a history that the greedy could not explain, and what guesses say of them."""
    caught: list[_Hard] = []
    of = _Hard.of

    def catch(*args: object) -> _Hard:
        caught.append(of(*args))  # type: ignore[arg-type]
        return caught[-1]

    monkeypatch.setattr(suspects._Hard, "of", catch)

    def hard(history: History) -> _Hard | None:
        caught.clear()
        check_history(history)
        if not caught:
            return None
        (found,) = caught
        found.maker.prepare(range(len(found.maker._codes)))
        return found

    return hard


def crowded(seed: object, ops: int, clients: int = 10) -> History:
    return true_history(random.Random(f"{seed}"), Load(ops=ops, clients=clients, unknown=0.3))


def searched(hard: _Hard, number: int, helpers: list[int]) -> Answer:
    part = hard.parts.of(number)
    component: Component = _component(hard.maker, part)
    lives = [hard.maker.life(index) for index in helpers]
    return search(component, lives, hard._not_held([*part.narrow, *helpers]), _CAP)


def denied(rng: random.Random) -> History:
    """A tight slot in which callers were often told of lost bookings that they are not held."""
    history = tight(rng, SLOT, known=5)
    ops = list(history.ops)
    for lost in [op for op in ops if op.function is Function.BOOK and op.outcome is Reply.INFO]:
        since = lost.invoke_ns + rng.randint(0, 3 * STEP)
        told = HistoryOp(
            len(ops) + 1, Function.CANCEL, Reply.NOT_HELD, since, since + rng.randint(0, 2), "slot", lost.id
        )
        ops += [told] * (rng.random() < 0.5)
    return replace(history, ops=tuple(ops))


def histories() -> list[History]:
    found = [denied(random.Random(f"guess-{index}")) for index in range(400)]
    for index in range(12):
        history = crowded(index, ops=400)
        found += [history, spoil(random.Random(index), history, 2000)]
    return found


def test_what_a_guess_explains_the_search_explains_too(hard_of: HardOf) -> None:
    alone = helped = 0
    for history in histories():
        hard = hard_of(history)
        if hard is None:
            continue
        numbers = hard.numbers.tolist()
        for number in set(range(hard.components.count)) - set(numbers):
            assert searched(hard, number, []) is Answer.POSSIBLE
            alone += 1
        left, helped_by = hard.guesses.with_help(hard.numbers, frozenset())
        for number in set(numbers) - set(left.tolist()):
            helpers = [helper for helper, which in helped_by.items() if which == number]
            assert len(helpers) <= 2
            assert set(helpers) <= set(hard.components.wide_of(number))
            assert searched(hard, number, helpers) is Answer.POSSIBLE
            helped += len(helpers) > 0
        assert set(helped_by.values()) <= set(numbers) - set(left.tolist())
        taken = frozenset(helped_by)
        _, others = hard.guesses.with_help(hard.numbers, taken)
        assert not taken & set(others)
    assert alone > 100, alone
    assert helped > 15, helped


def test_guesses_spare_most_searches(hard_of: HardOf) -> None:
    """Of components that an order explains, most with many inverted bookings each."""
    narrow = unexplained = unhelped = 0
    for index in range(6):
        hard = hard_of(crowded(f"many-{index}", ops=3000))
        assert hard is not None
        with_narrow = set(hard.components.narrow[0].tolist())
        narrow += len(with_narrow)
        unexplained += len(with_narrow & set(hard.numbers.tolist()))
        left, _ = hard.guesses.with_help(hard.numbers, frozenset())
        unhelped += len(left)
    assert narrow > 150, narrow
    assert unexplained < 0.19 * narrow, unexplained
    assert unhelped < 0.05 * narrow, unhelped


def test_the_same_history_gets_the_same_guesses(hard_of: HardOf) -> None:
    found = []
    for _ in range(2):
        hard = hard_of(crowded("same", ops=3000))
        assert hard is not None
        left, helped_by = hard.guesses.with_help(hard.numbers, frozenset())
        found.append((hard.numbers.tolist(), left.tolist(), helped_by))
    assert found[0] == found[1]
    assert found[0][2]
    assert np.unique(found[0][0]).tolist() == found[0][0]


class Made:
    """A history op by op; all its bookings are cancelled at rest."""

    def __init__(self, resource: str = "slot") -> None:
        self.resource = resource
        self._ops: list[HistoryOp] = []

    def op(self, function: Function, reply: Reply, since: int, until: int, name: str | None = None) -> None:
        end_ns = None if reply is Reply.INFO else until
        self._ops.append(HistoryOp(len(self._ops), function, reply, since, end_ns, self.resource, name))

    def known(self, booking: str, begins: int, ends: int) -> None:
        self.op(Function.BOOK, Reply.OK, begins, begins + 4, booking)
        self.op(Function.CANCEL, Reply.OK, ends, ends + 4, booking)

    def refused(self, at: int) -> None:
        self.op(Function.BOOK, Reply.CONFLICT, at, at, f"refused at {at}")

    def lost(self, booking: str, since: int = -5) -> None:
        """It may have been held at any time since, or never."""
        self.op(Function.BOOK, Reply.INFO, since, since, booking)
        self.op(Function.CANCEL, Reply.INFO, since, since, booking)

    def history(self) -> History:
        made = {(op.resource, op.id): None for op in self._ops if op.id and op.outcome is not Reply.CONFLICT}
        rows = [RestRow(resource, str(booking), RestState.CANCELLED) for resource, booking in made]
        return History(tuple(self._ops), tuple(rows))


def knot(made: Made) -> None:
    """Two refusals that only a lost booking explains."""
    for booking, begins, ends in (("first", 6, 11), ("later", 40, 70), ("last", 100, 130)):
        made.known(booking, begins, ends)
    made.refused(20)
    made.refused(80)
    made.lost("either")


@pytest.fixture(params=[True, False], ids=["guesses", "no guesses"])
def guesses(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With helpers that guesses find, and with those that a search finds."""
    if not request.param:
        monkeypatch.setattr(Guesses, "with_help", lambda self, numbers, taken: (numbers, {}))


@pytest.mark.usefixtures("guesses")
@pytest.mark.parametrize("is_possible", [True, False])
def test_a_helper_helps_one_and_is_given_back_to_who_has_no_other(is_possible: bool, hard_of: HardOf) -> None:
    """Where another one explains the first refusal too, it must take that, though it tries the first one first."""
    made = Made()
    knot(made)
    if is_possible:
        made.op(Function.BOOK, Reply.INFO, -5, -5, "until 60")
        made.op(Function.CANCEL, Reply.OK, 1, 60, "until 60")
    history = made.history()
    hard = hard_of(history)
    assert hard is not None
    helps = [len(hard.components.wide_of(number)) for number in hard.numbers.tolist()]
    assert helps == [1 + is_possible, 1]
    assert (hard.unexplained() == []) is is_possible
    assert (not check_history(history).findings) is is_possible


def test_helpers_that_are_not_needed_are_given_back_the_last_one_first(hard_of: HardOf) -> None:
    made = Made()
    made.known("first", 6, 11)
    made.known("later", 40, 70)
    made.refused(20)
    for number in range(9):
        made.lost(f"lost{number}")
    hard = hard_of(made.history())
    assert hard is not None
    part = hard.parts.of(0)
    component, lives = _component(hard.maker, part), [hard.maker.life(index) for index in part.wide]
    assert len(lives) == 9
    for count in (1, 2, 3, 8):
        assert without_needless(component, lives[:count], [], _CAP) == lives[:1]
    assert without_needless(component, lives, [], _CAP) == lives  # a search for each would take too long


@pytest.mark.usefixtures("guesses")
def test_whatever_has_too_few_helpers_is_found() -> None:
    made = Made("one")
    knot(made)
    made.resource = "two"
    knot(made)
    assert [finding.resource for finding in check_history(made.history()).findings] == ["one", "two"]


@pytest.mark.usefixtures("guesses")
@pytest.mark.parametrize("lost", [1, 2, 3, 4])
def test_who_needs_two_helpers_leaves_none_of_them_to_others(lost: int) -> None:
    """Two refusals with a free time between them, and another one elsewhere: three that each need one of their own."""
    made = Made()
    for number in range(5):
        made.known(f"known{number}", 100 * number + 6, 100 * number + 70)
    made.refused(80)
    made.op(Function.FREE, Reply.FREE, 85, 86)
    made.refused(92)
    made.refused(285)
    for number in range(lost):
        made.lost(f"lost{number}")
    assert (not check_history(made.history()).findings) is (lost >= 3)


def test_what_nothing_can_explain_is_left_when_the_others_are_helped() -> None:
    """A refusal on a resource that nobody ever booked, beside one that a lost booking explains."""
    made = Made()
    made.known("first", 6, 11)
    made.known("later", 40, 70)
    made.refused(20)
    made.lost("helper")
    assert not check_history(made.history()).findings
    made.resource = "other"
    made.refused(5)
    (finding,) = check_history(made.history()).findings
    assert finding.resource == "other"


@pytest.mark.parametrize("known", ["zero", "new", "lost"])
def test_a_refusal_counts_whatever_id_it_gave(known: str) -> None:
    """A request that was sent again keeps its id: its refusal says that somebody held the time."""
    made = Made()
    made.known("zero", -50, -40)
    made.known("first", 6, 11)
    made.known("later", 40, 70)
    made.op(Function.BOOK, Reply.INFO, 30, 30, "lost")
    made.op(Function.CANCEL, Reply.OK, 31, 35, "lost")
    assert not check_history(made.history()).findings
    made.op(Function.BOOK, Reply.CONFLICT, 25, 25, known)
    assert check_history(made.history()).findings
