"""Slots whose parts cannot be explained without bookings of which little is known, each of help to one part only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement

import pytest
from tests.slotproof.checks.exact.reference import groups_of, resolve

from slotproof.checks.exact import check_history
from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.slot import decide_slot
from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState

STEP = 100


def history(gaps: int, lost_from: Sequence[int]) -> History:
    """Bookings that were made and cancelled one after the other, with so many gaps between them. In each gap somebody
    was refused, though nothing was held there for certain. `lost_from`: the gap from which on each of the bookings may
    have been held whose replies were lost and which the service withdrew at some time."""
    numbers = iter(range(1, 1000))
    ops = list(_known(gaps, numbers))
    rows = [RestRow("s", f"k{place}", RestState.CANCELLED) for place in range(gaps + 1)]
    for place, first in enumerate(lost_from):
        ops.append(HistoryOp(next(numbers), Function.BOOK, Reply.INFO, first * STEP + 41, None, "s", f"lost{place}"))
        rows.append(RestRow("s", f"lost{place}", RestState.CANCELLED))
    return History(tuple(ops), tuple(rows))


def _known(gaps: int, numbers: Iterator[int]) -> Iterator[HistoryOp]:
    for place in range(gaps + 1):
        at = place * STEP
        yield HistoryOp(next(numbers), Function.BOOK, Reply.OK, at, at + 10, "s", f"k{place}")
        yield HistoryOp(next(numbers), Function.CANCEL, Reply.OK, at + 30, at + 40, "s", f"k{place}")
        if place < gaps:
            yield HistoryOp(next(numbers), Function.BOOK, Reply.CONFLICT, at + 60, at + 70, "s", f"refused{place}")


def explained(gaps: int, lost_from: Sequence[int]) -> bool:
    """Each lost booking held once, in one gap: enough of them must have come in time for each gap."""
    return all(sum(first <= gap for first in lost_from) > gap for gap in range(gaps))


CASES = [
    (gaps, lost_from)
    for gaps in (1, 2, 3)
    for count in range(4)
    for lost_from in combinations_with_replacement(range(gaps), count)
]


@pytest.mark.parametrize(("gaps", "lost_from"), CASES)
def test_each_lost_booking_explains_one_refusal(gaps: int, lost_from: tuple[int, ...]) -> None:
    wanted = history(gaps, lost_from)
    result = check_history(wanted)
    assert (not result.findings) is explained(gaps, lost_from), result
    for resolved in resolve(wanted):
        for group in groups_of(resolved, 1, with_readers=True):
            possible = decide_slot(group).answer is Answer.POSSIBLE
            assert possible is explained(gaps, lost_from)


def test_many_gaps_and_as_many_lost_bookings() -> None:
    assert not check_history(history(8, [0] * 8)).findings
    (finding,) = check_history(history(8, [0] * 7)).findings
    assert len(finding.ops) > 4, "no smaller set of ops is impossible: every gap and every lost booking counts"


def test_a_lost_booking_that_was_seen_gone_explains_nothing_later() -> None:
    ops, rows = history(2, [0, 0]).ops, history(2, [0, 0]).ledger
    read = HistoryOp(900, Function.FREE, Reply.FREE, 45, 50, "s")
    gone = HistoryOp(901, Function.CANCEL, Reply.NOT_HELD, 160, 170, "s", "lost0")
    assert not check_history(History((*ops, read), rows)).findings
    assert not check_history(History((*ops, gone), rows)).findings, "the other one explains the second gap"
