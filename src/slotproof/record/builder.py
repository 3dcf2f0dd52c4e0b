"""Builds a `Record` in memory, for tests, the corpus and benchmarks: short times, sensible defaults, nothing hidden.

Times of ops, rows, faults and phases are milliseconds from the load's start. Booked ranges are given as "10:15" or as
minutes, both from midnight UTC of Monday, 1 March 2027.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

import pyarrow as pa

from slotproof.record.clock import ClockPair
from slotproof.record.events import Phase, PhaseEvent
from slotproof.record.journal import JournalEntry, Stage
from slotproof.record.record import Record
from slotproof.record.schemas import LEDGER, OPS, SAMPLES, Actor, Kind, Outcome, RowState

LOAD_STARTED_NS = 1_000_000_000_000
MIDNIGHT_S = 1_803_859_200
"""2027-03-01T00:00:00Z, a Monday."""
_CLOCK = ClockPair(monotonic_ns=LOAD_STARTED_NS, utc_ns=1_800_000_000_000_000_000)
_SETTLING_MS = 1_000
_DEFAULT_MIN = 45

Minute = int | str
Span = tuple[float, float]


def at_ns(ms: float) -> int:
    """Monotonic nanoseconds of a builder's milliseconds."""
    return LOAD_STARTED_NS + round(ms * 1e6)


def range_s(minute: Minute) -> int:
    """UTC seconds of "10:15", or of minutes after midnight."""
    if isinstance(minute, str):
        hours, _, minutes = minute.partition(":")
        minute = int(hours) * 60 + int(minutes)
    return MIDNIGHT_S + minute * 60


