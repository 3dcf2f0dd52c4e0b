"""From decided groups to findings: each told once, at its resource, and nothing that a worse one already explains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from slotproof.checks.base import FindingKind
from slotproof.checks.exact import Verdict, check_history
from slotproof.checks.exact.check import check_columns
from slotproof.record.columns import columns_of
from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState

LIVE, CANCELLED = RestState.LIVE, RestState.CANCELLED


def booked(op: int, name: str, since: int, until: int, resource: str = "s") -> HistoryOp:
    return HistoryOp(op, Function.BOOK, Reply.OK, since, until, resource, name)


def read(op: int, reply: Reply, at: int, name: str | None = None, resource: str = "s") -> HistoryOp:
    return HistoryOp(op, Function.FREE, reply, at, at + 1, resource, name)


def refused(op: int, at: int, resource: str = "s") -> HistoryOp:
    return HistoryOp(op, Function.BOOK, Reply.CONFLICT, at, at + 1, resource, f"refused{op}")


TWICE = [booked(1, "a", 0, 10), booked(2, "b", 20, 30)]


@pytest.mark.parametrize(
    "more",
    [
        [],
        [read(3, Reply.FREE, 15)],
        [refused(3, -10)],
        [read(3, Reply.FREE, 15), refused(4, -10)],
    ],
)
def test_where_a_slot_was_sold_twice_its_replies_prove_nothing_more(more: list[HistoryOp]) -> None:
    rows = (RestRow("s", "a", LIVE), RestRow("s", "b", LIVE))
    (finding,) = check_history(History((*TWICE, *more), rows)).findings
    assert finding.kind is FindingKind.DOUBLE_BOOKING


def test_where_a_booking_contradicts_itself_other_replies_prove_nothing() -> None:
    """Seen before anybody had asked for it; what it was sold for later explains the refusal."""
    ops = (booked(1, "a", 10, 20), read(2, Reply.BUSY, 0, "a"), refused(3, 30))
    (finding,) = check_history(History(ops, (RestRow("s", "a", LIVE),))).findings
    assert finding.kind is FindingKind.INCONSISTENT_REPLIES
    assert set(finding.ops) == {1, 2}
    (alone,) = check_history(History(ops[2:], ())).findings
    assert alone.kind is FindingKind.FALSE_REFUSAL


def test_a_booking_that_was_seen_and_never_was_is_told_at_its_resource() -> None:
    ops = (booked(1, "a", 0, 10, "r"), read(2, Reply.BUSY, 20, "ghost", "s"), read(3, Reply.FREE, 30, None, "t"))
    (finding,) = check_history(History(ops, (RestRow("r", "a", LIVE),))).findings
    assert (finding.resource, finding.ops, finding.kind) == ("s", (2,), FindingKind.INCONSISTENT_REPLIES)


def test_findings_come_in_order_of_their_resources() -> None:
    ops = [
        each
        for first, resource in ((1, "c"), (3, "a"), (5, "b"))
        for each in (
            booked(first, f"{resource}1", 0, 10, resource),
            booked(first + 1, f"{resource}2", 20, 30, resource),
        )
    ]
    rows = [RestRow(op.resource, str(op.id), LIVE) for op in ops]
    ops += [booked(7, "lost", 0, 10, "aa"), refused(8, 50, "bb")]
    findings = check_history(History(tuple(ops), tuple(rows))).findings
    assert [finding.resource for finding in findings] == ["a", "aa", "b", "bb", "c"]


def test_what_is_not_decided_is_told_besides_a_finding() -> None:
    lost = [
        HistoryOp(10 + each, Function.BOOK, Reply.INFO, 0, None, "wide", f"l{each}", each, each + 5)
        for each in range(5)
    ]
    rows = [RestRow("wide", f"l{each}", CANCELLED, each, each + 5) for each in range(5)]
    refusal = HistoryOp(20, Function.BOOK, Reply.CONFLICT, 50, 60, "wide", "refused", 2, 4)
    live = [RestRow("s", "a", LIVE), RestRow("s", "b", LIVE)]
    result = check_history(History((*TWICE, *lost, refusal), (*rows, *live)), cap=1)
    assert result.verdict is Verdict.VIOLATION
    assert [finding.resource for finding in result.findings] == ["s"]
    assert [(each.resource, each.reason) for each in result.not_decided] == [
        ("wide", "more than 1 states are possible at once")
    ]
    assert not check_history(History((*TWICE[:1], *lost, refusal), (*rows, *live[:1]))).findings


def test_one_tick_is_enough_unless_clocks_are_uncertain() -> None:
    cancelled = HistoryOp(3, Function.CANCEL, Reply.OK, 12, 40, "s", "a")
    ops = (booked(1, "a", 0, 10), booked(2, "b", 0, 11), cancelled)
    history = History(ops, (RestRow("s", "a", CANCELLED), RestRow("s", "b", LIVE)))
    assert check_history(history).verdict is Verdict.VIOLATION
    assert check_columns(columns_of(history)).verdict is Verdict.VIOLATION
    assert check_history(history, clock_uncertainty_ns=1).verdict is Verdict.PASS


def test_one_booking_that_contradicts_itself_was_not_sold_twice() -> None:
    ops = (booked(1, "a", 20, 30), HistoryOp(2, Function.CANCEL, Reply.OK, 0, 10, "s", "a"))
    (finding,) = check_history(History(ops, (RestRow("s", "a", CANCELLED),))).findings
    assert (finding.kind, finding.bookings) == (FindingKind.INCONSISTENT_REPLIES, ("a",))


def test_a_pool_that_was_called_free_while_all_were_sold() -> None:
    ops = (booked(1, "a", 0, 1), booked(2, "b", 0, 1), read(3, Reply.FREE, 5))
    rows = (RestRow("s", "a", LIVE), RestRow("s", "b", LIVE))
    (finding,) = check_history(History(ops, rows), capacity={"s": 2}).findings
    assert (finding.kind, set(finding.bookings)) == (FindingKind.FALSE_FREE, {"a", "b"})


def test_ranges_about_which_requests_alone_do_not_tell_leave_their_replies_undecided() -> None:
    rows = (RestRow("s", "a", LIVE), RestRow("t", "b", LIVE))
    ops = (booked(1, "a", 0, 1), booked(2, "b", 0, 1, "t"), refused(3, -10), refused(4, -10, "t"))
    history = columns_of(History(ops, rows))
    at_s = history.places.resource.tolist().index(history.resources.index("s"))
    result = check_columns(replace(history, unclear=np.array([at_s])))
    assert [finding.resource for finding in result.findings] == ["t"]
    (not_decided,) = result.not_decided
    assert not_decided.resource == "replies"
    assert not_decided.reason.startswith("who held 1 of 2 ranges is not known")


def test_an_unclear_range_where_nothing_was_booked_or_read_leaves_the_rest_as_it_is() -> None:
    nobodys = HistoryOp(3, Function.CANCEL, Reply.NOT_HELD, 0, 1, "t", "b")
    history = columns_of(History((booked(1, "a", 0, 1), refused(2, -10), nobodys), (RestRow("s", "a", LIVE),)))
    at_t = history.places.resource.tolist().index(history.resources.index("t"))
    result = check_columns(replace(history, unclear=np.array([at_t])))
    assert [finding.resource for finding in result.findings] == ["s"]


def test_the_result_says_what_was_exercised() -> None:
    ops = (booked(1, "a", 0, 1), refused(2, 5), HistoryOp(3, Function.CANCEL, Reply.OK, 20, 30, "s", "a"))
    exercised = check_history(History(ops, (RestRow("s", "a", CANCELLED),))).exercised
    assert exercised == {"booked": 1, "conflicts": 1, "unknown": 0, "cancelled": 1}


Span = tuple[int, int]


@pytest.mark.parametrize(
    ("asked", "reasons"),
    [
        ([], ["no booking was confirmed"]),
        ([("a", (0, 10))], ["no time was asked for twice"]),
        ([("a", (0, 10)), ("b", (5, 15))], ["no time was asked for twice"]),
        ([("a", (0, 10)), ("a", (10, 20)), ("a", (30, 40))], ["no time was asked for twice"]),
        ([("a", (0, 10)), ("a", (20, 30)), ("b", (5, 40))], ["no time was asked for twice"]),
        ([("a", (0, 10)), ("b", (0, 10)), ("b", (5, 15))], []),
        ([("a", (0, 10)), ("a", (20, 30)), ("a", (25, 35))], []),
        ([("a", (0, 10)), ("a", (20, 30)), ("a", (20, 30))], []),
    ],
)
def test_what_asks_for_nothing_twice_proves_nothing(asked: list[tuple[str, Span]], reasons: list[str]) -> None:
    """One booking after the other, each cancelled before the next."""
    ops: list[HistoryOp] = []
    for number, (resource, span) in enumerate(asked):
        for function, at in ((Function.BOOK, 0), (Function.CANCEL, 20)):
            since = 100 * number + at
            name = f"b{number}"
            ops.append(HistoryOp(len(ops) + 1, function, Reply.OK, since, since + 10, resource, name, *span))
    rows = tuple(RestRow(op.resource, str(op.id), CANCELLED, op.start, op.end) for op in ops[::2])
    result = check_history(History(tuple(ops), rows))
    assert [each.reason for each in result.not_decided] == reasons
    assert result.verdict is (Verdict.NOT_DECIDED if reasons else Verdict.PASS)


def test_a_refused_move_needs_somebody_else_where_it_wanted_to_go() -> None:
    here, there = (0, 10), (20, 30)
    mine = HistoryOp(1, Function.BOOK, Reply.OK, 0, 1, "s", "mine", *here)
    moved = HistoryOp(2, Function.MOVE, Reply.CONFLICT, 50, 60, "s", "mine", *here, *there)
    others = HistoryOp(3, Function.BOOK, Reply.OK, 0, 1, "s", "other", *there)
    lost = HistoryOp(4, Function.BOOK, Reply.OK, 0, 1, "s", "lost", *there)
    row, other_row = RestRow("s", "mine", LIVE, *here), RestRow("s", "other", LIVE, *there)
    (finding,) = check_history(History((mine, moved), (row,))).findings
    assert (finding.kind, finding.ops) == (FindingKind.FALSE_REFUSAL, (2,))
    result = check_history(History((mine, moved, others), (row, other_row)))
    assert not result.findings
    assert result.exercised["conflicts"] == 1
    (finding,) = check_history(History((mine, moved, lost), (row,))).findings
    assert finding.kind is FindingKind.LOST_BOOKING, "what was lost there may have been in its way"
