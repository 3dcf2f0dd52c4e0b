"""What a finding says, word by word."""

from __future__ import annotations

import pytest

from slotproof.checks.base import FindingKind
from slotproof.checks.exact import HistoryFinding, HistoryResult, Verdict
from slotproof.checks.exact.model import BEFORE, END_UNKNOWN, NEVER, WHOLE, Booking, Claim, Group, Move, Range, Reader
from slotproof.checks.exact.resolve import Suspicion, refused_move
from slotproof.checks.exact.result import NotDecided
from slotproof.checks.exact.witness import all_units
from slotproof.checks.exact.wording import ledger_finding, order_finding
from slotproof.record.exchange import Function, HistoryOp, Reply

A, B = (0, 10), (20, 30)


def booking(name: str, span: Range = A, *moves: Move, end: Range = (NEVER, NEVER)) -> Booking:
    cancels = () if end[0] == NEVER else (int(name[1:]) + 100,)
    return Booking(name, span, 1, 5, *end, (int(name[1:]),), cancels, moves)


def refused(op: int, claim: Claim, told: str, name: str | None = None, span: Range = A) -> Reader:
    return Reader(op, claim, span, 7, 9, name, told)


def move(to: Range, since: int, until: int) -> Move:
    return Move(7, to, since, until)


CASES: list[tuple[FindingKind, Group, str]] = [
    (
        FindingKind.DOUBLE_BOOKING,
        Group("anna", (booking("b1"), booking("b2", (5, 15), end=(40, END_UNKNOWN))), ()),
        "anna 5–10 was sold twice: b1 and b2 excluded each other (b1 was booked between 1 and 5, "
        "and is live at the end; b2 was booked between 1 and 5; b2 was cancelled at 40 or later)",
    ),
    (
        FindingKind.OVER_CAPACITY,
        Group("", (booking("b1", WHOLE), booking("b2", WHOLE), booking("b3", WHOLE, end=(BEFORE, 9))), (), 2),
        "the slot was sold 3 times at once, and has room for 2 (b1 was booked between 1 and 5, and is live at the end; "
        "b2 was booked between 1 and 5, and is live at the end; b3 was booked between 1 and 5; b3 was cancelled by 9)",
    ),
    (
        FindingKind.DOUBLE_BOOKING,
        Group("anna", (booking("b1"), booking("b2"), booking("b3")), ()),
        "anna 0–10 was sold twice: b1, b2 and b3 excluded each other (b1 was booked between 1 and 5, and is live at "
        "the end; b2 was booked between 1 and 5, and is live at the end; b3 was booked between 1 and 5, and is live at "
        "the end)",
    ),
    (
        FindingKind.FALSE_FREE,
        Group("anna", (booking("b1", end=(BEFORE, END_UNKNOWN)),), (refused(3, Claim.FREE, "free"),)),
        "anna 0–10 was called free while b1 held it (b1 was booked between 1 and 5; "
        "b1 was cancelled at an unknown time; op 3 was told free between 7 and 9)",
    ),
    (
        FindingKind.FALSE_REFUSAL,
        Group("anna", (), (refused(3, Claim.HELD, "taken"), refused(2, Claim.HELD_BY, "busy", "b1"))),
        "anna 0–10 was refused though nothing can have held it (op 2 was told busy by b1 between 7 and 9; "
        "op 3 was told taken between 7 and 9)",
    ),
    (
        FindingKind.FALSE_REFUSAL,
        Group("anna", (), (refused(3, Claim.HELD_BY_OTHER, "taken", "b1"),)),
        "anna 0–10 was refused though nothing can have held it (op 3 was told taken between 7 and 9)",
    ),
    (
        FindingKind.INCONSISTENT_REPLIES,
        Group("anna", (booking("b1", end=(40, NEVER)),), (refused(3, Claim.NOT_HELD, "not held", "b1"),)),
        "anna 0–10: no order of events explains these replies (b1 was booked between 1 and 5; "
        "b1 was cancelled at 40 or later, or never; op 3 was told that b1 was not held between 7 and 9)",
    ),
    (
        FindingKind.IMPOSSIBLE_MOVES,
        Group("anna", (booking("b1", A, move(B, 20, 30)), booking("b2", WHOLE, move(WHOLE, 20, 30))), ()),
        "anna 0–10: no order of events allows these moves (b1 was booked between 1 and 5; b1 was moved to 20–30 "
        "between 20 and 30; b2 was booked between 1 and 5; b2 was moved to the slot between 20 and 30)",
    ),
    (
        FindingKind.FALSE_FREE,
        Group("anna", (), (refused(3, Claim.FREE, "free"), refused(4, Claim.FREE, "free", span=B))),
        "anna was called free while nothing held it (op 3 was told free between 7 and 9; "
        "op 4 was told free between 7 and 9)",
    ),
]


