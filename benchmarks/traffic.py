"""Large true histories as columns, made with numpy: what the benchmarks of the exact checker decide.

Per slot, clients in a closed loop, as in the checker's tests: 45 % book, 30 % read, 25 % cancel; an op lasts 1 to 100
ticks, its client then waits 1 to 3, and it happens at one instant of its interval. Only a booking whose caller has been
answered is cancelled: before that nobody knows its number. A history is true by construction:
every reply follows from the ops that happened before it. `plants` spoils one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Words = NDArray[np.int8]

BOOK, CANCEL, READ = range(3)
OK, TAKEN, NOT_HELD, FREE, BUSY, UNKNOWN = range(6)
"""Replies. A read is told FREE or BUSY; UNKNOWN: the reply was lost, though the op happened."""
NOBODY = 0
"""The request that a book or a read concerns besides its own: none."""
NEVER = -1
"""The end of a booking that nobody cancelled."""

TICK_NS = 1_000_000
BEGAN_NS = 1_000_000_000_000
_LONGEST = 100
_LONGEST_IDLE = 3
_MEAN_TURN = (1 + _LONGEST) / 2 + (1 + _LONGEST_IDLE) / 2
_TURN_VARIANCE = (_LONGEST**2 - 1) / 12 + (_LONGEST_IDLE**2 - 1) / 12
_BOOKS, _BOOKS_AND_READS = 0.45, 0.75
_BLOCK_OPS = 4_000_000


@dataclass(frozen=True)
class Load:
    """`ops` in all, spread evenly over `slots`; `clients` on each slot; a share of all replies is lost."""

    ops: int
    slots: int = 1
    clients: int = 4
    unknown: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        if min(self.ops, self.slots, self.clients) < 1 or self.ops % self.slots:
            raise ValueError(f"{self.ops} ops cannot be spread evenly over {self.slots} slots")
        if not 0 <= self.unknown <= 1:
            raise ValueError(f"a share of unknown outcomes lies between 0 and 1, not at {self.unknown}")


@dataclass(frozen=True)
class Ops:
    """One op a row, in order of invocation. Slots and processes count from 0, requests from 1.

    `booking`: the request whose booking a cancel concerns, NOBODY for the rest.
    """

    request: Ints
    slot: Codes
    process: Codes
    kind: Words
    reply: Words
    booking: Ints
    invoke_ns: Ints
    complete_ns: Ints

    def __len__(self) -> int:
        return len(self.request)


@dataclass(frozen=True)
class Rows:
    """One booking a row, with the instants at which it began and ended (NEVER)."""

    request: Ints
    slot: Codes
    live_ns: Ints
    gone_ns: Ints

    def __len__(self) -> int:
        return len(self.request)


@dataclass(frozen=True)
class Traffic:
    """What clients saw, and what the ledger has at the end."""

    load: Load
    ops: Ops
    rows: Rows


@dataclass(frozen=True)
class _Block:
    """Some slots, slot by slot and in the order in which the ops happened; times in ticks.

    `subject`: position in the block of the book whose booking a cancel concerns, -1 when there never was one.
    """

    slot: Codes
    process: Codes
    kind: Words
    told: Words
    lost: NDArray[np.bool_]
    subject: Ints
    since: Ints
    until: Ints
    happened: Ints


def true_traffic(load: Load) -> Traffic:
    """The history of one load. About 150 bytes an op at the peak, and 15 s for 10^7 ops."""
    blocks = list(_blocks(load))
    offsets = np.cumsum([0, *(len(block.slot) for block in blocks)])
    subject = np.concatenate(
        [np.where(block.subject < 0, -1, block.subject + at) for block, at in zip(blocks, offsets, strict=False)]
    )
    whole = _Block(
        **{
            field.name: np.concatenate([getattr(block, field.name) for block in blocks])
            for field in fields(_Block)
            if field.name != "subject"
        },
        subject=subject,
    )
    del blocks
    order = np.argsort(whole.since, kind="stable")
    request = np.empty(len(order), np.int64)
    request[order] = np.arange(1, len(order) + 1)
    return Traffic(load, _ops(whole, order, request), _rows(whole, request))


def _ops(whole: _Block, order: Ints, request: Ints) -> Ops:
    # Who cancels before anything was ever booked on a slot names a booking that nobody asked for: one a slot.
    never_was = len(order) + 1 + whole.slot.astype(np.int64)
    booking = np.where(whole.kind == CANCEL, np.where(whole.subject < 0, never_was, request[whole.subject]), NOBODY)
    return Ops(
        request=request[order],
        slot=whole.slot[order],
        process=whole.process[order],
        kind=whole.kind[order],
        reply=np.where(whole.lost, np.int8(UNKNOWN), whole.told)[order],
        booking=booking[order],
        invoke_ns=BEGAN_NS + whole.since[order] * TICK_NS,
        complete_ns=BEGAN_NS + whole.until[order] * TICK_NS,
    )


def _rows(whole: _Block, request: Ints) -> Rows:
    booked = np.flatnonzero((whole.kind == BOOK) & (whole.told == OK))
    cancelled = np.flatnonzero((whole.kind == CANCEL) & (whole.told == OK))
    gone_ns = np.full(len(request), NEVER, np.int64)
    gone_ns[whole.subject[cancelled]] = BEGAN_NS + whole.happened[cancelled] * TICK_NS
    return Rows(request[booked], whole.slot[booked], BEGAN_NS + whole.happened[booked] * TICK_NS, gone_ns[booked])


def _blocks(load: Load) -> Iterator[_Block]:
    rng = np.random.default_rng([load.seed, load.ops, load.slots, load.clients, round(load.unknown * 1e6)])
    per_slot = load.ops // load.slots
    turns = _turns(per_slot, load.clients)
    together = max(1, _BLOCK_OPS // (turns * load.clients))
    for first in range(0, load.slots, together):
        yield _block(rng, load, first, min(together, load.slots - first), turns)


def _turns(ops: int, clients: int) -> int:
    """How many turns to draw for each client, so that hardly ever one takes them all before the slot has its ops."""
    mean = ops / clients
    spread = (mean * _TURN_VARIANCE) ** 0.5 / _MEAN_TURN
    return min(ops, int(mean + 5 * spread) + 5)


def _block(rng: np.random.Generator, load: Load, first: int, slots: int, turns: int) -> _Block:
    """All arrays have one row a slot until the end."""
    ops = load.ops // load.slots
    length = rng.integers(1, _LONGEST + 1, (slots, load.clients, turns))
    turn = length + rng.integers(1, _LONGEST_IDLE + 1, length.shape)
    since = np.cumsum(turn, axis=2) - turn
    lost = rng.random(length.shape) < load.unknown
    # A process ends with an unknown outcome; its client goes on as a new one (CONTRACTS.md section 1).
    client = np.arange(first * load.clients, (first + slots) * load.clients).reshape(slots, load.clients, 1)
    process = client + load.slots * load.clients * (np.cumsum(lost, axis=2) - lost)

    starts = since.reshape(slots, -1)
    taken = np.argpartition(starts, ops - 1, axis=1)[:, :ops]
    last = np.take_along_axis(starts, taken, axis=1).max(axis=1)
    if (since[:, :, -1].min(axis=1) < last).any():
        return _block(rng, load, first, slots, 2 * turns)

    def chosen(values: NDArray[Any]) -> NDArray[Any]:
        return np.take_along_axis(values.reshape(slots, -1), taken, axis=1)

    since, length = chosen(since), chosen(length)
    happened = since + (rng.random(since.shape) * (length + 1)).astype(np.int64)
    order = np.argsort(happened, axis=1, kind="stable")
    since, length, happened = (np.take_along_axis(each, order, axis=1) for each in (since, length, happened))
    kind, told, subject = _replies(rng.random(since.shape), since, since + length)
    rows = np.arange(slots)[:, None]
    return _Block(
        slot=np.repeat(np.arange(first, first + slots, dtype=np.int32), ops),
        process=np.take_along_axis(chosen(process), order, axis=1).astype(np.int32).ravel(),
        kind=kind.ravel(),
        told=told.ravel(),
        lost=np.take_along_axis(chosen(lost), order, axis=1).ravel(),
        subject=np.where(subject < 0, -1, subject + rows * ops).ravel(),
        since=since.ravel(),
        until=(since + length).ravel(),
        happened=happened.ravel(),
    )


def _replies(chance: NDArray[np.float64], since: Ints, until: Ints) -> tuple[Words, Words, Ints]:
    """(kind, truthful reply, subject) of ops in the order in which they happen, from one random number each.

    A cancel that would come too early is one of the booking before, which is gone.
    """
    kind = np.select([chance < _BOOKS, chance >= _BOOKS_AND_READS], [np.int8(BOOK), np.int8(CANCEL)], np.int8(READ))
    told = np.empty(kind.shape, np.int8)
    subject = np.full(kind.shape, -1, np.int64)
    for row in range(len(kind)):
        answers, subjects = _one_slot(kind[row].tolist(), since[row].tolist(), until[row].tolist())
        told[row] = answers
        subject[row, kind[row] == CANCEL] = subjects
    return kind, told, subject


def _one_slot(kinds: list[int], since: list[int], until: list[int]) -> tuple[list[int], list[int]]:
    """The replies, and the position of the booking that each cancel concerns (-1: there was none yet)."""
    told: list[int] = []
    subjects: list[int] = []
    holder, gone = -1, -1
    for at, kind in enumerate(kinds):
        if kind == READ:
            told.append(FREE if holder < 0 else BUSY)
        elif kind == BOOK:
            told.append(OK if holder < 0 else TAKEN)
            holder = at if holder < 0 else holder
        elif holder >= 0 and until[holder] < since[at]:
            told.append(OK)
            subjects.append(holder)
            holder, gone = -1, holder
        else:
            told.append(NOT_HELD)
            subjects.append(gone)
    return told, subjects
