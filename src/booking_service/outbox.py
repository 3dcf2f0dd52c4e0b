"""What is not settled with Cal.com yet, and changes that the calendar made on its own."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID, uuid4

import asyncpg

from booking_service.appointments import Appointment, Operation
from booking_service.database import Database
from booking_service.store import APPOINTMENT_COLUMNS, OPERATION

_log = logging.getLogger(__name__)

EXTERNAL_CANCEL = "state = 'cancelled', actor = 'external'"
EXTERNAL_UID = "calcom_uid = $4"
EXTERNAL_MOVE = "starts_at = $5, ends_at = $6, replaces_uid = a.calcom_uid, calcom_uid = $4, actor = 'external'"
"""What `Outbox.follow_calendar` may change."""


class Outbox:
    """The reconciler's side of the tables. Every statement but the backlog count is bound to one company."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def now(self) -> datetime:
        """The time by the database's clock, which also dates the ends of operations."""
        row = await self._database.fetchrow("SELECT now() AS at")
        if row is None:
            raise LookupError("a constant without a row")
        at: datetime = row["at"]
        return at

    async def open_operations(self, company_id: int) -> list[Operation]:
        """The outbox of a company, oldest first."""
        rows = await self._database.fetch(
            f"{OPERATION} WHERE o.company_id = $1 AND o.state = 'open' ORDER BY o.asked_at", company_id
        )
        return [Operation.of(row) for row in rows]

    async def settled_appointments(
        self, company_id: int, ids: Iterable[UUID], uids: Iterable[str], before: datetime
    ) -> list[Appointment]:
        """The appointments with these ids or calendar uids whose operations all ended before an instant (see `now`)."""
        rows = await self._database.fetch(
            f"""
            SELECT {APPOINTMENT_COLUMNS} FROM appointments a
            WHERE a.company_id = $1 AND (a.id = ANY($2::uuid[]) OR a.calcom_uid = ANY($3::text[])) AND NOT EXISTS (
                SELECT 1 FROM operations o
                WHERE o.appointment_id IN (a.id, a.part_of) AND (o.state = 'open' OR o.resolved_at >= $4))
            """,
            company_id,
            list(ids),
            list(uids),
            before,
        )
        return [Appointment.of(row) for row in rows]

    async def open_compensation(self, appointment: Appointment, calcom_uid: str, reason: str) -> None:
        """Puts the cancel of a stray calendar booking into the outbox, unless one is there."""
        await self._database.execute(
            """
            INSERT INTO operations (id, company_id, appointment_id, kind, state, calcom_uid, reason)
            VALUES ($1, $2, $3, 'compensate', 'open', $4, $5) ON CONFLICT DO NOTHING
            """,
            uuid4(),
            appointment.company_id,
            appointment.id,
            calcom_uid,
            reason,
        )

    async def follow_calendar(self, before: Appointment, changes: str, *args: object) -> bool:
        """Changes a live appointment as the calendar says, provided that nothing changed it meanwhile."""
        try:
            row = await self._database.fetchrow(
                f"""
                UPDATE appointments a SET {changes}
                WHERE a.company_id = $1 AND a.id = $2 AND a.state = 'live' AND a.calcom_uid IS NOT DISTINCT FROM $3
                  AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.appointment_id IN (a.id, a.part_of)
                                    AND o.state = 'open')
                RETURNING {APPOINTMENT_COLUMNS}
                """,
                before.company_id,
                before.id,
                before.calcom_uid,
                *args,
            )
        except asyncpg.ExclusionViolationError:
            _log.warning("the calendar moved appointment %s onto a time that is held", before.id)
            return False
        return row is not None

    async def backlog(self) -> tuple[int, int]:
        """How many appointments are pending and how many operations are open, of all companies."""
        row = await self._database.fetchrow(
            """
            SELECT (SELECT count(*) FROM appointments WHERE state = 'pending') AS pending,
                   (SELECT count(*) FROM operations WHERE state = 'open') AS outbox
            """,
            urgent=True,
        )
        if row is None:
            raise LookupError("an aggregate without a row")
        return row["pending"], row["outbox"]
