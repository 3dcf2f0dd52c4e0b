"""Writes one worker's ops as they complete, and counts them for the line that it prints once a second."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gevent.event import Event

from slotproof.record.arrow_files import ArrowWriter
from slotproof.record.schemas import OPS, Kind, Outcome

FLUSH_PERIOD_S = 1.0
FLUSH_ROWS = 1000


class OpSink(Protocol):
    """Takes each op, one mapping of OPS columns, when it is complete."""

    def add(self, row: Mapping[str, Any]) -> None: ...


class NoRecord:
    """Under plain Locust nothing is recorded."""

    def add(self, row: Mapping[str, Any]) -> None:
        """Forget the op."""


@dataclass
class Tally:
    """Counts since the start; lags (wake-up after the intended time) since they were last taken. `ops` counts rows, all
    else requests: further parts of a service belong to the request of its first."""

    ops: int = 0
    unknown: int = 0
    none: int = 0
    confirmed: int = 0
    taken: int = 0
    _lags_ms: list[float] = field(default_factory=list)

    def count(self, row: Mapping[str, Any]) -> None:
        outcome, is_book = row["outcome"], row["kind"] == Kind.BOOK
        self.ops += 1
        if (row.get("part") or 1) > 1:
            return
        self.unknown += outcome == Outcome.UNKNOWN
        self.none += outcome == Outcome.NONE
        self.confirmed += is_book and outcome == Outcome.OK
        self.taken += is_book and outcome == Outcome.TAKEN
        self._lags_ms.append((row["invoke_ns"] - row["intended_ns"]) / 1e6)

    def take_lags_ms(self) -> tuple[float, float]:
        """p99 (nearest rank) and maximum of the generator's lag since the last call; zeros when nothing was sent."""
        lags, self._lags_ms = sorted(self._lags_ms), []
        if not lags:
            return 0.0, 0.0
        return lags[math.ceil(0.99 * len(lags)) - 1], lags[-1]


class Recorder:
    """Buffers rows for at most about a second, so that memory stays bounded and a kill loses little."""

    def __init__(self, path: Path, metadata: Mapping[str, str]) -> None:
        self.tally = Tally()
        self._writer = ArrowWriter(path, OPS, "ops", metadata)
        self._writer.write([])  # pyarrow's first batch costs half a second of imports: pay before the load starts
        self._rows: list[Mapping[str, Any]] = []
        self._full = Event()

    def add(self, row: Mapping[str, Any]) -> None:
        self._rows.append(row)
        self.tally.count(row)
        if len(self._rows) >= FLUSH_ROWS:
            self._full.set()

    def flush(self) -> None:
        """Write what is buffered. Raises OSError when the disk does not take it."""
        self._full.clear()
        if self._rows:
            self._writer.write(self._rows)
            self._rows = []

    def run(self) -> None:
        """Flush once a second, or earlier when much has come; a greenlet of its own, for as long as the load lasts."""
        while True:
            self._full.wait(FLUSH_PERIOD_S)
            self.flush()

    def close(self) -> None:
        """Flush and write the end marker: from here on the file counts as complete."""
        self.flush()
        self._writer.close()
