"""A run folder's ops and ledgers as columns, straight from its Arrow files: only what the exact checker needs.

Batch by batch, so that ten million ops fit; no row becomes a Python object. What cannot be joined to a request by its
number (rows of systems that store none, bookings made directly in the calendar, requests of which the two sources say
different things) makes the replies about its range undecidable here: the columns' `unclear` has those ranges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa

from slotproof.record import columns as words
from slotproof.record.arrow_files import Batches
from slotproof.record.columns import (
    END_UNKNOWN,
    NONE,
    Codes,
    Flags,
    HistoryColumns,
    Ints,
    LedgerColumns,
    Places,
    Words,
)
from slotproof.record.schemas import LEDGER, OPS, Actor, Kind, Outcome, RowState
from slotproof.run_folder import RunFolder

_OPS = (
    "op", "request", "attempt", "actor", "kind", "outcome", "person", "start_s", "end_s", "to_start_s", "to_end_s",
    "offered_start_s", "booking", "invoke_ns", "complete_ns",
)  # fmt: skip
_LEDGER = ("row", "request", "person", "start_s", "end_s", "state", "actor")
_SKIP = -1
_FUNCTIONS = {Kind.BOOK: words.BOOK, Kind.CANCEL: words.CANCEL, Kind.MOVE: words.MOVE, Kind.AVAILABILITY: words.FREE}
_REPLIES = {
    (words.BOOK, Outcome.OK): words.OK,
    (words.BOOK, Outcome.TAKEN): words.CONFLICT,
    (words.CANCEL, Outcome.OK): words.OK,
    (words.CANCEL, Outcome.NOT_HELD): words.NOT_HELD,
    (words.MOVE, Outcome.OK): words.OK,
    (words.MOVE, Outcome.TAKEN): words.CONFLICT,
    (words.MOVE, Outcome.NOT_HELD): words.NOT_HELD,
    (words.FREE, Outcome.OK): words.IS_FREE,
} | {
    (function, outcome): words.INFO
    for function in (words.BOOK, words.CANCEL, words.MOVE)
    for outcome in (Outcome.PENDING, Outcome.UNKNOWN)
}
"""What an outcome claims (CONTRACTS.md section 1). `none` and whatever is not here claims nothing."""


@dataclass(frozen=True)
class RunHistory:
    """`complete`: every file of ops has its end marker."""

    columns: HistoryColumns
    complete: bool


def read_run_history(folder: RunFolder, *, staleness_ns: int = 0) -> RunHistory:
    """`staleness_ns`: by how much older than its request what an availability reply says may be.

    Raises:
        RecordError: a file is not what its name says.
    """
    ops = _Ops(staleness_ns)
    complete = [ops.read(path) for path in sorted(folder.record.glob("ops-*.arrow"))]
    places = ops.places
    database = _read_ledger(folder.ledger / "database.arrow", places)
    calendar = _read_ledger(folder.ledger / "calendar.arrow", places)
    known = [ledger for ledger in (database, calendar) if ledger is not None]
    told = ops.told_requests()
    for each in known:
        each.set_withdrawn_aside(told)
    requests = _Requests([*ops.acting_requests(), *(ledger.request[ledger.joined] for ledger in known)])
    ledger = database or calendar
    columns = ops.columns(requests, None if ledger is None else ledger.columns(requests))
    unclear = [ledger.unclear() for ledger in known]
    if database is not None and calendar is not None:
        unclear.append(_disagreeing(columns, database, calendar, requests))
    if unclear:
        columns = replace(columns, unclear=np.unique(np.concatenate(unclear)))
    return RunHistory(columns, bool(complete) and all(complete))


class _PlaceCodes:
    """Codes of (resource, start, end), and of resources; each batch asks once for each different one."""

    def __init__(self) -> None:
        self._resources: dict[str, int] = {}
        self._places: dict[tuple[int, int, int], int] = {}

    def codes(self, resource: Codes, start: Ints, end: Ints) -> Codes:
        """NONE where there is no resource."""
        if not len(resource):
            return np.zeros(0, np.int32)
        starts, start_code = _dictionary(start)
        ends, end_code = _dictionary(end)
        width = len(starts) * len(ends)
        mixed = (resource.astype(np.int64) + 1) * width + start_code * np.int64(len(ends)) + end_code
        kinds, back = _dictionary(mixed)
        code = np.empty(len(kinds), np.int32)
        for number, kind in enumerate(kinds.tolist()):
            of, rest = divmod(kind, width)
            low, high = divmod(rest, len(ends))
            code[number] = self._code(of - 1, int(starts[low]), int(ends[high])) if of else NONE
        return code[back]

    def _code(self, resource: int, start: int, end: int) -> int:
        return self._places.setdefault((resource, start, end), len(self._places))

    def resources(self, column: pa.Array) -> Codes:
        """The resource of each name; NONE where there is none."""
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        lookup = np.array([*(self._resource(name) for name in column.dictionary.to_pylist()), NONE], np.int32)
        return lookup[_numbers(column.indices, len(lookup) - 1)]

    def _resource(self, name: str) -> int:
        return self._resources.setdefault(name, len(self._resources))

    def places(self) -> Places:
        table = np.array(list(self._places), np.int64).reshape(-1, 3)
        return Places(table[:, 0].astype(np.int32), table[:, 1].copy(), table[:, 2].copy())

    def names(self) -> list[str]:
        return list(self._resources)


@dataclass
class _Ops:
    """Gathers the claims of all op files."""

    staleness_ns: int
    places: _PlaceCodes = field(default_factory=_PlaceCodes)
    _parts: dict[str, list[Any]] = field(default_factory=dict)
    _moves: bool = False

    def read(self, path: Path) -> bool:
        """Whether the file is complete."""
        batches = Batches(path, OPS, "ops", _OPS)
        for batch in batches:
            self._take(batch)
        return batches.complete

    def _take(self, batch: pa.RecordBatch) -> None:
        function, reply = _claims(batch)
        chosen = np.flatnonzero(reply != _SKIP)
        reads = function[chosen] == words.FREE
        if reads.any():
            self._take_reads(batch, chosen[reads])
            chosen = chosen[~reads]
        resource = self.places.resources(batch.column("person"))[chosen]
        start, end = (_numbers(batch.column(name), 0)[chosen] for name in ("start_s", "end_s"))
        function, reply = function[chosen], reply[chosen]
        request = _numbers(batch.column("request"))[chosen]
        booking = np.where(function == words.BOOK, request, _numbers(batch.column("booking"), NONE)[chosen])
        invoke = _numbers(batch.column("invoke_ns"))[chosen]
        complete = _numbers(batch.column("complete_ns"))[chosen]
        complete = np.where(reply == words.INFO, END_UNKNOWN, complete)
        placed = (resource != NONE) & (booking != NONE) & (start < end)
        moves = function == words.MOVE
        to_place = np.full(len(chosen), NONE, np.int32)
        if moves.any():
            self._moves = True
            to_start, to_end = (_numbers(batch.column(name), 0)[chosen] for name in ("to_start_s", "to_end_s"))
            placed &= ~moves | (to_start < to_end)
            moves &= placed
            to_place[moves] = self.places.codes(resource[moves], to_start[moves], to_end[moves])
        place = np.full(len(chosen), NONE, np.int32)
        place[placed] = self.places.codes(resource[placed], start[placed], end[placed])
        self._keep(
            op=_numbers(batch.column("op"))[chosen][placed],
            function=function[placed],
            reply=reply[placed],
            booking=booking[placed],
            place=place[placed],
            to_place=to_place[placed],
            invoke=invoke[placed],
            complete=complete[placed],
        )
        again = placed & (_numbers(batch.column("attempt"))[chosen] > 1) & (reply != words.OK) & (reply != words.INFO)
        self._parts.setdefault("repeated", []).append((request[again], again[placed]))
        first = placed & (_numbers(batch.column("attempt"))[chosen] == 1)
        self._parts.setdefault("first", []).append((request[first], invoke[first]))

    def _take_reads(self, batch: pa.RecordBatch, rows: Ints) -> None:
        """One claim for each time that the reply offered; all are as long as the range that the op names."""
        resource = self.places.resources(batch.column("person"))[rows]
        length = _numbers(batch.column("end_s"), 0)[rows] - _numbers(batch.column("start_s"), 0)[rows]
        rows = rows[(resource != NONE) & (length > 0)]
        offers = batch.column("offered_start_s")
        offsets = _numbers(offers.offsets)
        begins = offsets[:-1]
        count = np.diff(offsets)[rows]
        row = np.repeat(rows, count)
        inner = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        start = _numbers(offers.values)[begins[row] + inner] if len(row) else np.zeros(0, np.int64)
        length = _numbers(batch.column("end_s"), 0)[row] - _numbers(batch.column("start_s"), 0)[row]
        self._keep(
            op=_numbers(batch.column("op"))[row],
            function=np.full(len(row), words.FREE, np.int8),
            reply=np.full(len(row), words.IS_FREE, np.int8),
            booking=np.full(len(row), NONE, np.int64),
            place=self.places.codes(self.places.resources(batch.column("person"))[row], start, start + length),
            to_place=np.full(len(row), NONE, np.int32),
            invoke=_numbers(batch.column("invoke_ns"))[row] - self.staleness_ns,
            complete=_numbers(batch.column("complete_ns"))[row],
        )
        self._parts.setdefault("repeated", []).append((np.zeros(0, np.int64), np.zeros(len(row), np.bool_)))

    def _keep(self, **parts: Any) -> None:
        for name, part in parts.items():
            self._parts.setdefault(name, []).append(part)

    def _all(self, name: str, kind: Any) -> Any:
        parts = self._parts.pop(name, [])
        return np.concatenate(parts) if parts else np.zeros(0, kind)

    def acting_requests(self) -> Iterator[Ints]:
        """The requests of bookings of which some op may have had an effect."""
        for booking, reply in zip(self._parts.get("booking", ()), self._parts.get("reply", ()), strict=True):
            yield booking[(reply == words.OK) | (reply == words.INFO)]

    def told_requests(self) -> Ints:
        """The requests of bookings of which some caller was told something: that they stand, moved, or are gone."""
        parts = zip(self._parts.get("booking", ()), self._parts.get("reply", ()), strict=True)
        told = [booking[reply == words.OK] for booking, reply in parts]
        return np.concatenate(told) if told else np.zeros(0, np.int64)

    def columns(self, requests: _Requests, ledger: LedgerColumns | None) -> HistoryColumns:
        self._widen_repeats()
        booking = requests.codes_by_part(self._parts.pop("booking", []))
        place = self._all("place", np.int32)
        resource = self.places.places().resource
        of_booking = np.zeros(len(requests.numbers), np.int32)
        named = booking != NONE
        of_booking[booking[named]] = resource[place[named]]
        if ledger is not None:
            told = ledger.place != NONE
            unseen = np.ones(len(of_booking), np.bool_)
            unseen[booking[named]] = False
            rows = told & unseen[ledger.booking]
            of_booking[ledger.booking[rows]] = resource[ledger.place[rows]]
        to_place = self._all("to_place", np.int32)
        return HistoryColumns(
            op=self._all("op", np.int64),
            function=self._all("function", np.int8),
            reply=self._all("reply", np.int8),
            booking=booking,
            place=place,
            to_place=to_place if self._moves else None,
            invoke_ns=self._all("invoke", np.int64),
            complete_ns=self._all("complete", np.int64),
            places=self.places.places(),
            resources=self.places.names(),
            names=requests,
            booking_resource=of_booking,
            ledger=ledger,
        )

    def _widen_repeats(self) -> None:
        """A repeat is answered as the request was: what it is told may be as old as the request's first attempt."""
        repeated, first = self._parts.pop("repeated", []), self._parts.pop("first", [])
        wanted = np.unique(np.concatenate([request for request, _ in repeated])) if repeated else np.zeros(0, np.int64)
        if not wanted.size:
            return
        since = np.full(len(wanted), END_UNKNOWN, np.int64)
        for request, invoke in first:
            at = np.minimum(np.searchsorted(wanted, request), len(wanted) - 1)
            same = wanted[at] == request
            np.minimum.at(since, at[same], invoke[same])
        for (request, rows), invoke in zip(repeated, self._parts["invoke"], strict=True):
            if request.size:
                invoke[rows] = np.minimum(invoke[rows], since[np.searchsorted(wanted, request)])


