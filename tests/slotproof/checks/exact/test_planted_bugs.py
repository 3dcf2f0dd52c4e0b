"""Large correct histories pass; one planted bug in them is found, with a witness that is a violation by itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.slotproof.checks.exact import generate as shapes
from tests.slotproof.checks.exact.alone import alone, requests
from tests.slotproof.checks.exact.brute_force import explains
from tests.slotproof.checks.exact.generate import Shape, lose_reply, true_run
from tests.slotproof.checks.exact.traffic import Load, true_history

from slotproof.checks.base import FindingKind
from slotproof.checks.exact import Verdict, check_history
from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState

Plant = Callable[[random.Random, History], History]


def _ok(history: History, function: Function, *, cancelled: bool | None = None) -> list[HistoryOp]:
    gone = {row.id for row in history.ledger or () if row.state is RestState.CANCELLED}
    found = [op for op in history.ops if op.function is function and op.outcome is Reply.OK]
    return found if cancelled is None else [op for op in found if (op.id in gone) is cancelled]


def _without_row(history: History, name: str | None) -> tuple[RestRow, ...]:
    return tuple(row for row in history.ledger or () if row.id != name)


def _double(rng: random.Random, history: History) -> History:
    """A second booking is confirmed in the middle of another one's time."""
    ends = {op.id: op for op in history.ops if op.function is Function.CANCEL and op.outcome is Reply.OK}
    held = [
        (book.complete_ns, ends[book.id].invoke_ns)
        for book in _ok(history, Function.BOOK, cancelled=True)
        if book.complete_ns is not None and book.id in ends and ends[book.id].invoke_ns > book.complete_ns + 4
    ]
    since, until = rng.choice(held)
    book = HistoryOp(900_001, Function.BOOK, Reply.OK, since + 1, since + 2, "s0", "planted")
    cancel = HistoryOp(900_002, Function.CANCEL, Reply.OK, until - 1, until - 1, "s0", "planted")
    row = RestRow("s0", "planted", RestState.CANCELLED)
    return History((*history.ops, book, cancel), (*(history.ledger or ()), row))


def _lost(rng: random.Random, history: History) -> History:
    book = rng.choice(_ok(history, Function.BOOK))
    return replace(history, ledger=_without_row(history, book.id))


def _phantom(rng: random.Random, history: History) -> History:
    refused = rng.choice([op for op in history.ops if op.outcome is Reply.CONFLICT])
    row = RestRow(refused.resource, refused.id or "", RestState.CANCELLED)
    return replace(history, ledger=(*(history.ledger or ()), row))


def _lost_cancel(rng: random.Random, history: History) -> History:
    cancel = rng.choice(_ok(history, Function.CANCEL))
    row = RestRow(cancel.resource, cancel.id or "", RestState.LIVE)
    return replace(history, ledger=(*_without_row(history, cancel.id), row))


def _stale(rng: random.Random, history: History) -> History:
    """Told free from a cache, in the middle of a booking's time."""
    spoilt = _double(rng, history)
    planted = spoilt.ops[-2]
    read = replace(planted, function=Function.FREE, outcome=Reply.FREE, id=None)
    return replace(history, ops=(*history.ops, read))


PLANTS: dict[FindingKind, Plant] = {
    FindingKind.DOUBLE_BOOKING: _double,
    FindingKind.LOST_BOOKING: _lost,
    FindingKind.PHANTOM_BOOKING: _phantom,
    FindingKind.LOST_CANCEL: _lost_cancel,
    FindingKind.FALSE_FREE: _stale,
}


@pytest.mark.parametrize("kind", PLANTS)
@pytest.mark.parametrize("clients", [4, 16])
def test_a_planted_bug_is_found_with_a_minimal_witness(kind: FindingKind, clients: int) -> None:
    rng = random.Random(f"{kind}-{clients}")
    history = PLANTS[kind](rng, true_history(rng, Load(ops=1000, clients=clients, unknown=0.02)))
    findings = check_history(history).findings
    assert kind in {finding.kind for finding in findings}
    for finding in findings:
        assert len(finding.ops) <= 8, finding
        assert not explains(alone(history, finding)), finding
        for part in requests(history, finding):
            assert explains(alone(history, finding, part)), (finding, part)


@pytest.mark.parametrize("unknown", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("clients", [4, 64, 256])
def test_a_correct_history_of_a_trial_s_size_is_decided_and_passes(clients: int, unknown: float) -> None:
    rng = random.Random(f"{clients}-{unknown}")
    result = check_history(true_history(rng, Load(ops=300, clients=clients, slots=2, unknown=unknown)))
    assert result.verdict is Verdict.PASS, result


@pytest.mark.parametrize("name", ["RANGES", "MOVES", "POOL", "RANGE_POOL"])
@pytest.mark.parametrize("unknown", [0.0, 0.1])
def test_a_correct_calendar_of_a_trial_s_size_is_decided_and_passes(name: str, unknown: float) -> None:
    rng = random.Random(f"{name}-{unknown}")
    shape: Shape = getattr(shapes, name)
    for _ in range(5):
        history = true_run(rng, shape, ticks=400, count=150)
        history = replace(history, ops=tuple(lose_reply(rng, op, unknown) for op in history.ops))
        result = check_history(history, capacity={"slot": shape.capacity})
        assert result.verdict is Verdict.PASS, result


@pytest.mark.parametrize("bookings", [60, 500, 50_000])
def test_swapped_moves_are_found_among_many_that_are_in_order(bookings: int) -> None:
    """Each booking moves to a range of its own, one after the other; two of them swap at one time.

    Up to 500 each moves to where the one before it was; of more, each has two ranges that nobody else wants.
    """
    ops: list[HistoryOp] = []
    rows: list[RestRow] = []

    def booked(name: str, place: int, to: int, at: int) -> None:
        span, target = (10 * place, 10 * place + 10), (10 * to, 10 * to + 10)
        move = HistoryOp(
            len(ops) + 2,
            Function.MOVE,
            Reply.OK,
            at + 5,
            at + 9,
            "s0",
            name,
            *span,
            to_start=target[0],
            to_end=target[1],
        )
        ops.extend([HistoryOp(len(ops) + 1, Function.BOOK, Reply.OK, at, at + 2, "s0", name, *span), move])
        rows.append(RestRow("s0", name, RestState.LIVE, *target))

    for number in range(bookings):
        place = number if bookings <= 500 else 2 * number + 200
        booked(f"m{number}", place, place - 1, 20 * number)
    in_order = History(tuple(ops), tuple(rows))
    assert not check_history(in_order).findings
    booked("x", -100, -101, 5000)
    booked("y", -101, -100, 5000)
    [finding] = check_history(History(tuple(ops), tuple(rows))).findings
    assert finding.kind is FindingKind.IMPOSSIBLE_MOVES
    assert set(finding.bookings) == {"x", "y"}


def test_bookings_are_decided_even_where_replies_are_not() -> None:
    """With too many states to follow, a slot that was sold twice is a violation all the same."""
    rng = random.Random(7)
    history = _double(rng, true_history(rng, Load(ops=1000, clients=16)))
    kinds = {finding.kind for finding in check_history(history, cap=1).findings}
    assert FindingKind.DOUBLE_BOOKING in kinds
