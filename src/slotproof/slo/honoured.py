"""Which bookings stand in both ledgers: the share of pendings honoured is an objective (CONTRACTS.md section 3.6)."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from slotproof.record.record import Record
from slotproof.record.schemas import Actor, Kind, Outcome, RowState


def honoured_by_request(record: Record) -> pd.Series[bool] | None:
    """For each book request that was ever answered `pending`: whether its booking is live in both sources at the end.

    Left out are those whose caller cancelled or moved the booking later. A row is the request's when it stores the
    request, or else its call_ref, person and range. None when a ledger was not read.
    """
    if record.database is None or record.calendar is None:
        return None
    ops = record.sent_frame
    pending = ops[(ops["kind"] == Kind.BOOK) & (ops["outcome"] == Outcome.PENDING) & (ops["actor"] != Actor.EXTERNAL)]
    changed = set(ops.loc[ops["kind"].isin([Kind.CANCEL, Kind.MOVE]), "booking"].dropna())
    pending = pending.drop_duplicates("request")
    pending = pending[~pending["request"].isin(changed)].set_index("request")
    columns = pending[["call_ref", "person", "start_s", "end_s"]]
    keys = {request: key for request, *key in columns.itertuples(name=None)}
    sources = [_Live(record.database), _Live(record.calendar)]
    return pd.Series(
        {request: all(live.holds(int(request), tuple(key)) for live in sources) for request, key in keys.items()},
        dtype=bool,
    )


class _Live:
    """The live rows of one ledger, by request and by (call_ref, person, start_s, end_s)."""

    def __init__(self, ledger: pa.Table) -> None:
        last = {row["row"]: row for row in ledger.to_pylist()}
        live = [row for row in last.values() if row["state"] == RowState.LIVE]
        self._requests = {row["request"] for row in live if row["request"] is not None}
        self._calls = {
            (row["call_ref"], row["person"], row["start_s"], row["end_s"])
            for row in live
            if row["request"] is None and row["call_ref"] is not None
        }

    def holds(self, request: int, key: tuple[object, ...]) -> bool:
        return request in self._requests or key in self._calls
