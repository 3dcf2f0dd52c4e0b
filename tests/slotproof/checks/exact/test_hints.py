"""Where a decision says that a witness is to be looked for, there is one: nothing else of the group is needed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.slotproof.checks.exact import generate as shapes
from tests.slotproof.checks.exact.generate import Shape, generate, spoil
from tests.slotproof.checks.exact.reference import groups_of, resolve
from tests.slotproof.checks.exact.traffic import Load, true_history

from slotproof.checks.exact.calendar import decide_calendar
from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.model import Group
from slotproof.checks.exact.slot import Decision, decide_slot
from slotproof.checks.exact.witness import named, restrict
from slotproof.record.exchange import History

HISTORIES = 1000


def decide(group: Group) -> Decision:
    return decide_slot(group) if group.is_slot else decide_calendar(group)


def impossible(histories: Iterator[History], capacity: int = 1) -> Iterator[tuple[Group, Decision]]:
    for history in histories:
        for resolved in resolve(history):
            for group in groups_of(resolved, capacity, with_readers=True):
                decision = decide(group)
                if decision.answer is Answer.IMPOSSIBLE:
                    yield group, decision


def suffices(group: Group, decision: Decision) -> bool:
    hints = [units for units in (decision.units, decision.wider) if units is not None]
    return any(decide(restrict(group, units, named(group, units))).answer is Answer.IMPOSSIBLE for units in hints)


@pytest.mark.parametrize("has_ledger", [True, False])
@pytest.mark.parametrize("name", ["SLOT", "RANGES", "POOL", "RANGE_POOL"])
def test_the_ops_that_set_the_bounds_are_impossible_by_themselves(name: str, has_ledger: bool) -> None:
    shape: Shape = getattr(shapes, name)
    histories = (generate(random.Random(f"{name}-{index}"), shape) for index in range(HISTORIES))
    if not has_ledger:
        histories = (replace(history, ledger=None) for history in histories)
    hints = 0
    for group, decision in impossible(histories, shape.capacity):
        optional = any(booking.optional for booking in group.bookings)
        if decision.units is None:
            assert optional or (not group.is_slot and group.readers), "only a search of the whole has no hint"
            continue
        hints += 1
        assert suffices(group, decision), group
        if optional or not group.is_slot:
            assert decision.wider is None
    assert hints > HISTORIES // 40


def test_so_they_are_where_moves_exclude_each_other() -> None:
    shape = replace(shapes.MOVES, spans=((0, 2), (1, 3)))
    histories = (generate(random.Random(f"moves-{index}"), shape) for index in range(HISTORIES))
    found = [
        suffices(group, decision)
        for group, decision in impossible(histories)
        if decision.units is not None and any(booking.moves for booking in group.bookings)
    ]
    assert sum(found) > 0.7 * len(found) > 0, "now and then a move that is left out might have come first"


def test_so_they_are_in_long_slots() -> None:
    found = [suffices(group, decision) for group, decision in impossible(map(long_history, range(HISTORIES // 2)))]
    assert sum(found) > 0.95 * len(found) > 0, "now and then a booking that is left out has to be where it was"


def long_history(index: int) -> History:
    rng = random.Random(f"long-{index}")
    load = Load(ops=rng.randint(16, 40), clients=rng.randint(2, 6), unknown=rng.choice((0.0, 0.2, 0.5)))
    ticks = 100 * load.ops // load.clients
    return spoil(rng, spoil(rng, true_history(rng, load), ticks), ticks)