class _Requests(Sequence[str]):
    """Booking code <-> number of the request that made it; read as the codes' names."""

    def __init__(self, numbers: Iterable[Ints]) -> None:
        parts = [part for part in numbers if part.size]
        low = min((int(part.min()) for part in parts), default=0)
        high = max((int(part.max()) for part in parts), default=-1)
        size = sum(map(len, parts))
        self._low = low
        self._table: Codes | None = None
        if high - low < 16 * size + 1024:
            seen = np.zeros(high - low + 1, np.bool_)
            for part in parts:
                seen[part - low] = True
            self.numbers = np.flatnonzero(seen) + low
            self._table = np.full(len(seen), NONE, np.int32)
            self._table[self.numbers - low] = np.arange(len(self.numbers), dtype=np.int32)
        else:
            self.numbers = np.unique(np.concatenate(parts))

    def codes(self, numbers: Ints) -> Codes:
        """NONE for a request that had no effect and has no row."""
        if not len(self.numbers):
            return np.full(len(numbers), NONE, np.int32)
        if self._table is not None:
            at = numbers - self._low
            inside = (at >= 0) & (at < len(self._table))
            found = self._table[np.where(inside, at, 0)]
            found[~inside] = NONE
            return found
        at = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
        return np.where(self.numbers[at] == numbers, at, NONE).astype(np.int32)

    def codes_by_part(self, parts: list[Ints]) -> Codes:
        return np.concatenate([self.codes(part) for part in parts]) if parts else np.zeros(0, np.int32)

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        found = self.numbers[index]
        return str(found) if isinstance(index, int) else [str(each) for each in found]


