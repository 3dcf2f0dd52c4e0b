"""Large true histories of one slot or many: clients in a closed loop, each op at one instant of its interval."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState


@dataclass(frozen=True)
class Load:
    """`ops` on each of `slots`, from `clients` that each wait for their reply; a share of the replies is lost."""

    ops: int
    clients: int
    slots: int = 1
    unknown: float = 0.0


def true_history(rng: random.Random, load: Load) -> History:
    ops: list[HistoryOp] = []
    rows: list[RestRow] = []
    for slot in range(load.slots):
        more, more_rows = _slot(rng, load, f"s{slot}", len(ops))
        ops += more
        rows += more_rows
    return History(tuple(ops), tuple(rows))


def _slot(rng: random.Random, load: Load, resource: str, first: int) -> tuple[list[HistoryOp], list[RestRow]]:
    held: str | None = None
    gone: list[str] = []
    ops: list[HistoryOp] = []
    for number, (since, until) in enumerate(_intervals(rng, load), start=first + 1):
        name: str | None = f"b{number}"
        chance = rng.random()
        if chance < 0.45:
            function, reply = Function.BOOK, Reply.OK if held is None else Reply.CONFLICT
            held = name if held is None else held
        elif chance < 0.75:
            function, reply, name = Function.FREE, Reply.FREE if held is None else Reply.BUSY, None
        elif held is not None:
            function, reply, name, held = Function.CANCEL, Reply.OK, held, None
            gone.append(name)
        else:
            function, reply, name = Function.CANCEL, Reply.NOT_HELD, gone[-1] if gone else "b0"
        op = HistoryOp(number, function, reply, since, until, resource, name)
        lost = rng.random() < load.unknown
        ops.append(replace(op, outcome=Reply.INFO, complete_ns=None) if lost else op)
    rows = [RestRow(resource, name, RestState.CANCELLED) for name in gone]
    rows += [RestRow(resource, held, RestState.LIVE)] if held else []
    return ops, rows


def _intervals(rng: random.Random, load: Load) -> list[tuple[int, int]]:
    """Intervals in the order of the instants at which their ops happen."""
    idle_from = [0] * load.clients
    happened = []
    for _ in range(load.ops):
        client = min(range(load.clients), key=idle_from.__getitem__)
        since = idle_from[client]
        until = since + rng.randint(1, 100)
        idle_from[client] = until + rng.randint(1, 3)
        happened.append((rng.randint(since, until), since, until))
    return [(since, until) for _, since, until in sorted(happened)]
