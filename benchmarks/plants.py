"""Bugs planted into true traffic: what the exact checker must find, each in a slot of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace

import numpy as np
from benchmarks.traffic import (
    BOOK,
    CANCEL,
    FREE,
    NEVER,
    NOBODY,
    OK,
    READ,
    TAKEN,
    TICK_NS,
    UNKNOWN,
    Ops,
    Rows,
    Traffic,
)
from numpy.typing import NDArray

from slotproof.checks.base import FindingKind

Plant = Callable[[Traffic, int], Traffic]
"""Spoils one slot."""

_STEP_NS = TICK_NS // 4


def with_bugs(traffic: Traffic, kinds: Sequence[FindingKind] | None = None) -> Traffic:
    """The same with one bug of each kind (None: all of `PLANTS`), spread over the slots.

    Raises:
        ValueError: there are fewer slots than bugs.
    """
    kinds = list(PLANTS) if kinds is None else kinds
    if traffic.load.slots < len(kinds):
        raise ValueError(f"{len(kinds)} bugs need as many slots, and there are {traffic.load.slots}")
    for number, kind in enumerate(kinds):
        traffic = PLANTS[kind](traffic, number * traffic.load.slots // len(kinds))
    return traffic


def with_double_booking(traffic: Traffic, slot: int = 0) -> Traffic:
    """One more booking: confirmed while another was certainly held, and cancelled before that one was.

    It lies in the middle, in time, of all bookings of the slot that were certainly held for a while; where none was, as
    with hundreds of clients, two come after everything else.
    """
    since_ns = _certain(traffic, slot)
    if since_ns is None:
        since_ns = int(traffic.ops.complete_ns.max())
        traffic = _with_booking(traffic, slot, since_ns)
    return _with_booking(traffic, slot, since_ns + TICK_NS // 8)


def _lost(traffic: Traffic, slot: int) -> Traffic:
    """A confirmed booking has no row."""
    ops, rows = traffic.ops, traffic.rows
    book = _middle((ops.kind == BOOK) & (ops.reply == OK) & (ops.slot == slot))
    return replace(traffic, rows=_only(rows, rows.request != ops.request[book]))


def _phantom(traffic: Traffic, slot: int) -> Traffic:
    """What was refused stands."""
    ops = traffic.ops
    book = _middle((ops.kind == BOOK) & (ops.reply == TAKEN) & (ops.slot == slot))
    row = Rows(ops.request[[book]], ops.slot[[book]], ops.invoke_ns[[book]], np.array([NEVER], np.int64))
    return replace(traffic, rows=_joined(traffic.rows, row))


def _lost_cancel(traffic: Traffic, slot: int) -> Traffic:
    """What was cancelled last stands all the same."""
    ops, rows = traffic.ops, traffic.rows
    cancel = np.flatnonzero((ops.kind == CANCEL) & (ops.reply == OK) & (ops.slot == slot))[-1]
    stands = rows.request == ops.booking[cancel]
    return replace(traffic, rows=replace(rows, gone_ns=np.where(stands, NEVER, rows.gone_ns)))


def _stale(traffic: Traffic, slot: int) -> Traffic:
    """Told free, as from an old cache, while a booking was certainly held."""
    since_ns = _certain(traffic, slot)
    if since_ns is None:
        since_ns = int(traffic.ops.complete_ns.max())
        if not ((traffic.rows.slot == slot) & (traffic.rows.gone_ns == NEVER)).any():
            traffic = _with_booking(traffic, slot, since_ns)
            since_ns += 1 + _STEP_NS // 4
    return _with_op(traffic, slot, READ, FREE, since_ns + 1, 1)


PLANTS: Mapping[FindingKind, Plant] = {
    FindingKind.DOUBLE_BOOKING: with_double_booking,
    FindingKind.LOST_BOOKING: _lost,
    FindingKind.PHANTOM_BOOKING: _phantom,
    FindingKind.LOST_CANCEL: _lost_cancel,
    FindingKind.FALSE_FREE: _stale,
}


def _middle(chosen: NDArray[np.bool_]) -> int:
    found = np.flatnonzero(chosen)
    return int(found[len(found) // 2])


def _certain(traffic: Traffic, slot: int) -> int | None:
    """When a booking of the slot, in the middle of all such, came to be certainly held for a tick or more."""
    ops = traffic.ops
    known_ends = np.full(_unused(ops), NEVER, np.int64)
    confirmed = (ops.kind == BOOK) & (ops.reply == OK)
    known_ends[ops.request[confirmed]] = ops.complete_ns[confirmed]
    cancels = np.flatnonzero((ops.kind == CANCEL) & (ops.reply == OK) & (ops.slot == slot))
    began = known_ends[ops.booking[cancels]]
    # A lost cancel of the same booking may have ended it earlier.
    lost = ops.booking[(ops.kind == CANCEL) & (ops.reply == UNKNOWN)]
    sole = ~np.isin(ops.booking[cancels], lost)
    certain = np.sort(began[sole & (began != NEVER) & (ops.invoke_ns[cancels] - began >= TICK_NS)])
    return int(certain[certain.size // 2]) if certain.size else None


def _with_booking(traffic: Traffic, slot: int, since_ns: int) -> Traffic:
    """With a confirmed booking that is cancelled again within a tick."""
    request = _unused(traffic.ops)
    traffic = _with_op(traffic, slot, BOOK, OK, since_ns + 1, _STEP_NS // 4)
    traffic = _with_op(traffic, slot, CANCEL, OK, since_ns + 2 * _STEP_NS, _STEP_NS // 4, booking=request)
    row = (np.array([each]) for each in (request, slot, since_ns + 1, since_ns + 2 * _STEP_NS))
    return replace(traffic, rows=_joined(traffic.rows, Rows(*row)))


def _with_op(
    traffic: Traffic, slot: int, kind: int, reply: int, invoke_ns: int, lasts_ns: int, booking: int = NOBODY
) -> Traffic:
    """With one op of a new process."""
    ops = traffic.ops
    values = (_unused(ops), slot, int(ops.process.max()) + 1, kind, reply, booking, invoke_ns, invoke_ns + lasts_ns)
    added = Ops(*(np.array([value]) for value in values))
    at = int(np.searchsorted(ops.invoke_ns, invoke_ns, side="right"))
    return replace(
        traffic,
        ops=Ops(
            **{each.name: np.insert(getattr(ops, each.name), at, getattr(added, each.name)[0]) for each in fields(Ops)}
        ),
    )


def _unused(ops: Ops) -> int:
    return int(max(ops.request.max(), ops.booking.max())) + 1


def _only(rows: Rows, chosen: NDArray[np.bool_]) -> Rows:
    return Rows(**{each.name: getattr(rows, each.name)[chosen] for each in fields(Rows)})


def _joined(rows: Rows, more: Rows) -> Rows:
    columns = ((getattr(rows, each.name), getattr(more, each.name)) for each in fields(Rows))
    return Rows(*(np.concatenate([first, second.astype(first.dtype)]) for first, second in columns))
