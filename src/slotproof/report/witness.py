"""What a finding's drawing shows: the run cut around its witness, as lanes of bars and marks; no drawing here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from slotproof.checks.base import Finding
from slotproof.record.record import Record
from slotproof.record.schemas import Kind, Outcome, RowState
from slotproof.report.axis import Axis, Band
from slotproof.report.text import KIND_WORDS, caller, clock_range, joined, local_range
from slotproof.report.trace_facts import Hold, HoldEnd, op_of_trace_id, trace_facts
from slotproof.report.witness_cause import cause_of

_MARGIN = 0.07
_MOST_OTHER_HOLDS = 4
_OUTCOME_WORDS = {
    Outcome.OK: "confirmed",
    Outcome.TAKEN: "slot taken",
    Outcome.NOT_HELD: "not held",
    Outcome.NONE: "not served",
    Outcome.PENDING: "pending",
    Outcome.UNKNOWN: "no answer",
}
_VERBS = {
    Kind.BOOK: "books",
    Kind.CANCEL: "cancels",
    Kind.MOVE: "moves",
    Kind.AVAILABILITY: "asks for free times",
    Kind.WEBHOOK: "webhook",
    Kind.LOOKUP: "looks up",
}
_STATE_WORDS = {RowState.LIVE: "live", RowState.PENDING: "pending", RowState.CANCELLED: "cancelled"}


class Tone(StrEnum):
    """Colour of a bar or mark: one a caller, so that its lock and its rows are recognised."""

    FIRST = "first"
    SECOND = "second"
    THIRD = "third"
    FOURTH = "fourth"
    OTHER = "other"


class Shape(StrEnum):
    DIAMOND = "diamond"
    CROSS = "cross"
    RING = "ring"


@dataclass(frozen=True)
class Bar:
    """From start to end in life-size seconds. `ends` says how, beyond the bar; `soft` bars are paler (locks)."""

    start_s: float
    end_s: float
    label: str
    ends: str
    tone: Tone
    soft: bool = False
    open_end: bool = False


@dataclass(frozen=True)
class Mark:
    """A point in time. `since_s` draws a line from there: the work that led to it."""

    at_s: float
    label: str
    shape: Shape
    tone: Tone
    since_s: float | None = None
    since_label: str = ""


@dataclass(frozen=True)
class Lane:
    title: str
    note: str = ""
    bars: tuple[Bar, ...] = ()
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Moment:
    """An upright line through all lanes."""

    at_s: float
    text: str


@dataclass(frozen=True)
class Witness:
    """One finding, ready to be drawn. `cause` comes from the trace, or is None."""

    heading: str
    sentence: str
    cause: str | None
    at_s: float
    start_s: float
    end_s: float
    lanes: tuple[Lane, ...]
    moments: tuple[Moment, ...]
    bands: tuple[Band, ...]


def heading_of(finding: Finding, record: Record) -> str:
    """`Anna Weber, Tue 2 Mar 10:15–11:00 and 10:30–11:15: sold twice`."""
    ranges = _ranges(finding, record)
    where = _person_name(ranges[0][0], record) if ranges else finding.resource
    times = [local_range(*ranges[0][1:], record.time_zone)] if ranges else []
    times += [clock_range(start, end, record.time_zone) for _, start, end in ranges[1:3]]
    return f"{', '.join([where, joined(times)] if times else [where])}: {KIND_WORDS[finding.kind]}"


def callers_of(finding: Finding, record: Record) -> list[int]:
    """The calls of a finding's witness, in order of their first op."""
    ops = _witness_ops(finding, record)
    return list(dict.fromkeys(ops.sort_values(["invoke_ns", "op"])["call"].astype(int).tolist()))


def witness_of(finding: Finding, record: Record, axis: Axis) -> Witness:
    return _Builder(finding, record, axis).build()


