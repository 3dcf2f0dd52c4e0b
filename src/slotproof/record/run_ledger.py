"""What one source of a run folder finally says of each row (CONTRACTS.md section 2), as columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from slotproof.record.arrow_files import Batches
from slotproof.record.arrow_numbers import is_word, numbers
from slotproof.record.columns import NONE, Codes, Flags, Ints, LedgerColumns
from slotproof.record.run_codes import PlaceCodes, RequestCodes
from slotproof.record.schemas import LEDGER, Actor, RowState

_LEDGER = ("row", "request", "person", "start_s", "end_s", "state", "actor")


@dataclass
class Rest:
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

    def columns(self, requests: RequestCodes) -> LedgerColumns:
        decided = self.joined & ~self.pending
        return LedgerColumns(requests.codes(self.request[decided]), self.live[decided], self.place[decided])

    def unclear(self) -> Codes:
        return self.place[~self.joined | self.pending]


def read_ledger(path: Path, places: PlaceCodes) -> Rest | None:
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
        return Rest(empty, flags, flags, flags, flags, empty.astype(np.int32))
    row = numbers(pa.chunked_array([each.row for each in changes]).combine_chunks().dictionary_encode().indices)
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
    rest = Rest(asked, live[last], pending[last], by_service[last], joined, place[last])
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


def _changes(batch: pa.RecordBatch, places: PlaceCodes) -> _Changes:
    state = batch.column("state")
    start, end = (numbers(batch.column(name)) for name in ("start_s", "end_s"))
    return _Changes(
        batch.column("row"),
        numbers(batch.column("request"), NONE).copy(),
        is_word(state, RowState.LIVE),
        is_word(state, RowState.PENDING),
        is_word(batch.column("actor"), Actor.SERVICE),
        is_word(batch.column("actor"), Actor.EXTERNAL),
        places.codes(places.resources(batch.column("person")), start, end),
    )
