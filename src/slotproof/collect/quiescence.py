"""Waits until nothing can change any more, then the ledgers may be read (CONTRACTS.md section 3, "Quiescent").

Quiet: no request running at a stub (those of vanished clients included), outbox empty, nothing pending, and two equal
reads of both sources one reconcile period apart. Every fault must have been healed before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slotproof.collect.ledgers import LedgerReader, LedgerRow, pending_rows
from slotproof.collect.sources import SourceUnreachableError, calcom_state, service_metrics
from slotproof.system import System

_POLL_S = 0.1


@dataclass(frozen=True)
class Quiet:
    """The end of the wait. `stable`: two equal reads one period apart. `ledgers`: the last read, by source."""

    quiet: bool
    stable: bool
    why: str
    waited_s: float
    ledgers: dict[str, list[LedgerRow]]


@dataclass(frozen=True)
class _Reading:
    at_s: float
    ledgers: dict[str, list[LedgerRow]]

    def same_as(self, other: _Reading) -> bool:
        return self.ledgers == other.ledgers


def await_quiet(
    system: System,
    readers: Sequence[LedgerReader],
    *,
    period_s: float,
    limit_s: float,
    stopped: Callable[[], bool] = lambda: False,
) -> Quiet:
    """Poll until quiet, or until `limit_s` wall seconds have passed, or until `stopped` says so.

    Raises:
        RecordError: a source cannot be read at all at the end of the limit.
    """
    began = time.monotonic()
    first: _Reading | None = None
    stable = False
    while True:
        busy = _busy_parts(system)
        reading = _Reading(time.monotonic(), {reader.source: reader.read() for reader in readers})
        if first is None or not reading.same_as(first):
            first, stable = reading, False
        elif reading.at_s - first.at_s >= period_s:
            stable = True
        pending = sum(pending_rows(rows) for rows in reading.ledgers.values())
        why = "; ".join([*busy, *([f"{pending} rows are pending"] if pending else [])])
        waited_s = time.monotonic() - began
        if stable and not why:
            return Quiet(True, True, "", waited_s, reading.ledgers)
        if waited_s >= limit_s or stopped():
            # Rows that stay as they are while nothing runs are stuck, and may be judged; rows in motion may not.
            return Quiet(False, stable and not busy, why or "rows still changed", waited_s, reading.ledgers)
        time.sleep(_POLL_S)


def _busy_parts(system: System) -> list[str]:
    """What is still at work. A part that does not answer counts as busy."""
    try:
        at_calendar = calcom_state(system).get("requests_in_progress", 0)
        figures = service_metrics(system)
    except SourceUnreachableError as error:
        return [f"a part does not answer ({error})"]
    busy = []
    if at_calendar:
        busy.append(f"{at_calendar:g} requests are running at the calendar")
    if figures.get("booking_outbox_length"):
        busy.append(f"the outbox holds {figures['booking_outbox_length']:g}")
    if figures.get("booking_requests_in_progress"):
        busy.append(f"the service answers {figures['booking_requests_in_progress']:g} requests")
    return busy