class _Builder:
    def __init__(self, finding: Finding, record: Record, axis: Axis) -> None:
        self._finding = finding
        self._record = record
        self._axis = axis
        self._ops = _witness_ops(finding, record).sort_values(["invoke_ns", "op"])
        self._calls = list(dict.fromkeys(self._ops["call"].astype(int).tolist()))
        self._requests = set(finding.bookings) | set(self._ops["request"].astype(int).tolist())
        self._facts = trace_facts(record, self._ops["op"].astype(int).tolist())

    def build(self) -> Witness:
        callers = [self._caller_lane(call) for call in self._calls]
        locks, moments = self._lock_lanes()
        ledgers = [self._ledger_lane("calendar", "Cal.com calendar"), self._ledger_lane("database", "Database")]
        lanes = [*callers[:1], *locks, *callers[1:], *(lane for lane in ledgers if lane.marks)]
        at_s = self._life(self._finding.at_ns)
        told = Moment(at_s, KIND_WORDS[self._finding.kind])
        start_s, end_s = self._cut(callers + [lane for lane in ledgers if lane.marks], [told, *moments])
        return Witness(
            heading=heading_of(self._finding, self._record),
            sentence=self._finding.sentence,
            cause=cause_of(self._facts, self._call_of_trace, self._record),
            at_s=at_s,
            start_s=start_s,
            end_s=end_s,
            lanes=tuple(_within(lane, start_s, end_s) for lane in lanes),
            moments=(*moments, told),
            bands=tuple(band for band in self._axis.bands if band.start_s < end_s and band.end_s > start_s),
        )

    def _life(self, t_ns: int) -> float:
        return self._record.life_s(t_ns)

    def _tone(self, call: int | None) -> Tone:
        tones = (Tone.FIRST, Tone.SECOND, Tone.THIRD, Tone.FOURTH)
        if call is None or call not in self._calls:
            return Tone.OTHER
        index = self._calls.index(call)
        return tones[index] if index < len(tones) else Tone.OTHER

    def _call_of_trace(self, trace_id: str) -> int | None:
        """The call behind a trace id, if the record has it."""
        frame = self._record.ops_frame
        op = op_of_trace_id(trace_id)
        at = len(frame) if op is None else int(frame["op"].searchsorted(op))
        return int(frame["call"].iloc[at]) if at < len(frame) and int(frame["op"].iloc[at]) == op else None

    def _caller_lane(self, call: int) -> Lane:
        rows = self._ops[self._ops["call"] == call]
        bars = [self._op_bar({str(k): v for k, v in row.items()}, call) for row in rows.to_dict("records")]
        return Lane(title=caller(call).capitalize(), bars=tuple(bars))

    def _op_bar(self, op: dict[str, Any], call: int) -> Bar:
        label = _VERBS[Kind(op["kind"])]
        if not pd.isna(op["start_s"]):
            label += f" {clock_range(int(op['start_s']), int(op['end_s']), self._record.time_zone)}"
        if int(op["attempt"]) > 1:
            label += f" (attempt {int(op['attempt'])})"
        ends = _OUTCOME_WORDS[Outcome(op["outcome"])]
        if op["error"] and op["outcome"] == Outcome.UNKNOWN:
            ends += f": {op['error']}"
        return Bar(self._life(int(op["invoke_ns"])), self._life(int(op["complete_ns"])), label, ends, self._tone(call))

    def _lock_lanes(self) -> tuple[list[Lane], list[Moment]]:
        """A lane a lock, and the first moment at which a hold of the witness ended too early, if the trace has one."""
        lanes, moments = [], []
        for key in dict.fromkeys(hold.key for hold in self._facts.holds):
            holds = self._near([hold for hold in self._facts.holds if hold.key == key])
            lanes.append(Lane("Lock", key, bars=tuple(self._hold_bar(hold) for hold in holds)))
            moments += [m for m in (self._hold_moment(hold) for hold in holds) if m is not None]
        return lanes, sorted(moments, key=lambda moment: moment.at_s)[:1]

    def _near(self, holds: Sequence[Hold]) -> list[Hold]:
        """The witness's own holds, and the few of others that are nearest to the finding's moment."""
        own = [hold for hold in holds if self._call_of_trace(hold.trace_id) in self._calls]
        others = [hold for hold in holds if hold not in own]
        others.sort(key=lambda hold: abs(hold.start_ns - self._finding.at_ns))
        return sorted([*own, *others[:_MOST_OTHER_HOLDS]], key=lambda hold: hold.start_ns)

    def _hold_bar(self, hold: Hold) -> Bar:
        call = self._call_of_trace(hold.trace_id)
        renewed = f", renewed {hold.renewals}x" if hold.renewals else ""
        ends = {HoldEnd.OPEN: "end not in the trace"}.get(hold.end, hold.end.value)
        return Bar(
            self._life(hold.start_ns),
            self._life(hold.end_ns),
            f"held by {caller(call) if call is not None else 'another request'}{renewed}",
            ends,
            self._tone(call),
            soft=True,
            open_end=hold.end is HoldEnd.OPEN,
        )

    def _hold_moment(self, hold: Hold) -> Moment | None:
        call = self._call_of_trace(hold.trace_id)
        words = {HoldEnd.EXPIRED: "expires", HoldEnd.TAKEN_OVER: "is taken over", HoldEnd.LOST: "is lost"}
        if hold.end not in words or call not in self._calls:
            return None
        return Moment(self._life(hold.end_ns), f"lock of {caller(call)} {words[hold.end]}")

    def _ledger_lane(self, source: str, title: str) -> Lane:
        table = getattr(self._record, source)
        if table is None:
            return Lane(title)
        works = {work.uid: work for work in self._facts.works}
        marks = []
        for row in _ledger_rows(table, self._requests, self._named_rows(source)):
            work = works.get(row["row"]) if row["state"] == RowState.LIVE else None
            since = None if work is None or work.checked_ns is None else self._life(work.checked_ns)
            marks.append(
                Mark(
                    self._life(row["at_ns"]),
                    self._row_words(row),
                    Shape.CROSS if row["state"] == RowState.CANCELLED else
                    Shape.RING if row["state"] == RowState.PENDING else Shape.DIAMOND,
                    self._tone(self._call_of_request(row["request"])),
                    since_s=since,
                    since_label="checked: free" if since is not None else "",
                )
            )  # fmt: skip
        return Lane(title, marks=tuple(marks))

    def _row_words(self, row: dict[str, Any]) -> str:
        times = clock_range(row["start_s"], row["end_s"], self._record.time_zone)
        by = " by the service" if row["state"] == RowState.CANCELLED and row["actor"] == "service" else ""
        return f"{times} {_STATE_WORDS[RowState(row['state'])]}{by}"

    def _named_rows(self, source: str) -> set[str]:
        prefix = f"{source}:"
        return {name.removeprefix(prefix) for name in self._finding.rows if name.startswith(prefix)}

    def _call_of_request(self, request: int | None) -> int | None:
        rows = self._ops[(self._ops["request"] == request).to_numpy(bool)] if request is not None else self._ops[:0]
        return int(rows["call"].iloc[0]) if len(rows) else None

    def _cut(self, lanes: Iterable[Lane], moments: Iterable[Moment]) -> tuple[float, float]:
        """The stretch that holds everything of the witness, with a margin; locks of others do not widen it."""
        times = [moment.at_s for moment in moments]
        for lane in lanes:
            times += [at for bar in lane.bars for at in (bar.start_s, bar.end_s)]
            times += [at for mark in lane.marks for at in (mark.at_s, mark.since_s) if at is not None]
        start, end = min(times), max(times)
        margin = max((end - start) * _MARGIN, 0.05)
        return start - margin, end + margin


