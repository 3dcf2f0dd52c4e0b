"""A witness cut out of its history: is it a violation by itself, and is every op of it needed?

What is left out of a booking that the witness names counts as unknown: booked or cancelled at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from slotproof.checks.base import FindingKind
from slotproof.checks.exact import HistoryFinding
from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState

_LONG_AGO = -(10**6)
_INVENTED = 10**15
"""Numbers from here on are of ops that stand for a row which nobody asked for."""


def requests(history: History, finding: HistoryFinding) -> list[frozenset[int]]:
    """The witness in parts that are dropped as a whole: the attempts of one request are one part."""
    parts: dict[object, set[int]] = {}
    for op in history.ops:
        if op.op in finding.ops:
            parts.setdefault(
                (op.function, op.id) if _acts(op) and op.function is not Function.MOVE else op.op, set()
            ).add(op.op)
    return [frozenset(part) for part in parts.values()]


_OF_THE_LEDGER = (
    FindingKind.LOST_BOOKING,
    FindingKind.PHANTOM_BOOKING,
    FindingKind.LOST_CANCEL,
    FindingKind.DUPLICATE_BOOKING,
)


def _of_the_ledger(history: History, finding: HistoryFinding) -> bool:
    """Also a confirmed cancel or move of a booking that the ledger never had."""
    if finding.kind in _OF_THE_LEDGER:
        return True
    known: set[str | None] = {row.id for row in history.ledger or ()}
    known |= {op.id for op in history.ops if op.function is Function.BOOK and op.outcome is Reply.OK}
    return not known & set(finding.bookings) and finding.kind is FindingKind.INCONSISTENT_REPLIES


def as_told(history: History) -> History:
    """The history with a ledger that says what callers were told: what is left is a matter of order alone."""
    ops = list(history.ops)
    rows: list[RestRow] = []
    known = {row.id: row for row in history.ledger or ()}
    for name in sorted({op.id for op in history.ops if op.id is not None} | set(known)):
        of_id = [op for op in ops if op.id == name]
        books = [op for op in of_id if op.function is Function.BOOK and _acts(op)]
        cancels = [op for op in of_id if op.function is Function.CANCEL and _acts(op)]
        told = {op.function for op in of_id if op.outcome is Reply.OK}
        states = {row.state for row in history.ledger or () if row.id == name}
        if not books and not states:
            ops = [op for op in ops if op not in cancels]
            continue
        if not states and not told:
            continue
        row = known.get(name) or RestRow("slot", name, RestState.LIVE, books[0].start, books[0].end)
        if not books:
            since = min((op.invoke_ns for op in of_id if op.function is Function.BOOK), default=_LONG_AGO)
            span = next(((op.start, op.end) for op in of_id if op.function is Function.BOOK), (row.start, row.end))
            ops.append(HistoryOp(_INVENTED + len(ops), Function.BOOK, Reply.INFO, since, None, "slot", name, *span))
        gone = RestState.CANCELLED in states or (not states and bool(cancels))
        if gone and Function.BOOK in told and not cancels:
            gone = False
        if states and not gone:
            ops = [op for op in ops if op not in cancels]
        row = replace(row, state=RestState.CANCELLED if gone else RestState.LIVE)
        places = {(each.start, each.end) for each in history.ledger or () if each.id == name}
        told_once = len(places) <= 1 and states == {row.state} and _well_placed(row, of_id)
        rows.append(row if told_once else replace(row, start=None, end=None))
    return History(tuple(ops), tuple(rows))


def _well_placed(row: RestRow, ops: list[HistoryOp]) -> bool:
    moves = [op for op in ops if op.function is Function.MOVE and _acts(op)]
    places = {(op.to_start, op.to_end) for op in moves}
    if not any(op.outcome is Reply.OK for op in moves):
        places |= {(op.start, op.end) for op in ops if op.function is Function.BOOK}
    return (row.start, row.end) in places


def alone(
    history: History, finding: HistoryFinding, dropped: frozenset[int] = frozenset(), *, rows_count: bool = True
) -> History:
    """Only the witness, less `dropped`, with the ledger rows of its bookings.

    `rows_count`: whether rows that nobody asked for belong to the witness. (They have no op that could say so.)

    What a ledger lost or invented is a finding of its own and no part of one about the order of replies.
    """
    ledger_kind = _of_the_ledger(history, finding)
    if not ledger_kind:
        history = as_told(history)
    named = [op for op in history.ops if op.op in finding.ops or (op.op >= _INVENTED and op.id in finding.bookings)]
    kept = [op for op in named if op.op not in dropped and (rows_count or op.op < _INVENTED)]
    rows: list[RestRow] = []
    for name in finding.bookings:
        of_id = [op for op in kept if op.id == name]
        kept_rows, more = _booking(history, name, of_id, whole=not dropped, ledger_kind=ledger_kind)
        rows.extend(kept_rows)
        kept.extend(more)
    return History(tuple(kept), tuple(rows))


def _booking(
    history: History, name: str, kept: list[HistoryOp], *, whole: bool, ledger_kind: bool
) -> tuple[list[RestRow], list[HistoryOp]]:
    rows = [row for row in history.ledger or () if row.id == name]
    ops = [op for op in history.ops if op.id == name]
    acting = {op.function for op in ops if _acts(op)}
    there = {op.function for op in kept if _acts(op)}
    numbers = {op.op for op in kept}
    more = list(_unknown(op for op in ops if op.function not in there or _lost_move(op, numbers)))
    if Function.BOOK not in acting:
        return (rows if kept or whole else []), more
    if there & {Function.BOOK, Function.CANCEL} or (ledger_kind and kept):
        return rows, more
    span = next(op for op in ops if op.function is Function.BOOK)
    return [RestRow("slot", name, RestState.CANCELLED, span.start, span.end)], more


def _lost_move(op: HistoryOp, kept: set[int]) -> bool:
    return op.function is Function.MOVE and op.op not in kept


def _unknown(ops: Iterable[HistoryOp]) -> Iterator[HistoryOp]:
    for op in ops:
        if _acts(op):
            yield HistoryOp(
                op.op, op.function, Reply.INFO, _LONG_AGO, None, op.resource, op.id, op.start, op.end, op.to_start,
                op.to_end,
            )  # fmt: skip


def _acts(op: HistoryOp) -> bool:
    return op.function is not Function.FREE and op.outcome in (Reply.OK, Reply.INFO)
