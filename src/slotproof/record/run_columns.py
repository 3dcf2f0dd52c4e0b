"""A run folder's ops and ledgers as columns, straight from its Arrow files: only what the exact checker needs.

Batch by batch, so that ten million ops fit; no row becomes a Python object. What cannot be joined to a request by its
number (rows of systems that store none, bookings made directly in the calendar, requests of which the two sources say
different things) makes the replies about its range undecidable here: the columns' `unclear` has those ranges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from slotproof.record import columns as words
from slotproof.record.arrow_files import Batches
from slotproof.record.arrow_numbers import SKIP, lookup, numbers, release_unused
from slotproof.record.columns import END_UNKNOWN, NONE, Codes, HistoryColumns, Ints, LedgerColumns, Numbers, Words
from slotproof.record.run_codes import PlaceCodes, RequestCodes
from slotproof.record.run_holds import Holds, Refusals, explained
from slotproof.record.run_ledger import LEDGER_COLUMNS, Rest, rest_of
from slotproof.record.schemas import LEDGER, OPS, Actor, Kind, Outcome
from slotproof.run_folder import RunFolder

_OPS = (
    "op", "request", "attempt", "part", "actor", "kind", "outcome", "person", "start_s", "end_s", "to_start_s",
    "to_end_s", "offered_start_s", "booking", "invoke_ns", "complete_ns",
)  # fmt: skip
_FIRST_ATTEMPTS = ("request", "attempt", "invoke_ns")
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
    paths = sorted(folder.record.glob("ops-*.arrow"))
    files = [Batches(path, OPS, "ops", _OPS) for path in paths]
    ops = _Ops(staleness_ns)
    ops.read(chain.from_iterable(files))
    ops.widen_repeats(batch for path in paths for batch in Batches(path, OPS, "ops", _FIRST_ATTEMPTS))
    release_unused()
    database, calendar = (_rest_in(folder.ledger / f"{name}.arrow", ops.places) for name in ("database", "calendar"))
    columns = _history(ops, database, calendar)
    del ops, database, calendar
    release_unused()
    return RunHistory(columns, bool(files) and all(file.complete for file in files))


def history_of_tables(
    ops: pa.Table, database: pa.Table | None, calendar: pa.Table | None, *, staleness_ns: int = 0
) -> HistoryColumns:
    """The same for tables in memory (`schemas.OPS`, `schemas.LEDGER`); a ledger is None when it was not read."""
    taken = _Ops(staleness_ns)
    batches = ops.unify_dictionaries().to_batches()
    taken.read(batches)
    taken.widen_repeats(batches)
    tables = (database, calendar)
    rests = (None if each is None else rest_of(each.to_batches(), taken.places) for each in tables)
    return _history(taken, *rests)


def _rest_in(path: Path, places: PlaceCodes) -> Rest | None:
    """None when it is not there, or was not written to its end."""
    if not path.exists():
        return None
    batches = Batches(path, LEDGER, "ledger", LEDGER_COLUMNS)
    rest = rest_of(batches, places)
    return rest if batches.complete else None


def _history(ops: _Ops, database: Rest | None, calendar: Rest | None) -> HistoryColumns:
    known = [ledger for ledger in (database, calendar) if ledger is not None]
    told, gone = ops.told_requests(), ops.told_gone()
    holds = [each.set_withdrawn_aside(told) for each in known] + [each.lingering(*gone) for each in known]
    if any(each.size for each in holds):
        ops.set_explained_aside(Holds.together(holds))
    requests = RequestCodes([*ops.acting_requests(), *(ledger.request[ledger.joined] for ledger in known)])
    ledger = database or calendar
    columns = ops.columns(requests, None if ledger is None else ledger.columns(requests))
    unclear = [ledger.unclear() for ledger in known]
    if database is not None and calendar is not None:
        unclear.append(_disagreeing(columns, database, calendar, requests))
    if unclear:
        columns = replace(columns, unclear=np.unique(np.concatenate(unclear)))
    return columns


@dataclass
class _Ops:
    """Gathers the claims of all op files."""

    staleness_ns: int
    places: PlaceCodes = field(default_factory=PlaceCodes)
    _parts: dict[str, list[Any]] = field(default_factory=dict)
    _moves: bool = False

    def read(self, batches: Iterable[pa.RecordBatch]) -> None:
        for batch in batches:
            self._take(batch)

    def _take(self, batch: pa.RecordBatch) -> None:
        function, reply = _claims(batch)
        chosen = np.flatnonzero(reply != SKIP)
        reads = function[chosen] == words.FREE
        if reads.any():
            self._take_reads(batch, chosen[reads])
            chosen = chosen[~reads]
        resource = self.places.resources(batch.column("person"))[chosen]
        start, end = (numbers(batch.column(name), 0)[chosen] for name in ("start_s", "end_s"))
        function, reply = function[chosen], reply[chosen]
        request = numbers(batch.column("request"))[chosen]
        booking = np.where(function == words.BOOK, request, numbers(batch.column("booking"), NONE)[chosen])
        invoke = numbers(batch.column("invoke_ns"))[chosen]
        complete = numbers(batch.column("complete_ns"))[chosen]
        complete = np.where(reply == words.INFO, END_UNKNOWN, complete)
        placed = (resource != NONE) & (booking != NONE) & (start < end)
        moves = function == words.MOVE
        to_place = np.full(len(chosen), NONE, np.int32)
        if moves.any():
            self._moves = True
            to_start, to_end = (numbers(batch.column(name), 0)[chosen] for name in ("to_start_s", "to_end_s"))
            placed &= ~moves | (to_start < to_end)
            moves &= placed
            to_place[moves] = self.places.codes(resource[moves], to_start[moves], to_end[moves])
        place = np.full(len(chosen), NONE, np.int32)
        place[placed] = self.places.codes(resource[placed], start[placed], end[placed])
        self._keep(
            op=_narrow(numbers(batch.column("op"))[chosen][placed]),
            function=function[placed],
            reply=reply[placed],
            booking=booking[placed],
            place=place[placed],
            to_place=to_place[placed],
            invoke=invoke[placed],
            complete=complete[placed],
        )
        again = placed & (numbers(batch.column("attempt"))[chosen] > 1) & (reply != words.OK) & (reply != words.INFO)
        self._parts.setdefault("repeated", []).append((request[again], again[placed]))

    def _take_reads(self, batch: pa.RecordBatch, rows: Ints) -> None:
        """One claim for each time that the reply offered; all are as long as the range that the op names."""
        resource = self.places.resources(batch.column("person"))[rows]
        length = numbers(batch.column("end_s"), 0)[rows] - numbers(batch.column("start_s"), 0)[rows]
        rows = rows[(resource != NONE) & (length > 0)]
        offers = batch.column("offered_start_s")
        offsets = numbers(offers.offsets)
        begins = offsets[:-1]
        count = np.diff(offsets)[rows]
        row = np.repeat(rows, count)
        inner = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        start = numbers(offers.values)[begins[row] + inner] if len(row) else np.zeros(0, np.int64)
        length = numbers(batch.column("end_s"), 0)[row] - numbers(batch.column("start_s"), 0)[row]
        self._keep(
            op=_narrow(numbers(batch.column("op"))[row]),
            function=np.full(len(row), words.FREE, np.int8),
            reply=np.full(len(row), words.IS_FREE, np.int8),
            booking=np.full(len(row), NONE, np.int64),
            place=self.places.codes(self.places.resources(batch.column("person"))[row], start, start + length),
            to_place=np.full(len(row), NONE, np.int32),
            invoke=numbers(batch.column("invoke_ns"))[row] - self.staleness_ns,
            complete=numbers(batch.column("complete_ns"))[row],
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

    def told_gone(self) -> tuple[Ints, Ints]:
        """Requests of bookings whose cancel was confirmed, and when its caller was told."""
        names = ("booking", "function", "reply", "complete")
        requests, times = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for booking, function, reply, complete in zip(*(self._parts.get(name, ()) for name in names), strict=True):
            gone = (function == words.CANCEL) & (reply == words.OK)
            requests.append(booking[gone])
            times.append(complete[gone])
        return np.concatenate(requests), np.concatenate(times)

    def set_explained_aside(self, holds: Holds) -> None:
        """The refusals of bookings that these holds explain say nothing about the order of bookings."""
        places = self.places.places()
        parts = (self._parts.get(name, ()) for name in ("function", "reply", "booking", "place", "invoke", "complete"))
        for function, reply, booking, place, invoke, complete in zip(*parts, strict=True):
            rows = np.flatnonzero((function == words.BOOK) & (reply == words.CONFLICT))
            refusals = Refusals(booking[rows], place[rows], invoke[rows], complete[rows])
            reply[rows[explained(refusals, holds, places)]] = words.EXPLAINED

    def columns(self, requests: RequestCodes, ledger: LedgerColumns | None) -> HistoryColumns:
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

    def widen_repeats(self, batches: Iterable[pa.RecordBatch]) -> None:
        """A repeat is answered as the request was: what it is told may be as old as the request's first attempt.

        `batches`: the same ops once more; read only if there are repeats.
        """
        repeated = self._parts.pop("repeated", [])
        wanted = np.unique(np.concatenate([request for request, _ in repeated])) if repeated else np.zeros(0, np.int64)
        if not wanted.size:
            return
        since = np.full(len(wanted), END_UNKNOWN, np.int64)
        for batch in batches:
            request, invoke = numbers(batch.column("request")), numbers(batch.column("invoke_ns"))
            at = np.minimum(np.searchsorted(wanted, request), len(wanted) - 1)
            same = (wanted[at] == request) & (numbers(batch.column("attempt")) == 1)
            np.minimum.at(since, at[same], invoke[same])
        for (request, rows), invoke in zip(repeated, self._parts["invoke"], strict=True):
            if request.size:
                invoke[rows] = np.minimum(invoke[rows], since[np.searchsorted(wanted, request)])


def _narrow(values: Ints) -> Numbers:
    """In 32 bits where they fit: parts of either width together have the larger one."""
    fits = not values.size or (int(values.min()) >= -(2**31) and int(values.max()) < 2**31)
    return values.astype(np.int32) if fits else values


def _disagreeing(columns: HistoryColumns, database: Rest, calendar: Rest, requests: RequestCodes) -> Codes:
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
    """Function and reply of each row, SKIP where nothing is claimed. Bookings made directly in the calendar are
    known from its ledger. A refusal of a service with several parts does not say which of them is held."""
    function = lookup(batch.column("kind"), {str(kind): code for kind, code in _FUNCTIONS.items()})
    outcomes = list(Outcome)
    outcome = lookup(batch.column("outcome"), {str(each): code for code, each in enumerate(outcomes)})
    external = lookup(batch.column("actor"), {str(Actor.EXTERNAL): 1})
    table = np.full((len(words.FUNCTIONS) + 1, len(outcomes) + 1), SKIP, np.int8)
    for (kind, word), reply in _REPLIES.items():
        table[kind, outcomes.index(word)] = reply
    replies = table[function, outcome]
    replies[external == 1] = SKIP
    replies[(replies == words.CONFLICT) & (numbers(batch.column("part"), 0) > 0)] = SKIP
    return function, replies