@pytest.mark.parametrize(("kind", "group", "sentence"), CASES)
def test_a_finding_about_an_order(kind: FindingKind, group: Group, sentence: str) -> None:
    ids = tuple(each.id for each in group.bookings)
    found = order_finding(group, kind, all_units(group), ids)
    assert found.sentence == sentence
    ops = [op for each in group.bookings for op in (*each.book_ops, *each.cancel_ops, *(m.op for m in each.moves))]
    assert found.ops == tuple(sorted({*ops, *(reader.op for reader in group.readers)}))


def test_a_refused_move_was_told_taken() -> None:
    op = HistoryOp(9, Function.MOVE, Reply.CONFLICT, 7, 9, "anna", "b1", 0, 10, 20, 30)
    assert refused_move(op) == Reader(9, Claim.HELD_BY_OTHER, B, 7, 9, "b1", told="taken")
    whole = HistoryOp(9, Function.MOVE, Reply.CONFLICT, 7, 9, "anna", "b1")
    assert refused_move(whole) == Reader(9, Claim.HELD_BY_OTHER, WHOLE, 7, 9, "b1", told="taken")
    assert refused_move(HistoryOp(9, Function.MOVE, Reply.INFO, 7, None, "anna", "b1")) is None


@pytest.mark.parametrize(("resource", "sentence"), [("anna", "anna: b1 is lost"), ("", "b1 is lost")])
def test_a_finding_of_the_ledger(resource: str, sentence: str) -> None:
    found = ledger_finding(resource, Suspicion(FindingKind.LOST_BOOKING, (1, 2), "b1", "b1 is lost"))
    assert found == HistoryFinding(FindingKind.LOST_BOOKING, resource, (1, 2), ("b1",), sentence)


def test_a_result_for_terminals_and_for_machines() -> None:
    found = (
        HistoryFinding(FindingKind.LOST_BOOKING, "anna", (1, 2), ("b1",), "b1 is lost"),
        HistoryFinding(FindingKind.PHANTOM_BOOKING, "anna", (), ("b2",), "nobody asked for b2"),
    )
    result = HistoryResult(Verdict.NOT_DECIDED, found, (NotDecided("ben", "too hard"),), {"booked": 3, "conflicts": 0})
    assert result.lines() == [
        "NOT DECIDED  (3 booked, 0 conflicts)",
        "  lost_booking: b1 is lost  [ops 1, 2]",
        "  phantom_booking: nobody asked for b2",
        "  not decided: ben: too hard",
    ]
    assert result.as_json() == {
        "verdict": "not_decided",
        "findings": [
            {"kind": "lost_booking", "resource": "anna", "ops": [1, 2], "bookings": ["b1"], "sentence": "b1 is lost"},
            {
                "kind": "phantom_booking",
                "resource": "anna",
                "ops": [],
                "bookings": ["b2"],
                "sentence": "nobody asked for b2",
            },
        ],
        "not_decided": [{"resource": "ben", "reason": "too hard"}],
        "exercised": {"booked": 3, "conflicts": 0},
    }
