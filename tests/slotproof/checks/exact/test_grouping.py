"""Where something was lost or invented, replies prove nothing; everywhere else they do."""

from __future__ import annotations

from itertools import count

import pytest

from slotproof.checks.base import FindingKind
from slotproof.checks.exact import HistoryResult, check_history
from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState

A, B, C, FAR = (0, 10), (20, 30), (40, 50), (70, 80)
Range = tuple[int, int] | tuple[None, None]

_NUMBERS = count(1)


def op(function: Function, reply: Reply, name: str | None, span: Range, to: Range = (None, None)) -> HistoryOp:
    number = next(_NUMBERS)
    done = None if reply is Reply.INFO else 20
    return HistoryOp(number, function, reply, 10, done, "s", name, *span, *to)


def row(name: str, span: Range, state: RestState = RestState.LIVE) -> RestRow:
    return RestRow("s", name, state, *span)


def refused(span: Range) -> HistoryOp:
    """A refusal that nothing explains."""
    number = next(_NUMBERS)
    return HistoryOp(number, Function.BOOK, Reply.CONFLICT, 100, 110, "s", f"refused{number}", *span)


def false_refusals(ops: list[HistoryOp], rows: list[RestRow]) -> set[Range]:
    """The ranges at which a refusal is found false, of one in each range."""
    refusals = [refused(span) for span in (A, B, C, FAR)]
    result: HistoryResult = check_history(History((*ops, *refusals), tuple(rows)))
    told = {refusal.op: (refusal.start, refusal.end) for refusal in refusals}
    false = [finding for finding in result.findings if finding.kind is FindingKind.FALSE_REFUSAL]
    return {told[number] for finding in false for number in finding.ops}  # type: ignore[misc]


CASES: dict[str, tuple[list[HistoryOp], list[RestRow], set[Range]]] = {
    "nothing is wrong": ([], [], set()),
    "confirmed, and the ledger has nothing": ([op(Function.BOOK, Reply.OK, "b", A)], [], {A}),
    "the ledger has it elsewhere": ([op(Function.BOOK, Reply.OK, "b", A)], [row("b", C)], {A, C}),
    "moved, and the ledger has nothing": (
        [op(Function.BOOK, Reply.OK, "b", A), op(Function.MOVE, Reply.OK, "b", A, B)],
        [],
        {A, B},
    ),
    "nobody asked for it": ([], [row("b", B)], {B}),
    "its caller was refused, and the ledger has it elsewhere": (
        [op(Function.BOOK, Reply.CONFLICT, "b", A)],
        [row("b", B, RestState.CANCELLED)],
        {A, B},
    ),
    "cancelled, but never booked": ([op(Function.CANCEL, Reply.OK, "b", C)], [], {C}),
    "cancelled where its cancel says nothing, but never booked": (
        [op(Function.CANCEL, Reply.OK, "b", (None, None))],
        [],
        {A, B, C, FAR},
    ),
    "a cancel names another place than the booking": (
        [op(Function.BOOK, Reply.OK, "b", A), op(Function.CANCEL, Reply.OK, "b", C)],
        [],
        {A},
    ),
    "a row that does not say where, of a booking whose place is known": (
        [op(Function.BOOK, Reply.OK, "b", A), op(Function.CANCEL, Reply.OK, "b", A)],
        [row("b", (None, None))],
        {A},
    ),
    "a row that does not say where, of a booking that nobody asked for": ([], [row("b", (None, None))], {A, B, C, FAR}),
}


@pytest.mark.parametrize("case", CASES)
def test_replies_prove_nothing_there_and_only_there(case: str) -> None:
    ops, rows, unclear = CASES[case]
    assert false_refusals(ops, rows) == {A, B, C, FAR} - unclear


def test_only_what_overlaps_is_tied_together() -> None:
    """Two bookings that touch are slots of their own: the refusal of one is not explained by the other."""
    held = op(Function.BOOK, Reply.OK, "b", A)
    touching = refused((10, 20))
    inside = refused((9, 20))
    assert [f.ops for f in check_history(History((held, touching), (row("b", A),))).findings] == [(touching.op,)]
    assert not check_history(History((held, inside), (row("b", A),))).findings


def test_ranges_of_different_people_have_nothing_to_do_with_each_other() -> None:
    held = op(Function.BOOK, Reply.OK, "b", A)
    elsewhere = HistoryOp(next(_NUMBERS), Function.BOOK, Reply.CONFLICT, 100, 110, "t", "c", *A)
    (finding,) = check_history(History((held, elsewhere), (row("b", A),))).findings
    assert (finding.resource, finding.kind) == ("t", FindingKind.FALSE_REFUSAL)


def _refusals_told(ops: list[HistoryOp], rows: list[RestRow], *spans: Range) -> list[Range]:
    refusals = [refused(span) for span in spans]
    told = {refusal.op: (refusal.start, refusal.end) for refusal in refusals}
    findings = check_history(History((*ops, *refusals), tuple(rows))).findings
    return sorted(told[number] for each in findings for number in each.ops if number in told)  # type: ignore[misc]


def test_what_only_touches_the_place_of_something_wrong_proves_as_much_as_ever() -> None:
    lost = op(Function.BOOK, Reply.OK, "b", B)
    assert _refusals_told([lost], [], (10, 20), (30, 40)) == [(10, 20), (30, 40)]
    assert _refusals_told([lost], [], (10, 20), (15, 22), (30, 40)) == [(30, 40)]


def test_what_hangs_together_with_the_place_of_something_wrong_proves_nothing() -> None:
    lost = op(Function.BOOK, Reply.OK, "b", (0, 3))
    assert _refusals_told([lost], [], (0, 10), (5, 15), (15, 20)) == [(15, 20)]
    assert len(_refusals_told([lost], [], (3, 10), (5, 15))) == 1
