"""The integrity figures: what callers were told, what became of it, and what was found (MEASURING.md section 4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import pyarrow as pa

from slotproof.checks.base import FindingKind
from slotproof.judgement import Judgement
from slotproof.record.record import Record
from slotproof.record.schemas import Kind, Outcome, RowState
from slotproof.report.requests import Ints, Requests, requests_of


class Resolution(StrEnum):
    """What an undecided reply turned out to be, as the ledgers say at rest."""

    HAPPENED = "happened"  # live in database and calendar
    NEVER = "never_happened"  # live in neither, no row at all
    UNDONE = "undone"  # a row was there and is cancelled
    DIVERGED = "diverged"  # live in one of the two
    NOT_KNOWN = "not_known"  # no ledger


@dataclass(frozen=True)
class Tally:
    """Counts of booking requests; `contested` overlapped another attempt on the same person's time."""

    attempts: int
    outcomes: Mapping[Outcome, int]
    resolved: Mapping[Outcome, Mapping[Resolution, int]]
    found: Mapping[FindingKind, int]
    contested: int
    repeats: int = 0
    by_kind: Mapping[str, int] = field(default_factory=dict)

    def told(self, outcome: Outcome) -> int:
        return self.outcomes.get(outcome, 0)

    def findings(self, kind: FindingKind) -> int:
        return self.found.get(kind, 0)

    @property
    def double_rate_bound(self) -> float | None:
        """95 % upper bound of the rate of double bookings per contested attempt when none was seen: 3/n."""
        if self.findings(FindingKind.DOUBLE_BOOKING) or self.contested == 0:
            return None
        return min(1.0, 3 / self.contested)


def tally_of(record: Record, judgement: Judgement, requests: Requests | None = None) -> Tally:
    every = requests if requests is not None else requests_of(record)
    bookings = every.of_kind(Kind.BOOK)
    words, counts = np.unique(bookings.outcome.astype(str), return_counts=True)
    outcomes = {Outcome(word): int(n) for word, n in zip(words, counts, strict=True)}
    kinds, kind_counts = np.unique(every.kind.astype(str), return_counts=True)
    found: dict[FindingKind, int] = {}
    for finding in judgement.findings:
        found[finding.kind] = found.get(finding.kind, 0) + 1
    undecided = (Outcome.UNKNOWN, Outcome.PENDING)
    return Tally(
        attempts=len(bookings),
        outcomes=outcomes,
        resolved={outcome: _resolved(record, bookings, outcome) for outcome in undecided if outcome in outcomes},
        found=found,
        contested=_contested(record, bookings),
        repeats=int((record.sent_frame["kind"] == Kind.BOOK).sum()) - len(bookings),
        by_kind={str(kind): int(n) for kind, n in zip(kinds, kind_counts, strict=True)},
    )


def _resolved(record: Record, bookings: Requests, outcome: Outcome) -> dict[Resolution, int]:
    asked = bookings.request[bookings.outcome == outcome.value]
    if record.database is None or record.calendar is None:
        return {Resolution.NOT_KNOWN: len(asked)}
    database, calendar = _last_states(record.database), _last_states(record.calendar)
    counts: dict[Resolution, int] = {}
    for request in asked.tolist():
        word = _resolution(database.get(request, set()), calendar.get(request, set()))
        counts[word] = counts.get(word, 0) + 1
    return dict(sorted(counts.items()))


def _resolution(database: set[str], calendar: set[str]) -> Resolution:
    live = (RowState.LIVE in database) + (RowState.LIVE in calendar)
    if live == 2:
        return Resolution.HAPPENED
    if live == 1:
        return Resolution.DIVERGED
    return Resolution.UNDONE if RowState.LIVE not in database | calendar and calendar else Resolution.NEVER


def _last_states(ledger: pa.Table) -> dict[int, set[str]]:
    """Last state of each row, gathered by request."""
    last: dict[str, tuple[int | None, str]] = {}
    columns = (ledger.column(name).to_pylist() for name in ("row", "request", "state"))
    for row, request, state in zip(*columns, strict=True):
        known = last.get(row, (None, ""))[0]
        last[row] = (request if request is not None else known, state)
    states: dict[int, set[str]] = {}
    for request, state in last.values():
        if request is not None:
            states.setdefault(request, set()).add(state)
    return states


def _contested(record: Record, bookings: Requests) -> int:
    """Booking requests in flight while another call's request for overlapping time of the same person was."""
    if not len(bookings):
        return 0
    frame = record.sent_frame
    first = frame[(frame["kind"] == Kind.BOOK).to_numpy()].drop_duplicates("request").set_index("request")
    first = first.reindex(bookings.request)
    known = (first["person"].notna() & first["start_s"].notna() & first["end_s"].notna()).to_numpy()
    people, codes = np.unique(first["person"].to_numpy(object)[known].astype(str), return_inverse=True)
    start, end = (first[name].to_numpy(dtype=np.int64, na_value=0)[known] for name in ("start_s", "end_s"))
    return sum(
        _overlapping(
            *(
                column[codes == person]
                for column in (start, end, bookings.invoke_ns[known], bookings.answered_ns[known], bookings.call[known])
            )
        )
        for person in range(len(people))
    )


def _overlapping(start: Ints, end: Ints, begin: Ints, done: Ints, call: Ints) -> int:
    """How many of one person's requests overlap another call's, both on the clock and in the calendar."""
    order = np.argsort(begin, kind="stable")
    start, end, begin, done, call = (column[order] for column in (start, end, begin, done, call))
    touched = np.zeros(len(begin), dtype=bool)
    upto = np.searchsorted(begin, done, side="right")
    for index in range(len(begin)):
        later = slice(index + 1, int(upto[index]))
        rivals = (start[later] < end[index]) & (start[index] < end[later]) & (call[later] != call[index])
        if rivals.any():
            touched[index] = True
            touched[later] |= rivals
    return int(touched.sum())