class RecordBuilder:
    """Each method adds something and returns the builder. Requests count from 1 unless named.

    Unless told otherwise both ledgers were read, every op file is complete, and the system came to rest one second
    after the last event.
    """

    def __init__(
        self,
        *,
        time_scale: float = 1.0,
        grace_s: float = 1.0,
        staleness_s: float = 0.0,
        person_names: Mapping[str, str] | None = None,
        time_zone: str = "UTC",
    ) -> None:
        self._time_scale = time_scale
        self._grace_s = grace_s
        self._staleness_s = staleness_s
        self._person_names = dict(person_names or {})
        self._time_zone = time_zone
        self._ops: list[dict[str, Any]] = []
        self._ledgers: dict[str, list[dict[str, Any]] | None] = {"database": [], "calendar": []}
        self._samples: list[dict[str, Any]] = []
        self._phases: list[PhaseEvent] = []
        self._journal: list[JournalEntry] = []
        self._complete = True
        self._first_op: dict[int, dict[str, Any]] = {}
        self._attempts: Counter[int] = Counter()
        self._last_request = 0
        self._last_ms = 0.0

    @property
    def last_request(self) -> int:
        """Number of the request that was added last."""
        return self._last_request

    def book(
        self,
        *,
        start: Minute,
        at: Span,
        person: str = "1",
        end: Minute | None = None,
        outcome: str = Outcome.OK,
        **fields: Any,
    ) -> Self:
        """A caller asks for a range. `fields`: any column of OPS; `call` defaults to the request's number."""
        return self.op(Kind.BOOK, at=at, outcome=outcome, person=person, **_range(start, end), **fields)

    def cancel(self, booking: int, *, at: Span, outcome: str = Outcome.OK, **fields: Any) -> Self:
        """A caller cancels the booking of request `booking`."""
        return self.op(Kind.CANCEL, at=at, outcome=outcome, booking=booking, **{**self._same(booking), **fields})

    def move(
        self,
        booking: int,
        *,
        to: Minute,
        at: Span,
        to_end: Minute | None = None,
        outcome: str = Outcome.OK,
        **fields: Any,
    ) -> Self:
        """A caller moves the booking of request `booking` to another range of the same person."""
        target = _range(to, to_end)
        where = {"to_start_s": target["start_s"], "to_end_s": target["end_s"], **self._same(booking)}
        return self.op(Kind.MOVE, at=at, outcome=outcome, booking=booking, **{**where, **fields})

    def op(self, kind: str, *, at: Span, outcome: str = Outcome.OK, request: int | None = None, **fields: Any) -> Self:
        """Any op. A request that was named before gets one more attempt; `intended` is milliseconds like `at`."""
        number = self._last_request + 1 if request is None else request
        self._last_request = max(self._last_request, number)
        invoke_ms, complete_ms = at
        intended_ms = fields.pop("intended", invoke_ms)
        self._saw(complete_ms)
        self._attempts[number] += 1
        row = {
            "op": len(self._ops) + 1,
            "call": number,
            "request": number,
            "attempt": self._attempts[number],
            "process": 0,
            "actor": Actor.CALLER.value,
            "kind": str(kind),
            "outcome": str(outcome),
            "intended_ns": at_ns(intended_ms),
            "invoke_ns": at_ns(invoke_ms),
            "complete_ns": at_ns(complete_ms),
            **fields,
        }
        self._ops.append(row)
        self._first_op.setdefault(number, row)
        return self

    def database_row(self, row: str, *, at: float, start: Minute, end: Minute | None = None, **fields: Any) -> Self:
        """One change of a row of the service's database. `fields`: any column of LEDGER, state live by default."""
        return self._ledger_row("database", row, at, {**_range(start, end), **fields})

    def calendar_row(self, row: str, *, at: float, start: Minute, end: Minute | None = None, **fields: Any) -> Self:
        """One change of a booking in the calendar; `row` is its uid."""
        return self._ledger_row("calendar", row, at, {"uid": row, **_range(start, end), **fields})

    def stands(self, request: int, *, at: float, state: str = RowState.LIVE, **fields: Any) -> Self:
        """The request's booking in both sources, in the range that it asked for, as rows "a<request>", "u<request>"."""
        asked = self._first_op[request]
        common = {"start_s": asked["start_s"], "end_s": asked["end_s"], "person": asked["person"], "request": request}
        common |= {"state": str(state), **fields}
        self._ledger_row("database", f"a{request}", at, {"uid": f"u{request}", **common})
        return self._ledger_row("calendar", f"u{request}", at, {"uid": f"u{request}", **common})

    def fault(self, fault_id: str, *, at: Span, fault: str = "calcom_stall", bitten: bool = True) -> Self:
        """A fault with its whole journal: injected, seen (or not), healed, verified healed."""
        injected_ms, healed_ms = at
        seen = Stage.BITTEN if bitten else Stage.NOT_BITTEN
        for stage, ms in (
            (Stage.PLANNED, 0.0),
            (Stage.INJECTED, injected_ms),
            (seen, (injected_ms + healed_ms) / 2),
            (Stage.HEALED, healed_ms),
            (Stage.VERIFIED_HEALED, healed_ms),
        ):
            self.journal(fault_id, stage, at=ms, fault=fault)
        return self

    def journal(self, fault_id: str, stage: Stage, *, at: float, fault: str = "calcom_stall", **details: Any) -> Self:
        """One line of the fault journal."""
        self._saw(at)
        utc_ns = _CLOCK.utc_ns + at_ns(at) - LOAD_STARTED_NS
        self._journal.append(JournalEntry(fault_id, fault, stage, at_ns(at), utc_ns, details=details))
        return self

    def phase(self, phase: Phase, *, at: float, **details: Any) -> Self:
        """A phase of the run, in place of the one that `build` would add."""
        self._phases.append(PhaseEvent(phase, at_ns(at), details))
        return self

    def sample(self, source: str, metric: str, *, at: float, value: float) -> Self:
        self._samples.append({"t_ns": at_ns(at), "source": source, "metric": metric, "value": value})
        return self

    def without_ledger(self, source: str) -> Self:
        """The ledger of "database" or "calendar" was not read."""
        self._ledgers[source] = None
        return self

    def cut_short(self) -> Self:
        """An op file lacks its end marker."""
        self._complete = False
        return self

    def build(self) -> Record:
        return Record(
            ops=pa.Table.from_batches([_batch(self._ops, OPS)]),
            ops_complete=self._complete,
            database=self._ledger("database"),
            calendar=self._ledger("calendar"),
            samples=pa.Table.from_batches([_batch(self._samples, SAMPLES)]),
            phases=self._all_phases(),
            journal=tuple(self._journal),
            clock=_CLOCK,
            time_scale=self._time_scale,
            grace_s=self._grace_s,
            staleness_s=self._staleness_s,
            person_names=self._person_names,
            time_zone=self._time_zone,
        )

    def _same(self, booking: int) -> dict[str, Any]:
        """What a cancel or move shares with the booking that it concerns."""
        asked = self._first_op.get(booking, {})
        return {key: asked[key] for key in ("call", "person", "start_s", "end_s", "call_ref") if key in asked}

    def _ledger_row(self, source: str, row: str, at: float, fields: Mapping[str, Any]) -> Self:
        rows = self._ledgers[source]
        if rows is None:
            raise ValueError(f"the ledger of {source} was said not to have been read")
        self._saw(at)
        common = {"row": row, "person": "1", "state": RowState.LIVE.value, "actor": Actor.CALLER.value}
        rows.append({**common, "at_ns": at_ns(at), **{key: _plain(value) for key, value in fields.items()}})
        return self

    def _ledger(self, source: str) -> pa.Table | None:
        rows = self._ledgers[source]
        return None if rows is None else pa.Table.from_pylist(rows, schema=LEDGER)

    def _all_phases(self) -> tuple[PhaseEvent, ...]:
        told = {event.phase for event in self._phases}
        usual = (
            PhaseEvent(Phase.LOAD_STARTED, at_ns(0)),
            PhaseEvent(Phase.LOAD_ENDED, at_ns(self._last_ms)),
            PhaseEvent(
                Phase.QUIESCENT, at_ns(self._last_ms + _SETTLING_MS), {"quiet": True, "why": "", "waited_s": 1.0}
            ),
        )
        added = [event for event in usual if event.phase not in told]
        return tuple(sorted([*self._phases, *added], key=lambda event: event.t_ns))

    def _saw(self, ms: float) -> None:
        self._last_ms = max(self._last_ms, ms)


def _range(start: Minute, end: Minute | None) -> dict[str, int]:
    start_s = range_s(start)
    return {"start_s": start_s, "end_s": start_s + _DEFAULT_MIN * 60 if end is None else range_s(end)}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, (Actor, RowState)) else value


def _batch(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    columns = []
    for field in schema:
        values = [row.get(field.name) for row in rows]
        if pa.types.is_dictionary(field.type):
            columns.append(pa.array(values, pa.string()).dictionary_encode().cast(field.type))
        else:
            columns.append(pa.array(values, field.type))
    return pa.record_batch(columns, schema=schema)
