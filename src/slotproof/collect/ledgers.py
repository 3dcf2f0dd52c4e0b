"""Reads the row histories of the service's database and of the calendar (CONTRACTS.md section 2).

Both readers return rows of `record.schemas.LEDGER` as dicts, in the order in which the changes happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import httpx
import psycopg
from psycopg.rows import dict_row

from slotproof.errors import RecordError
from slotproof.plan.world import World
from slotproof.record.arrow_files import ArrowWriter
from slotproof.record.clock import ClockPair
from slotproof.record.schemas import LEDGER, Actor, RowState
from slotproof.system import Address

LedgerRow = dict[str, Any]
_TIMEOUT_S = 10.0


class LedgerReader(Protocol):
    """Reads one source's whole history. Raises RecordError when the source does not answer."""

    source: str

    def read(self) -> list[LedgerRow]: ...


class DatabaseLedger:
    """The reference service's `appointment_history`, written by a trigger (docs/interfaces.md)."""

    source = "database"

    def __init__(self, database_url: str, clock: ClockPair) -> None:
        self._url = database_url
        self._clock = clock

    def read(self) -> list[LedgerRow]:
        try:
            with psycopg.connect(
                self._url, connect_timeout=int(_TIMEOUT_S), application_name="slotproof-ledger", row_factory=dict_row
            ) as connection:
                rows = connection.execute("select * from appointment_history order by seq").fetchall()
        except psycopg.Error as error:
            raise RecordError(f"the database's history cannot be read: {error}") from error
        return [self._row(row) for row in rows]

    def _row(self, row: Mapping[str, Any]) -> LedgerRow:
        return {
            "row": str(row["appointment_id"]),
            "uid": row["calcom_uid"],
            "replaces": row["replaces_uid"],
            "request": _request(row["request_ref"]),
            "call_ref": row["call_ref"],
            "phone": row["phone"],
            "tenant": _text(row["company_id"]),
            "person": str(row["person_id"]),
            "start_s": _seconds(row["starts_at"]),
            "end_s": _seconds(row["ends_at"]),
            "state": RowState(row["state"]).value,
            "actor": Actor(row["actor"]).value,
            "at_ns": self._clock.to_monotonic_ns(round(row["at"].timestamp() * 1e9)),
            "reason": None,
        }


class CalendarLedger:
    """The Cal.com stub's log of changes, from its control listener."""

    source = "calendar"

    def __init__(self, control: Address, world: World) -> None:
        self._url = f"{control.url}/control/ledger"
        self._people = {person.calcom_user_id: (company.id, person.id) for company, _, person in world.people()}

    def read(self) -> list[LedgerRow]:
        try:
            reply = httpx.get(self._url, params={"after": 0}, timeout=_TIMEOUT_S, trust_env=False)
            reply.raise_for_status()
        except httpx.HTTPError as error:
            raise RecordError(f"the calendar's ledger cannot be read: {error!r}") from error
        return [self._row(row) for row in reply.json()["rows"]]

    def _row(self, row: Mapping[str, Any]) -> LedgerRow:
        company, person = self._people[row["host_id"]]
        metadata = row.get("metadata") or {}
        return {
            "row": row["uid"],
            "uid": row["uid"],
            "replaces": row.get("replaces"),
            "request": _request(metadata.get("request_id")),
            "call_ref": metadata.get("call_id"),
            "phone": (row.get("attendee") or {}).get("phone"),
            "tenant": str(company),
            "person": str(person),
            "start_s": _seconds(datetime.fromisoformat(row["start"])),
            "end_s": _seconds(datetime.fromisoformat(row["end"])),
            "state": _CALCOM_STATES[row["status"]].value,
            "actor": _actor(row).value,
            "at_ns": row["at_ns"],
            "reason": row.get("reason"),
        }


_CALCOM_STATES = {
    "accepted": RowState.LIVE,
    "pending": RowState.PENDING,
    "cancelled": RowState.CANCELLED,
    "rejected": RowState.CANCELLED,
}


def _actor(row: Mapping[str, Any]) -> Actor:
    """Who changed the row. Cal.com only sees an API key; the service says in its reason when it undoes a booking."""
    if row.get("external"):
        return Actor.EXTERNAL
    undone = row["status"] in ("cancelled", "rejected") and str(row.get("reason") or "").startswith("compensation")
    return Actor.SERVICE if undone else Actor.CALLER


def save_ledger(path: Path, rows: Sequence[LedgerRow]) -> None:
    """Write one ledger with its end marker."""
    writer = ArrowWriter(path, LEDGER, "ledger")
    if rows:
        writer.write(rows)
    writer.close()


def pending_rows(rows: Sequence[LedgerRow]) -> int:
    """How many rows of a history are pending at its end."""
    last = {row["row"]: row["state"] for row in rows}
    return sum(state == RowState.PENDING for state in last.values())


def _request(text: str | None) -> int | None:
    """`17`, or `17/2` for the second part of a service: parts have the numbers that follow (docs/contracts.md)."""
    number, _, part = (text or "").partition("/")
    if not number.isdigit() or (part and not part.isdigit()):
        return None
    return int(number) + (int(part) - 1 if part else 0)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _seconds(at: datetime) -> int:
    return round(at.timestamp())