def _within(lane: Lane, start_s: float, end_s: float) -> Lane:
    """The lane's bars cut at the edges of the drawing; those outside are left out."""
    bars = tuple(
        Bar(
            max(bar.start_s, start_s),
            min(bar.end_s, end_s),
            bar.label,
            bar.ends if bar.end_s <= end_s else "",
            bar.tone,
            bar.soft,
            bar.open_end or bar.end_s > end_s,
        )
        for bar in lane.bars
        if bar.start_s < end_s and bar.end_s > start_s
    )
    return Lane(lane.title, lane.note, bars, lane.marks)


def _witness_ops(finding: Finding, record: Record) -> pd.DataFrame:
    """The witness's ops, and the other attempts of the booking requests that it concerns."""
    frame = record.ops_frame
    named = np.searchsorted(frame["op"].to_numpy(np.int64), np.array(finding.ops, dtype=np.int64))  # sorted by op
    none = np.empty(0, dtype=np.intp)
    related = [record.positions_by_request.get(booking, none) for booking in finding.bookings]
    related += [record.positions_by_booking.get(booking, none) for booking in finding.bookings]
    return frame.iloc[np.unique(np.concatenate([named, *related]))]


def _ranges(finding: Finding, record: Record) -> list[tuple[str, int, int]]:
    """(person, start, end) of the witness's bookings, each once; from its ops, else from its rows."""
    ops = _witness_ops(finding, record).dropna(subset=["person", "start_s", "end_s"]).sort_values("op")
    found = [(str(p), int(s), int(e)) for p, s, e in zip(ops["person"], ops["start_s"], ops["end_s"], strict=True)]
    if not found:
        for source in ("database", "calendar"):
            table = getattr(record, source)
            names = {name.partition(":")[2] for name in finding.rows if name.startswith(f"{source}:")}
            if table is not None and names:
                found += [(r["person"], r["start_s"], r["end_s"]) for r in _ledger_rows(table, set(), names)]
    return list(dict.fromkeys(found))


def _ledger_rows(table: pa.Table, requests: set[int], rows: set[str]) -> list[dict[str, Any]]:
    """History of the rows that belong to the requests or are named, in order of time."""
    by_request = pc.is_in(table.column("request"), value_set=pa.array(sorted(requests), pa.int64()))
    by_name = pc.is_in(table.column("row"), value_set=pa.array(sorted(rows), pa.string()))
    found: list[dict[str, Any]] = table.filter(pc.or_kleene(by_request, by_name)).to_pylist()
    return sorted(found, key=lambda row: (row["at_ns"], row["row"]))


def _person_name(person: str, record: Record) -> str:
    return record.person_names.get(person, person)
