"""Small random histories, about half of them impossible: a true run, blurred, sometimes spoilt."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState

Span = tuple[int, int] | None


@dataclass(frozen=True)
class Shape:
    """What a history may contain. `spans` None = the resource is one slot."""

    spans: tuple[tuple[int, int], ...] | None = None
    moves: bool = False
    capacity: int = 1


SLOT = Shape()
RANGES = Shape(spans=((0, 2), (1, 3), (2, 4), (0, 4), (3, 4), (1, 2)))
MOVES = Shape(spans=((0, 2), (2, 4), (1, 3)), moves=True)
POOL = Shape(capacity=2)
RANGE_POOL = Shape(spans=((0, 2), (1, 3), (2, 4), (0, 4)), capacity=2)


def generate(rng: random.Random, shape: Shape = SLOT) -> History:
    """4 to 10 ops on a clock of few ticks, so that many stamps are equal; 0 to 50 % unknown outcomes."""
    ticks = rng.choice((4, 8, 14))
    history = true_run(rng, shape, ticks, rng.randint(4, 10))
    unknown = rng.choice((0.0, 0.2, 0.5))
    history = replace(history, ops=tuple(lose_reply(rng, op, unknown) for op in history.ops))
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        history = spoil(rng, history, ticks)
    return history


def true_run(rng: random.Random, shape: Shape, ticks: int, count: int) -> History:
    """What a correct system answers to `count` random requests, each with an interval around its instant."""
    held: dict[str, Span] = {}
    gone: dict[str, Span] = {}
    ops: list[HistoryOp] = []
    width = rng.choice((0, 1, 3, 6))
    for number, at in enumerate(sorted(rng.randrange(ticks) for _ in range(count)), start=1):
        span = rng.choice(shape.spans) if shape.spans else None
        function = _choose(rng, shape, held)
        name: str | None = f"b{number}"
        reply, to = Reply.OK, None
        if function is Function.BOOK:
            if _full(held.values(), span, shape.capacity):
                reply = Reply.CONFLICT
                same = [
                    op.id for op in ops if op.function is Function.BOOK and (op.start, op.end) == (span or (None, None))
                ]
                if same and rng.random() < 0.2:  # a request that was sent again keeps its id
                    name = rng.choice(same)
            else:
                held[f"b{number}"] = span
        elif function is Function.CANCEL:
            name = rng.choice(
                [*held, *held, *(op.id for op in ops if op.function is Function.BOOK and op.id)] or ["b0"]
            )
            if name in held:
                gone[name] = held.pop(name)
            else:
                reply = Reply.NOT_HELD
        elif function is Function.MOVE:
            name = rng.choice([*held, *held, *gone] or ["b0"])
            to, span = span, held.get(name, span)
            if name not in held:
                reply = Reply.NOT_HELD
            elif _full([other for key, other in held.items() if key != name], to, shape.capacity):
                reply = Reply.CONFLICT
            else:
                held[name] = to
        else:
            name = None
            reply = Reply.BUSY if _full(held.values(), span, shape.capacity) else Reply.FREE
            there = [key for key, other in held.items() if _meet(other, span)]
            if there and rng.random() < 0.3:
                reply, name = Reply.BUSY, rng.choice(there)
        start, end = span or (None, None)
        to_start, to_end = to or (None, None)
        since, until = at - rng.randint(0, width), at + rng.randint(0, width)
        ops.append(HistoryOp(number, function, reply, since, until, "slot", name, start, end, to_start, to_end))
    if rng.random() < 0.3:
        ops.extend(_repeat(rng, ops))
    rows = [_row(name, RestState.LIVE, span) for name, span in held.items()]
    rows += [_row(name, RestState.CANCELLED, span) for name, span in gone.items()]
    return History(tuple(ops), tuple(rows))


def _choose(rng: random.Random, shape: Shape, held: dict[str, Span]) -> Function:
    functions = [Function.BOOK, Function.BOOK, Function.FREE, Function.CANCEL]
    if held:
        functions.append(Function.CANCEL)
    if shape.moves:
        functions += [Function.MOVE, Function.MOVE]
    return rng.choice(functions)


def _repeat(rng: random.Random, ops: list[HistoryOp]) -> list[HistoryOp]:
    """The platform sends a request again and is told the same."""
    told = [op for op in ops if op.outcome is Reply.OK and op.function in (Function.BOOK, Function.CANCEL)]
    if not told:
        return []
    op = rng.choice(told)
    assert op.complete_ns is not None
    later = rng.randint(0, 3)
    return [replace(op, op=len(ops) + 1, invoke_ns=op.invoke_ns + later, complete_ns=op.complete_ns + later)]


def _row(name: str, state: RestState, span: Span) -> RestRow:
    start, end = span or (None, None)
    return RestRow("slot", name, state, start, end)


def _meet(one: Span, other: Span) -> bool:
    return one is None or other is None or (one[0] < other[1] and other[0] < one[1])


def _full(held: object, span: Span, capacity: int) -> bool:
    spans = [other for other in held if _meet(other, span)]  # type: ignore[attr-defined]
    if span is None:
        return len(spans) >= capacity
    return any(sum(start <= point < end for start, end in spans) >= capacity for point in range(*span))


def lose_reply(rng: random.Random, op: HistoryOp, share: float) -> HistoryOp:
    return replace(op, outcome=Reply.INFO, complete_ns=None) if rng.random() < share else op


def spoil(rng: random.Random, history: History, ticks: int) -> History:
    """One thing made wrong, or perhaps only different: the oracle says which."""
    ops, rows = list(history.ops), list(history.ledger or ())
    ways = [_shift, _shift, _shift, _flip, _flip, _add_read, _add_read, _add_booking, _rewrite, _rewrite]
    if any(op.function is Function.MOVE for op in ops):
        ways += [_add_move] * 8
    rng.choice(ways)(rng, ops, rows, ticks)
    return History(tuple(ops), tuple(rows))


def _shift(rng: random.Random, ops: list[HistoryOp], rows: list[RestRow], ticks: int) -> None:
    index = rng.randrange(len(ops))
    if ops[index].complete_ns is not None:
        since = rng.randrange(ticks)
        ops[index] = replace(ops[index], invoke_ns=since, complete_ns=since + rng.randint(0, 3))


def _flip(rng: random.Random, ops: list[HistoryOp], rows: list[RestRow], ticks: int) -> None:
    index = rng.randrange(len(ops))
    op = ops[index]
    if op.complete_ns is not None:
        named = None if op.function is Function.FREE else op.id
        ops[index] = replace(op, outcome=_other_reply(rng, op), id=named)


def _add_read(rng: random.Random, ops: list[HistoryOp], rows: list[RestRow], ticks: int) -> None:
    span = rng.choice([(op.start, op.end) for op in ops])
    since = rng.randrange(ticks)
    reply = rng.choice((Reply.FREE, Reply.FREE, Reply.BUSY))
    until = since + rng.randint(0, 2)
    ops.append(HistoryOp(len(ops) + 1, Function.FREE, reply, since, until, ops[0].resource, None, *span))


def _add_booking(rng: random.Random, ops: list[HistoryOp], rows: list[RestRow], ticks: int) -> None:
    """One more confirmed booking, with its row: mostly of a time that was sold already."""
    span = rng.choice([(op.start, op.end) for op in ops])
    since, name = rng.randrange(ticks), f"b{len(ops) + 1}"
    ops.append(
        HistoryOp(len(ops) + 1, Function.BOOK, Reply.OK, since, since + rng.randint(0, 3), ops[0].resource, name, *span)
    )
    rows.append(RestRow(ops[0].resource, name, RestState.LIVE, *span))


def _add_move(rng: random.Random, ops: list[HistoryOp], rows: list[RestRow], ticks: int) -> None:
    """A confirmed move of a live booking, which the ledger agrees with: often into a time that another one has."""
    live = [row for row in rows if row.state is RestState.LIVE and row.start is not None]
    if not live:
        return
    row = rng.choice(live)
    to = rng.choice([(op.start, op.end) for op in ops if (op.start, op.end) != (row.start, row.end)] or [(0, 1)])
    since = rng.randrange(ticks)
    until = since + rng.randint(0, 3)
    move = HistoryOp(
        len(ops) + 1, Function.MOVE, Reply.OK, since, until, ops[0].resource, row.id, row.start, row.end, *to
    )  # fmt: skip
    ops.append(move)
    rows[rows.index(row)] = replace(row, start=to[0], end=to[1])


def _rewrite(rng: random.Random, ops: list[HistoryOp], rows: list[RestRow], ticks: int) -> None:
    """The ledger says something else: a row lost, undone, live again, twice, or of a booking that was not made."""
    what = rng.choice(("drop", "cancelled", "live", "live", "twice", "invent"))
    if what == "invent":
        booked = [op for op in ops if op.function is Function.BOOK and op.outcome is Reply.CONFLICT]
        op = rng.choice(booked or ops)
        rows.append(RestRow(ops[0].resource, (op.id if booked else None) or "b99", RestState.LIVE, op.start, op.end))
    elif rows:
        index = rng.randrange(len(rows))
        row = rows.pop(index)
        if what == "twice":
            rows += [row, row]
        elif what != "drop":
            gone = what == "cancelled"
            rows.append(replace(row, state=RestState.CANCELLED if gone else RestState.LIVE))


def _other_reply(rng: random.Random, op: HistoryOp) -> Reply:
    choices = {
        Function.BOOK: (Reply.OK, Reply.CONFLICT),
        Function.CANCEL: (Reply.OK, Reply.NOT_HELD),
        Function.FREE: (Reply.FREE, Reply.BUSY),
        Function.MOVE: (Reply.OK, Reply.CONFLICT, Reply.NOT_HELD),
    }[op.function]
    return rng.choice([reply for reply in choices if reply is not op.outcome])
