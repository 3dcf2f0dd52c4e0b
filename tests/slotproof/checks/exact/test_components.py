"""Slots whose parts cannot be explained without bookings of which little is known, each of help to one part only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement

import pytest
from tests.slotproof.checks.exact.reference import groups_of, resolve

from slotproof.checks.base import FindingKind
from slotproof.checks.exact import Verdict, check_history, suspects
from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.slot import decide_slot
from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState

STEP = 100


def history(refusals: Sequence[int], lost_from: Sequence[int], *, before: int = 0, between: str = "free") -> History:
    """Bookings that were made and cancelled one after the other, with gaps between them. In each gap somebody was
    refused so many times, though nothing was held there for certain. `lost_from`: the gap from which on each of the
    bookings may have been held whose replies were lost and which the service withdrew at some time. `before`: as many
    refusals before the first booking. `between`: after each refusal the slot was seen free, or callers were told that
    none of the lost bookings was held ("not held")."""
    numbers = iter(range(1, 1000))
    ops = list(_known(refusals, before, numbers))
    rows = [RestRow("s", f"k{place}", RestState.CANCELLED) for place in range(len(refusals) + 1)]
    for place, first in enumerate(lost_from):
        since = first * STEP + 41
        ops.append(HistoryOp(next(numbers), Function.BOOK, Reply.INFO, since, None, "s", f"lost{place}"))
        rows.append(RestRow("s", f"lost{place}", RestState.CANCELLED))
    told = [op for op in ops if op.outcome is Reply.FREE] if between == "not held" else []
    for op in told:
        ops.remove(op)
        for place in range(len(lost_from)):
            name, done = f"lost{place}", op.complete_ns
            ops.append(HistoryOp(next(numbers), Function.CANCEL, Reply.NOT_HELD, op.invoke_ns, done, "s", name))
    return History(tuple(ops), tuple(rows))


def _known(refusals: Sequence[int], before: int, numbers: Iterator[int]) -> Iterator[HistoryOp]:
    yield from _refused(-STEP, before, numbers)
    for place in range(len(refusals) + 1):
        at = place * STEP
        yield HistoryOp(next(numbers), Function.BOOK, Reply.OK, at, at + 10, "s", f"k{place}")
        yield HistoryOp(next(numbers), Function.CANCEL, Reply.OK, at + 30, at + 40, "s", f"k{place}")
        yield from _refused(at, refusals[place] if place < len(refusals) else 0, numbers)


def _refused(at: int, times: int, numbers: Iterator[int]) -> Iterator[HistoryOp]:
    for time in range(times):
        number, since = next(numbers), at + 50 + 10 * time
        yield HistoryOp(number, Function.BOOK, Reply.CONFLICT, since, since + 3, "s", f"refused{number}")
        yield HistoryOp(next(numbers), Function.FREE, Reply.FREE, since + 5, since + 7, "s")


def explained(refusals: Sequence[int], lost_from: Sequence[int], before: int = 0) -> bool:
    """Each lost booking held once, between two replies that say it was not: enough must have come in time."""
    needed = {-1: before, **dict(enumerate(refusals))}
    return all(
        sum(first <= gap for first in lost_from) >= sum(needed[each] for each in range(-1, gap + 1))
        for gap, count in needed.items()
        if count
    )


CASES = [
    (refusals, lost_from, before)
    for refusals in [(1,), (1, 1), (1, 1, 1), (2,), (3,), (2, 1), (1, 2), (2, 0, 2)]
    for before in (0, 1)[: max(1, 3 - len(refusals))]
    for count in range(sum(refusals) + before + 1)
    for lost_from in combinations_with_replacement(range(-before, len(refusals)), count)
]


@pytest.mark.parametrize("between", ["free", "not held"])
@pytest.mark.parametrize(("refusals", "lost_from", "before"), CASES)
def test_each_lost_booking_explains_one_refusal(
    refusals: tuple[int, ...], lost_from: tuple[int, ...], before: int, between: str
) -> None:
    wanted = history(refusals, lost_from, before=before, between=between)
    result = check_history(wanted)
    assert (not result.findings) is explained(refusals, lost_from, before), result
    for resolved in resolve(wanted):
        for group in groups_of(resolved, 1, with_readers=True):
            possible = decide_slot(group).answer is Answer.POSSIBLE
            assert possible is explained(refusals, lost_from, before)


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


def test_what_cannot_be_is_told_once_beside_gaps_that_need_help() -> None:
    (finding,) = check_history(history([1, 1, 1], [1, 1])).findings
    assert finding.kind is FindingKind.FALSE_REFUSAL
    refused = [op.op for op in history([1, 1, 1], []).ops if op.outcome is Reply.CONFLICT]
    assert set(refused) & set(finding.ops) == {refused[0]}, "the one that no booking can have been in time for"


def test_a_lost_booking_is_where_it_was_seen() -> None:
    """It was seen in the gap, and gone; a later refusal in the same gap has nothing left to explain it."""
    known = [*history([0], [0]).ops]
    seen = HistoryOp(900, Function.FREE, Reply.BUSY, 58, 62, "s", "lost0")
    free = HistoryOp(901, Function.FREE, Reply.FREE, 70, 72, "s")
    refused = HistoryOp(902, Function.BOOK, Reply.CONFLICT, 80, 83, "s", "refused")
    cancelled = HistoryOp(903, Function.CANCEL, Reply.OK, 42, 90, "s", "lost0")
    rows = history([0], [0]).ledger
    for more in ((), (cancelled,)):
        assert not check_history(History((*known, *more, seen, refused), rows)).findings
        assert not check_history(History((*known, *more, free, refused), rows)).findings
        assert check_history(History((*known, *more, seen, free, refused), rows)).findings


def test_a_slot_beyond_the_cap_is_not_decided_by_name() -> None:
    assert check_history(history([3], [0] * 2), cap=1).verdict is Verdict.NOT_DECIDED
    result = check_history(history([3, 3], [0] * 5), cap=1)
    assert result.verdict is Verdict.NOT_DECIDED
    assert [(each.resource, each.reason) for each in result.not_decided] == [
        ("s", "more than 1 states are possible at once")
    ]
    assert check_history(history([3, 3], [0] * 5)).verdict is Verdict.VIOLATION


def test_a_slot_too_large_to_be_searched_as_a_whole_is_not_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspects, "_LARGEST_WHOLE", 0)
    assert check_history(history([3, 3], [0] * 5)).verdict is Verdict.NOT_DECIDED
    assert check_history(history([3, 3], [0] * 6)).verdict is Verdict.PASS


def test_what_one_part_needs_no_other_gets() -> None:
    assert not check_history(history([3, 3, 3], [0] * 9)).findings
    assert check_history(history([3, 3, 3], [0] * 8)).findings


def test_a_lost_booking_may_be_elsewhere_than_where_another_one_is_needed() -> None:
    """The early one has no room behind the first booking, which was still held when its own cancel was confirmed: it
    was held before it, and nothing says that it was held where the late one explains a refusal."""
    ops = [
        *_booked(1, "before", -20, -17),
        HistoryOp(3, Function.BOOK, Reply.OK, 0, 1, "s", "first"),
        HistoryOp(4, Function.CANCEL, Reply.OK, 2, 8, "s", "first"),
        HistoryOp(5, Function.BOOK, Reply.CONFLICT, 7, 7, "s", "refused"),
        HistoryOp(6, Function.FREE, Reply.FREE, 9, 9, "s"),
        HistoryOp(7, Function.BOOK, Reply.CONFLICT, 12, 13, "s", "refused too"),
        *_booked(8, "second", 20, 30),
        *_booked(10, "third", 40, 50),
        HistoryOp(12, Function.BOOK, Reply.INFO, -18, None, "s", "early"),
        HistoryOp(13, Function.CANCEL, Reply.OK, -18, 5, "s", "early"),
        HistoryOp(14, Function.BOOK, Reply.INFO, 3, None, "s", "late"),
    ]
    rows = tuple(
        RestRow("s", name, RestState.CANCELLED) for name in ("before", "first", "second", "third", "early", "late")
    )
    assert not check_history(History(tuple(ops), rows)).findings
    assert _by_parts(History(tuple(ops), rows)) is Answer.POSSIBLE
    without_late = tuple(op for op in ops if op.id != "late")
    assert _by_parts(History(without_late, rows[:-1])) is Answer.IMPOSSIBLE


def _booked(number: int, name: str, begin: int, end: int) -> Iterator[HistoryOp]:
    yield HistoryOp(number, Function.BOOK, Reply.OK, begin, begin + 1, "s", name)
    yield HistoryOp(number + 1, Function.CANCEL, Reply.OK, end, end + 1, "s", name)


def _by_parts(wanted: History) -> Answer:
    (resolved,) = resolve(wanted)
    (group,) = groups_of(resolved, 1, with_readers=True)
    return decide_slot(group).answer


def _lost(number: int, name: str, since: int, cancelled: tuple[int, int] | None = None) -> Iterator[HistoryOp]:
    yield HistoryOp(number, Function.BOOK, Reply.INFO, since, None, "s", name)
    if cancelled is not None:
        yield HistoryOp(number + 1, Function.CANCEL, Reply.OK, *cancelled, "s", name)


def _refused_at(number: int, since: int, until: int) -> HistoryOp:
    return HistoryOp(number, Function.BOOK, Reply.CONFLICT, since, until, "s", f"refused{number}")


def _decided(*ops: HistoryOp) -> Answer:
    names = sorted({str(op.id) for op in ops if op.function is Function.BOOK and op.outcome is not Reply.CONFLICT})
    wanted = History(ops, tuple(RestRow("s", name, RestState.CANCELLED) for name in names))
    answer = _by_parts(wanted)
    assert bool(check_history(wanted).findings) is (answer is Answer.IMPOSSIBLE)
    return answer


def test_a_lost_booking_that_reaches_one_gap_only_explains_what_is_in_it() -> None:
    around = [*_booked(1, "first", 0, 10), *_booked(3, "second", 20, 30)]
    refusal = _refused_at(5, 14, 15)
    assert _decided(*around, refusal, *_lost(6, "lost", 5, (6, 25))) is Answer.POSSIBLE
    assert _decided(*around, refusal) is Answer.IMPOSSIBLE


def test_of_lost_bookings_that_differ_inside_a_gap_each_is_tried() -> None:
    around = [*_booked(1, "before", -20, -17), *_booked(3, "first", 0, 2), *_booked(5, "second", 20, 30)]
    around += _booked(7, "third", 40, 50)
    refusal, early, late = _refused_at(9, 12, 13), [*_lost(10, "early", -18, (-18, 5))], [*_lost(12, "late", 3)]
    assert _decided(*around, refusal, *early, *late) is Answer.POSSIBLE
    assert _decided(*around, refusal, *early) is Answer.IMPOSSIBLE


def test_two_refusals_on_both_sides_of_a_short_booking_need_two_lost_ones() -> None:
    around = [*_booked(1, "first", 0, 2), *_booked(3, "second", 40, 50), *_booked(5, "third", 60, 70)]
    between = [*_lost(7, "between", 20, (20, 21)), _refused_at(9, 10, 12), _refused_at(10, 30, 32)]
    one, other = [*_lost(11, "one", 3)], [*_lost(12, "other", 3)]
    assert _decided(*around, *between, *one, *other) is Answer.POSSIBLE
    assert _decided(*around, *between, *one) is Answer.IMPOSSIBLE


def test_a_lost_booking_of_no_known_end_explains_what_comes_after_all_others() -> None:
    around = [*_booked(1, "first", 0, 2), *_booked(3, "second", 20, 30), *_booked(5, "third", 40, 50)]
    refusal = _refused_at(7, 60, 61)
    assert _decided(*around, refusal, *_lost(8, "lost", 5)) is Answer.POSSIBLE
    assert _decided(*around, refusal) is Answer.IMPOSSIBLE


def test_a_lost_booking_that_fits_into_neither_of_two_gaps_for_certain_may_be_in_the_second() -> None:
    around = [*_booked(1, "first", 0, 2), *_booked(3, "second", 20, 30), *_booked(5, "third", 40, 50)]
    lost, refusal = [*_lost(7, "lost", 5, (6, 35))], _refused_at(9, 33, 33)
    assert _decided(*around, *lost, refusal) is Answer.POSSIBLE
    assert _decided(*around, *lost, refusal, _refused_at(10, 10, 11)) is Answer.IMPOSSIBLE


def test_a_lost_booking_that_took_effect_needs_room_for_it() -> None:
    """Its own cancel was confirmed while the slot was still another's, as a refusal after that says."""
    first = [
        HistoryOp(1, Function.BOOK, Reply.OK, 0, 1, "s", "first"),
        HistoryOp(2, Function.CANCEL, Reply.OK, 2, 9, "s", "first"),
    ]
    lost, refusal = [*_lost(3, "lost", 2, (2, 5))], _refused_at(5, 7, 7)
    assert _decided(*first, *lost) is Answer.POSSIBLE
    assert _decided(*first, refusal) is Answer.POSSIBLE
    assert _decided(*first, *lost, refusal) is Answer.IMPOSSIBLE
