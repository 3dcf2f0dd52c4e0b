"""Attempts merged to logical requests, vectorised: what charts and counts are made of (CONTRACTS.md section 1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slotproof.record.record import Record
from slotproof.record.schemas import Actor, Outcome

Ints = NDArray[np.int64]
Words = NDArray[np.object_]
Flags = NDArray[np.bool_]
_LAST = np.int64(2**61)


@dataclass(frozen=True)
class Requests:
    """Columns of equal length, one element a request of a caller; times in monotonic nanoseconds.

    `outcome` is the strongest of the attempts, `answered_ns` the first reply of any, or when the caller gave up.
    """

    request: Ints
    call: Ints
    kind: Words
    outcome: Words
    error: Words
    intended_ns: Ints
    invoke_ns: Ints
    answered_ns: Ints

    def of_kind(self, kind: str) -> Requests:
        return self.where(self.kind == kind)

    def where(self, mask: Flags) -> Requests:
        return Requests(
            self.request[mask],
            self.call[mask],
            self.kind[mask],
            self.outcome[mask],
            self.error[mask],
            self.intended_ns[mask],
            self.invoke_ns[mask],
            self.answered_ns[mask],
        )

    def __len__(self) -> int:
        return len(self.request)


def requests_of(record: Record) -> Requests:
    """All requests of the record, those of external actors left out, in order of request number."""
    frame = record.sent_frame
    frame = frame[(frame["actor"] != Actor.EXTERNAL).to_numpy()]
    request = _ints(frame["request"])
    invoke, complete, intended = (_ints(frame[name]) for name in ("invoke_ns", "complete_ns", "intended_ns"))
    strength = frame["outcome"].map({outcome.value: outcome.strength for outcome in Outcome}).to_numpy(np.int64)
    silent = (frame["outcome"] == Outcome.UNKNOWN).to_numpy(bool)
    answered = complete.copy()
    answered[silent] += _LAST  # replies come before silence, whenever they came
    order = np.lexsort((complete, -strength, request))
    firsts = np.flatnonzero(np.diff(request[order], prepend=np.int64(-1) if len(order) else 0))
    strongest = order[firsts]
    return Requests(
        request=request[strongest],
        call=_ints(frame["call"])[strongest],
        kind=frame["kind"].to_numpy(object)[strongest],
        outcome=frame["outcome"].to_numpy(object)[strongest],
        error=frame["error"].to_numpy(object)[strongest],
        intended_ns=_least(intended[order], firsts),
        invoke_ns=_least(invoke[order], firsts),
        answered_ns=_least(answered[order], firsts) % _LAST,
    )


def _ints(column: pd.Series) -> Ints:
    return column.to_numpy(dtype=np.int64)


def _least(values: Ints, firsts: NDArray[np.intp]) -> Ints:
    return np.minimum.reduceat(values, firsts) if len(firsts) else values[:0]
