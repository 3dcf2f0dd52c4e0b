"""Slots whose parts cannot be explained without bookings of which little is known, each of help to one part only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement

import pytest
from tests.slotproof.checks.exact.reference import groups_of, resolve

from slotproof.checks.exact import Verdict, check_history
from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.slot import decide_slot
from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState

STEP = 100


def history(refusals: Sequence[int], lost_from: Sequence[int]) -> History:
    """Bookings that were made and cancelled one after the other, with gaps between them. In each gap somebody was
    refused so many times, though nothing was held there for certain, and the slot was seen free between two refusals.
    `lost_from`: the gap from which on each of the bookings may have been held whose replies were lost and which the
    service withdrew at some time."""
    numbers = iter(range(1, 1000))
    ops = list(_known(refusals, numbers))
    rows = [RestRow("s", f"k{place}", RestState.CANCELLED) for place in range(len(refusals) + 1)]
    for place, first in enumerate(lost_from):
        ops.append(HistoryOp(next(numbers), Function.BOOK, Reply.INFO, first * STEP + 41, None, "s", f"lost{place}"))
        rows.append(RestRow("s", f"lost{place}", RestState.CANCELLED))
    return History(tuple(ops), tuple(rows))


def _known(refusals: Sequence[int], numbers: Iterator[int]) -> Iterator[HistoryOp]:
    for place in range(len(refusals) + 1):
        at = place * STEP
        yield HistoryOp(next(numbers), Function.BOOK, Reply.OK, at, at + 10, "s", f"k{place}")
        yield HistoryOp(next(numbers), Function.CANCEL, Reply.OK, at + 30, at + 40, "s", f"k{place}")
        for time in range(refusals[place] if place < len(refusals) else 0):
            since = at + 50 + 10 * time
            name = f"refused{place}-{time}"
            yield HistoryOp(next(numbers), Function.BOOK, Reply.CONFLICT, since, since + 3, "s", name)
            yield HistoryOp(next(numbers), Function.FREE, Reply.FREE, since + 5, since + 7, "s")


def explained(refusals: Sequence[int], lost_from: Sequence[int]) -> bool:
    """Each lost booking held once, before one read that saw the slot free: enough must have come in time."""
    return all(
        sum(first <= gap for first in lost_from) >= sum(refusals[: gap + 1])
        for gap in range(len(refusals))
        if refusals[gap]
    )


CASES = [
    (refusals, lost_from)
    for refusals in [(1,), (1, 1), (1, 1, 1), (2,), (3,), (2, 1), (1, 2), (2, 0, 2)]
    for count in range(sum(refusals) + 1)
    for lost_from in combinations_with_replacement(range(len(refusals)), count)
]


@pytest.mark.parametrize(("refusals", "lost_from"), CASES)
def test_each_lost_booking_explains_one_refusal(refusals: tuple[int, ...], lost_from: tuple[int, ...]) -> None:
    wanted = history(refusals, lost_from)
    result = check_history(wanted)
    assert (not result.findings) is explained(refusals, lost_from), result
    for resolved in resolve(wanted):
        for group in groups_of(resolved, 1, with_readers=True):
            possible = decide_slot(group).answer is Answer.POSSIBLE
            assert possible is explained(refusals, lost_from)


def test_many_gaps_and_as_many_lost_bookings() -> None:
    assert not check_history(history([1] * 8, [0] * 8)).findings
    (finding,) = check_history(history([1] * 8, [0] * 7)).findings
    assert len(finding.ops) > 4, "no smaller set of ops is impossible: every gap and every lost booking counts"


def test_a_lost_booking_that_was_seen_gone_explains_nothing_later() -> None:
    ops, rows = history([1, 1], [0, 0]).ops, history([1, 1], [0, 0]).ledger
    read = HistoryOp(900, Function.FREE, Reply.FREE, 45, 50, "s")
    gone = HistoryOp(901, Function.CANCEL, Reply.NOT_HELD, 160, 170, "s", "lost0")
    assert not check_history(History((*ops, read), rows)).findings
    assert not check_history(History((*ops, gone), rows)).findings, "the other one explains the second gap"


def test_who_needs_three_lost_bookings_gets_them_before_those_that_need_one() -> None:
    """More gaps than a search of the whole could follow; each must leave the last one what it needs."""
    assert check_history(history([1] * 12 + [3], [0] * 15), cap=20).verdict is Verdict.PASS
    (finding,) = check_history(history([1] * 4 + [3], [0] * 6)).findings
    assert len(finding.bookings) > 6