@dataclass
class _Rest:
    """The last state of each row of one source. `joined`: has a request. `by_service`: the service changed it last."""

    request: Ints
    live: Flags
    pending: Flags
    by_service: Flags
    joined: Flags
    place: Codes

    def set_withdrawn_aside(self, told: Ints) -> None:
        """What the service withdrew before any caller was told of it is an attempt, no booking: it may overlap others
        for a moment (CONTRACTS.md section 3.3), and explain what they were refused. So its range becomes unclear."""
        withdrawn = np.flatnonzero(self.joined & self.by_service & ~self.live & ~self.pending)
        self.joined[withdrawn[~np.isin(self.request[withdrawn], told)]] = False

    def columns(self, requests: _Requests) -> LedgerColumns:
        decided = self.joined & ~self.pending
        return LedgerColumns(requests.codes(self.request[decided]), self.live[decided], self.place[decided])

    def unclear(self) -> Codes:
        return self.place[~self.joined | self.pending]


def _read_ledger(path: Path, places: _PlaceCodes) -> _Rest | None:
    """None when it is not there, or was not written to its end."""
    if not path.exists():
        return None
    batches = Batches(path, LEDGER, "ledger", _LEDGER)
    changes = [_changes(batch, places) for batch in batches]
    if not batches.complete:
        return None
    if not changes:
        empty = np.zeros(0, np.int64)
        flags = empty.astype(np.bool_)
        return _Rest(empty, flags, flags, flags, flags, empty.astype(np.int32))
    row = _numbers(pa.chunked_array([each.row for each in changes]).combine_chunks().dictionary_encode().indices)
    request = np.concatenate([each.request for each in changes])
    live, pending, by_service, external, place = (
        np.concatenate([getattr(each, name) for each in changes])
        for name in ("live", "pending", "by_service", "external", "place")
    )
    del changes
    last = np.zeros(int(row.max(initial=-1)) + 1, np.int64)
    last[row] = np.arange(len(row))
    # A row may learn its request later, or change its range: the request is whichever was ever told.
    asked = np.full(len(last), NONE, np.int64)
    told = request != NONE
    asked[row[told]] = request[told]
    from_elsewhere = np.zeros(len(last), np.bool_)
    from_elsewhere[row[external]] = True
    joined = (asked != NONE) & ~from_elsewhere
    rest = _Rest(asked, live[last], pending[last], by_service[last], joined, place[last])
    del row, request, live, pending, by_service, external, place
    pa.default_memory_pool().release_unused()  # what comes next is numpy's
    return rest


