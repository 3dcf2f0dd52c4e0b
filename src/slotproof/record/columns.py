"""A history as columns: one numpy array a property, so that millions of ops can be decided (CHECKER.md section 3b).

A *place* is a range of one resource, as a code into `Places`; a *booking* is a code too: an id of one resource.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Words = NDArray[np.int8]
Flags = NDArray[np.bool_]
Numbers = NDArray[Any]
"""Integers of any width: where only some millions are told apart, 32 bits save memory."""

END_UNKNOWN = 2**61
"""The completion of an op whose outcome is unknown: after every event."""
WHOLE = (-(2**62), 2**62)
"""The range of a resource that is one slot."""
NONE = -1
"""No booking, or no place."""

FUNCTIONS = tuple(Function)
REPLIES = tuple(Reply)
BOOK, CANCEL, FREE, MOVE = range(len(FUNCTIONS))
OK, CONFLICT, NOT_HELD, IS_FREE, BUSY, INFO = range(len(REPLIES))
EXPLAINED = len(REPLIES)
"""A refusal that needs no booking to be true (`run_holds`) and claims nothing. Not a word of the exchange format."""


@dataclass(frozen=True)
class Places:
    """Ranges by code: `resource` is a code into the history's resources; start < end, or WHOLE."""

    resource: Codes
    start: Ints
    end: Ints


@dataclass(frozen=True)
class LedgerColumns:
    """Rows at rest. `place` NONE = the row does not say where."""

    booking: Codes
    live: Flags
    place: Codes


@dataclass(frozen=True)
class HistoryColumns:
    """The claims of ops, one a row. An op that made several claims has several rows with its number.

    `function`, `reply`: indices into FUNCTIONS and REPLIES, or EXPLAINED. `booking`: code into `names`, NONE for a
    read of anyone's. `place`: where; for a cancel it says nothing. `to_place`: where a move goes; None when nothing
    moves. `complete_ns`: END_UNKNOWN exactly when the reply is INFO. `booking_resource`: by booking. `ledger` None = it
    was not read.
    `unclear`: places about which replies prove nothing, since who held them is not known.
    """

    op: Numbers
    function: Words
    reply: Words
    booking: Codes
    place: Codes
    to_place: Codes | None
    invoke_ns: Ints
    complete_ns: Ints
    places: Places
    resources: Sequence[str]
    names: Sequence[str]
    booking_resource: Codes
    ledger: LedgerColumns | None
    unclear: Codes = field(default_factory=lambda: np.zeros(0, np.int32))

    @property
    def size(self) -> int:
        return len(self.op)

    def rows(self, index: NDArray[Any]) -> list[HistoryOp]:
        """The rows at `index` as ops of the exchange format, for what only a few rows need."""
        return [self._row(int(each)) for each in index]

    def _row(self, at: int) -> HistoryOp:
        place, code = int(self.place[at]), int(self.booking[at])
        start, end = self.span(place)
        to = NONE if self.to_place is None else int(self.to_place[at])
        to_start, to_end = self.span(to)
        complete = int(self.complete_ns[at])
        return HistoryOp(
            op=int(self.op[at]),
            function=FUNCTIONS[self.function[at]],
            outcome=REPLIES[self.reply[at]],
            invoke_ns=int(self.invoke_ns[at]),
            complete_ns=None if complete == END_UNKNOWN else complete,
            resource=self.resources[self.places.resource[place]],
            id=None if code == NONE else self.names[code],
            start=start,
            end=end,
            to_start=to_start,
            to_end=to_end,
        )

    def span(self, place: int) -> tuple[int, int] | tuple[None, None]:
        """The range of a place as the exchange format has it: None when it is the whole resource, or not said."""
        if place == NONE or self.places.start[place] == WHOLE[0]:
            return None, None
        return int(self.places.start[place]), int(self.places.end[place])

    def ledger_rows(self, index: NDArray[Any]) -> list[RestRow]:
        """The ledger's rows at `index`, in the exchange format."""
        assert self.ledger is not None
        found = []
        for at in index:
            code = int(self.ledger.booking[at])
            start, end = self.span(int(self.ledger.place[at]))
            state = RestState.LIVE if self.ledger.live[at] else RestState.CANCELLED
            found.append(RestRow(self.resources[self.booking_resource[code]], self.names[code], state, start, end))
        return found


class Coder:
    """Gives each place and each booking its code, in order of first appearance."""

    def __init__(self) -> None:
        self._resources: dict[str, int] = {}
        self._places: dict[tuple[int, int, int], int] = {}
        self._bookings: dict[tuple[int, str], int] = {}

    def resource(self, name: str) -> int:
        return self._resources.setdefault(name, len(self._resources))

    def place(self, resource: str, start: int | None, end: int | None) -> int:
        span = WHOLE if start is None or end is None else (start, end)
        return self._places.setdefault((self.resource(resource), *span), len(self._places))

    def booking(self, resource: str, name: str | None) -> int:
        return NONE if name is None else self._bookings.setdefault((self.resource(resource), name), len(self._bookings))

    def places(self) -> Places:
        codes = np.array(list(self._places), np.int64).reshape(-1, 3)
        return Places(codes[:, 0].astype(np.int32), codes[:, 1].copy(), codes[:, 2].copy())

    def resources(self) -> list[str]:
        return list(self._resources)

    def names(self) -> list[str]:
        return [name for _, name in self._bookings]

    def booking_resource(self) -> Codes:
        return np.array([resource for resource, _ in self._bookings], np.int32)


_FUNCTION_CODES = {function: code for code, function in enumerate(FUNCTIONS)}
_REPLY_CODES = {reply: code for code, reply in enumerate(REPLIES)}


def columns_of(history: History) -> HistoryColumns:
    """The columns of a history of the exchange format."""
    coder = Coder()
    ops = history.ops
    moves = any(op.function is Function.MOVE for op in ops)
    place = [coder.place(op.resource, op.start, op.end) for op in ops]
    to_place = [
        coder.place(op.resource, op.to_start, op.to_end) if op.function is Function.MOVE else NONE
        for op in (ops if moves else ())
    ]
    booking = [coder.booking(op.resource, op.id) for op in ops]
    ledger = None if history.ledger is None else _ledger(coder, history.ledger)
    return HistoryColumns(
        op=np.array([op.op for op in ops], np.int64),
        function=np.array([_FUNCTION_CODES[op.function] for op in ops], np.int8),
        reply=np.array([_REPLY_CODES[op.outcome] for op in ops], np.int8),
        booking=np.array(booking, np.int32),
        place=np.array(place, np.int32),
        to_place=np.array(to_place, np.int32) if moves else None,
        invoke_ns=np.array([op.invoke_ns for op in ops], np.int64),
        complete_ns=np.array([END_UNKNOWN if op.complete_ns is None else op.complete_ns for op in ops], np.int64),
        places=coder.places(),
        resources=coder.resources(),
        names=coder.names(),
        booking_resource=coder.booking_resource(),
        ledger=ledger,
    )


def _ledger(coder: Coder, rows: Sequence[RestRow]) -> LedgerColumns:
    place = [NONE if row.start is None else coder.place(row.resource, row.start, row.end) for row in rows]
    return LedgerColumns(
        booking=np.array([coder.booking(row.resource, row.id) for row in rows], np.int32),
        live=np.array([row.state is RestState.LIVE for row in rows], np.bool_),
        place=np.array(place, np.int32),
    )
