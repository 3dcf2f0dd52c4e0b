"""What one source of a run finally says of each row (CONTRACTS.md section 2), as columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from slotproof.record.arrow_numbers import Encoded, numbers, release_unused
from slotproof.record.columns import NONE, Codes, Flags, Ints, LedgerColumns
from slotproof.record.run_codes import PlaceCodes, RequestCodes
from slotproof.record.run_holds import Holds
from slotproof.record.schemas import Actor, RowState

LEDGER_COLUMNS = ("row", "request", "person", "start_s", "end_s", "state", "actor", "at_ns")


@dataclass
class Rest:
    """The last state of each row of one source. `joined`: has a request. `by_service`: the service changed it last.
    `since_ns`, `changed_ns`: its first and its last change."""

    request: Ints
    live: Flags
    pending: Flags
    by_service: Flags
    joined: Flags
    place: Codes
    since_ns: Ints
    changed_ns: Ints
    withdrawn: Flags = field(init=False)

    def __post_init__(self) -> None:
        self.withdrawn = np.zeros(len(self.request), np.bool_)

    def set_withdrawn_aside(self, told: Ints) -> Holds:
        """What the service withdrew before any caller was told of it is an attempt, no booking: it may overlap others
        for a moment (CONTRACTS.md section 3.3), and explain what they were refused until then."""
        withdrawn = np.flatnonzero(self.joined & self.by_service & ~self.live & ~self.pending)
        withdrawn = withdrawn[~np.isin(self.request[withdrawn], told)]
        self.joined[withdrawn] = False
        self.withdrawn[withdrawn] = True
        return self._holds(withdrawn)

    def lingering(self, requests: Ints, gone_ns: Ints) -> Holds:
        """Rows that went only after the caller had been told that they are gone: of `requests`, at `gone_ns`."""
        order = np.argsort(requests, kind="stable")
        requests, gone_ns = requests[order], gone_ns[order]
        ended = np.flatnonzero(self.joined & ~self.live & ~self.pending)
        if not requests.size or not ended.size:
            return self._holds(ended[:0])
        at = np.minimum(np.searchsorted(requests, self.request[ended]), len(requests) - 1)
        late = (requests[at] == self.request[ended]) & (self.changed_ns[ended] > gone_ns[at])
        return self._holds(ended[late])

    def _holds(self, rows: Ints) -> Holds:
        return Holds(self.request[rows], self.place[rows], self.since_ns[rows], self.changed_ns[rows])

    def columns(self, requests: RequestCodes) -> LedgerColumns:
        decided = self.joined & ~self.pending
        return LedgerColumns(requests.codes(self.request[decided]), self.live[decided], self.place[decided])

    def unclear(self) -> Codes:
        """Where rows are that nobody is known to have asked for, or that are still pending."""
        return self.place[(~self.joined & ~self.withdrawn) | self.pending]


def rest_of(batches: Iterable[pa.RecordBatch], places: PlaceCodes) -> Rest:
    """What the batches of a ledger say at their end."""
    changes = [_changes(batch, places) for batch in batches]
    if not changes:
        empty = np.zeros(0, np.int64)
        flags = empty.astype(np.bool_)
        return Rest(empty, flags, flags, flags, flags, empty.astype(np.int32), empty, empty)
    row = numbers(pa.chunked_array([each.row for each in changes]).combine_chunks().dictionary_encode().indices)
    request = np.concatenate([each.request for each in changes])
    live, pending, by_service, external, place, at_ns = (
        np.concatenate([getattr(each, name) for each in changes])
        for name in ("live", "pending", "by_service", "external", "place", "at_ns")
    )
    del changes
    last = np.zeros(int(row.max(initial=-1)) + 1, np.int64)
    last[row] = np.arange(len(row))
    since_ns = np.zeros(len(last), np.int64)
    since_ns[row[::-1]] = at_ns[::-1]
    # A row may learn its request later, or change its range: the request is whichever was ever told.
    asked = np.full(len(last), NONE, np.int64)
    told = request != NONE
    asked[row[told]] = request[told]
    from_elsewhere = np.zeros(len(last), np.bool_)
    from_elsewhere[row[external]] = True
    joined = (asked != NONE) & ~from_elsewhere
    rest = Rest(asked, live[last], pending[last], by_service[last], joined, place[last], since_ns, at_ns[last])
    del row, request, live, pending, by_service, external, place, at_ns
    release_unused()
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
    at_ns: Ints


def _changes(batch: pa.RecordBatch, places: PlaceCodes) -> _Changes:
    state, actor = (Encoded(batch.column(name)) for name in ("state", "actor"))
    start, end = (numbers(batch.column(name)) for name in ("start_s", "end_s"))
    return _Changes(
        batch.column("row"),
        numbers(batch.column("request"), NONE).copy(),
        state.is_word(RowState.LIVE),
        state.is_word(RowState.PENDING),
        actor.is_word(Actor.SERVICE),
        actor.is_word(Actor.EXTERNAL),
        places.codes(places.resources(batch.column("person")), start, end),
        numbers(batch.column("at_ns")),
    )