@dataclass
class _Changes:
    """One batch of a ledger, in the columns that count."""

    row: pa.Array
    request: Ints
    live: Flags
    pending: Flags
    by_service: Flags
    external: Flags
    place: Codes


def _changes(batch: pa.RecordBatch, places: _PlaceCodes) -> _Changes:
    state = batch.column("state")
    start, end = (_numbers(batch.column(name)) for name in ("start_s", "end_s"))
    return _Changes(
        batch.column("row"),
        _numbers(batch.column("request"), NONE).copy(),
        _is(state, RowState.LIVE),
        _is(state, RowState.PENDING),
        _is(batch.column("actor"), Actor.SERVICE),
        _is(batch.column("actor"), Actor.EXTERNAL),
        places.codes(places.resources(batch.column("person")), start, end),
    )


def _disagreeing(columns: HistoryColumns, database: _Rest, calendar: _Rest, requests: _Requests) -> Codes:
    """Where one source has a request's booking live and the other has not."""
    counts = [
        np.bincount(requests.codes(each.request[each.joined & each.live]), minlength=len(requests))
        for each in (database, calendar)
    ]
    differs = np.append((counts[0] > 0) != (counts[1] > 0), False)
    if not differs.any():
        return np.zeros(0, np.int32)
    found = [columns.place[differs[columns.booking]]]
    found += [
        each.place[each.joined][differs[requests.codes(each.request[each.joined])]] for each in (database, calendar)
    ]
    return np.unique(np.concatenate(found))


