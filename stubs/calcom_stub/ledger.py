"""Every change of every booking, append-only (docs/interfaces.md, "Ledger").

One JSON line a change, flushed at once; an in-memory copy answers `GET /control/ledger?after=`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calcom_stub.calendar import Booking
from calcom_stub.wire_time import iso_ms


class LedgerError(Exception):
    """The ledger file cannot be begun."""


@dataclass(frozen=True)
class Change:
    """A booking as it is after the change. The two instants (monotonic ns) are set for inserts only."""

    booking: Booking
    reason: str | None = None
    checked_ns: int | None = None
    inserted_ns: int | None = None
    external: bool = False
    """Made directly in the calendar, whoever made the booking."""


class Ledger:
    """`clock_ns` is CLOCK_MONOTONIC nanoseconds. Raises LedgerError when the file already holds another run's lines."""

    def __init__(self, path: Path, clock_ns: Callable[[], int]) -> None:
        self._file = path.open("a", buffering=1, encoding="utf-8")
        if self._file.tell():
            self._file.close()
            raise LedgerError(f"{path} already holds a ledger; a stub starts with an empty calendar and a new file")
        self._clock_ns = clock_ns
        self._rows: list[dict[str, Any]] = []

    @property
    def last_seq(self) -> int:
        return len(self._rows)

    def rows_after(self, seq: int) -> Sequence[dict[str, Any]]:
        return self._rows[max(seq, 0) :]

    def append(self, *changes: Change) -> None:
        """Writes the changes of one transaction: in order, at one instant."""
        at_ns = self._clock_ns()
        for change in changes:
            row = _row(self.last_seq + 1, at_ns, change)
            self._rows.append(row)
            self._file.write(json.dumps(row) + "\n")

    def close(self) -> None:
        self._file.close()


def _row(seq: int, at_ns: int, change: Change) -> dict[str, Any]:
    booking, draft = change.booking, change.booking.draft
    return {
        "seq": seq,
        "at_ns": at_ns,
        "uid": booking.uid,
        "replaces": booking.rescheduled_from_uid,
        "host_id": booking.host.user_id,
        "event_type_id": draft.event_type.id,
        "start": iso_ms(booking.start),
        "end": iso_ms(booking.end),
        "status": booking.status.value,
        "metadata": dict(draft.metadata),
        "attendee": {"name": draft.attendee.name, "email": draft.attendee.email, "phone": draft.attendee.phone},
        "reason": change.reason,
        "checked_ns": change.checked_ns,
        "inserted_ns": change.inserted_ns,
        "external": draft.external or change.external,
    }
