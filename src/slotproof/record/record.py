"""Everything that a run wrote down, read back: what checks, objectives and report work on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from slotproof.record.arrow_files import read_stream
from slotproof.record.clock import ClockPair
from slotproof.record.events import Phase, PhaseEvent, read_phases
from slotproof.record.journal import JournalEntry, Stage, read_journal
from slotproof.record.schemas import LEDGER, OPS, SAMPLES
from slotproof.run_folder import RunFolder


@dataclass(frozen=True)
class FaultSpan:
    """When one fault was on, as the journal says; times None when that never happened."""

    fault_id: str
    fault: str
    sentence: str
    injected_ns: int | None
    healed_ns: int | None
    verified_healed_ns: int | None
    bitten: bool
    effect: Mapping[str, Any]


@dataclass(frozen=True)
class Record:
    """One run. `ops`, ledgers and samples are Arrow tables of `schemas`; a ledger is None when it was not read."""

    ops: pa.Table
    ops_complete: bool
    database: pa.Table | None
    calendar: pa.Table | None
    samples: pa.Table
    phases: Sequence[PhaseEvent]
    journal: Sequence[JournalEntry]
    clock: ClockPair
    time_scale: float
    grace_s: float
    staleness_s: float
    person_names: Mapping[str, str] = field(default_factory=dict)
    time_zone: str = "UTC"
    folder: RunFolder | None = None

    @cached_property
    def ops_frame(self) -> pd.DataFrame:
        """The ops as pandas columns, in order of op number; words are plain strings or None."""
        frame: pd.DataFrame = self.ops.to_pandas(strings_to_categorical=False, types_mapper=_nullable_integers)
        for column in ("actor", "kind", "outcome", "error", "tenant", "person"):
            frame[column] = frame[column].astype(object).where(frame[column].notna(), None)
        return frame.sort_values("op", ignore_index=True)

    @cached_property
    def sent_frame(self) -> pd.DataFrame:
        """The ops that are each a request on the wire: of a service with several parts only the first."""
        frame = self.ops_frame
        return frame[frame["part"].isna() | (frame["part"] == 1)].reset_index(drop=True)

    @cached_property
    def positions_by_request(self) -> Mapping[int, NDArray[np.intp]]:
        """Where in `ops_frame` the attempts of each request are."""
        return _positions(self.ops_frame["request"])

    @cached_property
    def positions_by_booking(self) -> Mapping[int, NDArray[np.intp]]:
        """Where in `ops_frame` the cancels and moves of each booking request are."""
        return _positions(self.ops_frame["booking"])

    @cached_property
    def samples_frame(self) -> pd.DataFrame:
        frame: pd.DataFrame = self.samples.to_pandas()
        return frame.astype({"source": str, "metric": str})

    def phase_ns(self, phase: Phase) -> int | None:
        """When the phase began first, or None."""
        return next((event.t_ns for event in self.phases if event.phase is phase), None)

    @property
    def load_started_ns(self) -> int:
        """Zero of the run's time axis: the load's start, or the first op's intended time when that is not known."""
        started = self.phase_ns(Phase.LOAD_STARTED)
        if started is not None:
            return started
        return int(self.ops_frame["intended_ns"].min()) if self.ops.num_rows else self.clock.monotonic_ns

    @property
    def grace_ns(self) -> int:
        """G in wall nanoseconds: how long a compensation may take."""
        return int(self.grace_s / self.time_scale * 1e9)

    def life_s(self, t_ns: int) -> float:
        """Life-size seconds from the load's start."""
        return (t_ns - self.load_started_ns) / 1e9 * self.time_scale

    @cached_property
    def fault_spans(self) -> tuple[FaultSpan, ...]:
        """One per declared fault, in the order of planning."""
        spans: dict[str, list[JournalEntry]] = {}
        for entry in self.journal:
            spans.setdefault(entry.fault_id, []).append(entry)
        return tuple(_span(entries) for entries in spans.values())

    def trace(self) -> Iterator[Mapping[str, Any]]:
        """Every trace line, with `source` added; unreadable lines are left out, since no verdict needs them."""
        if self.folder is None:
            return
        for path in sorted(self.folder.trace.glob("*.jsonl")):
            with path.open(encoding="utf-8") as lines:
                for line in lines:
                    try:
                        yield {"source": path.stem, **json.loads(line)}
                    except ValueError:
                        continue


def _positions(column: pd.Series[Any]) -> dict[int, NDArray[np.intp]]:
    at = np.flatnonzero(column.notna().to_numpy(bool))
    numbers = column.to_numpy(np.int64, na_value=-1)[at]
    order = np.argsort(numbers, kind="stable")
    distinct, begins = np.unique(numbers[order], return_index=True)
    return dict(zip(distinct.tolist(), np.split(at[order], begins[1:]), strict=True)) if at.size else {}


def _nullable_integers(kind: pa.DataType) -> Any:
    return pd.Int64Dtype() if pa.types.is_integer(kind) else None


def _span(entries: Sequence[JournalEntry]) -> FaultSpan:
    def at(stage: Stage) -> int | None:
        return next((entry.t_ns for entry in entries if entry.stage is stage), None)

    bitten = next((entry for entry in entries if entry.stage is Stage.BITTEN), None)
    seen = bitten or next((entry for entry in entries if entry.stage is Stage.NOT_BITTEN), None)
    return FaultSpan(
        fault_id=entries[0].fault_id,
        fault=entries[0].fault,
        sentence=entries[0].sentence,
        injected_ns=at(Stage.INJECTED),
        healed_ns=at(Stage.HEALED),
        verified_healed_ns=at(Stage.VERIFIED_HEALED),
        bitten=bitten is not None,
        effect=dict(seen.details) if seen else {},
    )


def load_record(
    folder: RunFolder,
    *,
    clock: ClockPair,
    time_scale: float,
    grace_s: float,
    staleness_s: float,
    person_names: Mapping[str, str],
    time_zone: str,
) -> Record:
    """Read a run folder, also one that a killed harness left.

    Raises:
        RecordError: a file is there but is not what its name says.
    """
    op_files = [read_stream(path, OPS, "ops") for path in sorted(folder.record.glob("ops-*.arrow"))]
    samples = (
        read_stream(folder.samples, SAMPLES, "samples").table if folder.samples.exists() else SAMPLES.empty_table()
    )
    return Record(
        ops=pa.concat_tables([content.table for content in op_files]) if op_files else OPS.empty_table(),
        ops_complete=bool(op_files) and all(content.complete for content in op_files),
        database=_ledger(folder, "database"),
        calendar=_ledger(folder, "calendar"),
        samples=samples,
        phases=read_phases(folder.phases),
        journal=read_journal(folder.faults),
        clock=clock,
        time_scale=time_scale,
        grace_s=grace_s,
        staleness_s=staleness_s,
        person_names=person_names,
        time_zone=time_zone,
        folder=folder,
    )


def _ledger(folder: RunFolder, source: str) -> pa.Table | None:
    """A ledger counts only when it was written to its end: half a ledger would make lost bookings out of a kill."""
    path = folder.ledger / f"{source}.arrow"
    if not path.exists():
        return None
    content = read_stream(path, LEDGER, "ledger")
    return content.table if content.complete else None