def _claims(batch: pa.RecordBatch) -> tuple[Words, Words]:
    """Function and reply of each row, _SKIP where nothing is claimed. Bookings made directly in the calendar are
    known from its ledger."""
    function = _lookup(batch.column("kind"), {str(kind): code for kind, code in _FUNCTIONS.items()})
    outcomes = list(Outcome)
    outcome = _lookup(batch.column("outcome"), {str(each): code for code, each in enumerate(outcomes)})
    external = _lookup(batch.column("actor"), {str(Actor.EXTERNAL): 1})
    table = np.full((len(words.FUNCTIONS) + 1, len(outcomes) + 1), _SKIP, np.int8)
    for (kind, word), reply in _REPLIES.items():
        table[kind, outcomes.index(word)] = reply
    replies = table[function, outcome]
    replies[external == 1] = _SKIP
    return function, replies


def _lookup(column: pa.Array, codes: dict[str, int]) -> Words:
    table = np.array([*(codes.get(word, _SKIP) for word in column.dictionary.to_pylist()), _SKIP], np.int8)
    return table[_numbers(column.indices, len(table) - 1)]


def _is(column: pa.Array, word: str) -> Flags:
    encoded = column.dictionary_encode()
    words = encoded.dictionary.to_pylist()
    found: Flags = _numbers(encoded.indices) == (words.index(str(word)) if str(word) in words else -1)
    return found


def _numbers(column: pa.Array, null: int | None = None) -> Ints:
    """Integers where they lie (`null` stands for those that are missing). Arrow's own ways would import pandas."""
    kind = np.dtype(str(column.type))
    validity, data = column.buffers()
    if data is None:
        return np.zeros(0, kind)
    found: Ints = np.frombuffer(data, kind, count=len(column), offset=column.offset * kind.itemsize)
    if not column.null_count:
        return found
    bits = np.unpackbits(np.frombuffer(validity, np.uint8), count=column.offset + len(column), bitorder="little")
    return np.where(bits[column.offset :].view(np.bool_), found, kind.type(null))


def _dictionary(values: Ints) -> tuple[Ints, Ints]:
    """Different values, and where each is among them."""
    # `pa.array` would import pandas to see what it was given.
    plain = np.ascontiguousarray(values)
    column = pa.Array.from_buffers(pa.type_for_alias(plain.dtype.name), len(plain), [None, pa.py_buffer(plain)])
    encoded = column.dictionary_encode()
    return _numbers(encoded.dictionary), _numbers(encoded.indices)
