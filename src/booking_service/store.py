"""The SQL of appointments and operations. Every statement is bound to one company."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4

import asyncpg

from booking_service import customers, errors
from booking_service.appointments import Appointment, Kind, Operation, OperationState
from booking_service.database import Database
from booking_service.effects import EFFECTS
from booking_service.pool import Connection
from booking_service.routing import Branch, Part
from booking_service.trace import Trace


@dataclass(frozen=True)
class Caller:
    """Who asks: bookings belong to the phone number, and to the call that made them."""

    company_id: int
    phone: str
    call_ref: str
    request_ref: str | None


@dataclass(frozen=True)
class BookingRequest:
    """What a caller wants of a person: one range, or the several of a service with parts."""

    branch: Branch
    parts: tuple[Part, ...]
    customer_name: str

    @property
    def person_id(self) -> int:
        return self.parts[0].event_type.person_id


def request_ref_of_part(request_ref: str | None, place: int) -> str | None:
    """`ref/2` for the second part (place 1) of a service: parts can be told apart wherever they are stored."""
    return f"{request_ref}/{place + 1}" if request_ref is not None and place else request_ref


class RepeatedError(Exception):
    """Another request with the same key came first."""


APPOINTMENT_COLUMNS = """a.id, a.company_id, a.person_id, a.event_type_id, a.starts_at, a.ends_at,
    lower(a.moving_to) AS moving_to_starts_at, a.state, a.actor, a.calcom_uid,
    (SELECT json_agg(json_build_object('id', p.id, 'starts_at', p.starts_at, 'ends_at', p.ends_at,
                                       'calcom_uid', p.calcom_uid) ORDER BY p.starts_at)
     FROM appointments p WHERE p.part_of = a.id AND p.company_id = a.company_id) AS further_parts"""

OPERATION = f"""
SELECT o.id AS operation_id, o.kind, o.state AS operation_state, o.request_ref AS operation_request_ref,
       o.calcom_uid AS operation_calcom_uid, o.reason, o.asked_at,
       extract(epoch FROM now() - o.asked_at)::float8 AS age_s,
       {APPOINTMENT_COLUMNS}
FROM operations o JOIN appointments a ON a.id = o.appointment_id AND a.company_id = o.company_id
"""


class AppointmentStore:
    """Reads and writes appointments with their operations.

    With `overlaps_excluded` a range that somebody holds is refused: by a query under an advisory lock on the person,
    and, whatever happens, by the exclusion constraint (FACTS-faults.md section 5: the lock avoids deadlocks between
    writers). Without it (the flaw `no_exclusion_constraint`) nothing here looks at other rows.
    """

    def __init__(self, database: Database, *, overlaps_excluded: bool, trace: Trace) -> None:
        self._database = database
        self._overlaps_excluded = overlaps_excluded
        self._trace = trace

    async def find(self, company_id: int, key: str) -> Operation | None:
        """The operation of a function call, by its idempotency key."""
        row = await self._database.fetchrow(f"{OPERATION} WHERE o.company_id = $1 AND o.key = $2", company_id, key)
        return None if row is None else Operation.of(row)

    async def forget_key(self, company_id: int, operation_id: UUID) -> None:
        """Lets the same function call be tried again; the operation itself stays on record."""
        await self._database.execute(
            "UPDATE operations SET key = NULL WHERE company_id = $1 AND id = $2 AND state <> 'open'",
            company_id,
            operation_id,
        )

    async def reserve_booking(self, operation_id: UUID, key: str, caller: Caller, wanted: BookingRequest) -> Operation:
        """Holds the ranges: a pending appointment for each part, and one open operation, in one transaction.

        Raises:
            ServiceError: `slot_taken`, or the database fails.
            RepeatedError: the key is there already.
        """
        ids = [uuid4() for _ in wanted.parts]
        at = wanted.parts[0]
        try:
            async with self._database.transaction() as connection:
                await self._lock_person(connection, wanted.person_id)
                for at in wanted.parts:
                    await self._refuse_overlap(
                        connection, caller.company_id, wanted.person_id, key, at.starts_at, at.ends_at, None
                    )
                customer_id = await customers.remember(
                    connection, caller.company_id, caller.phone, wanted.customer_name
                )
                for place, at in enumerate(wanted.parts):
                    part_of = ids[0] if place else None
                    of_part = replace(caller, request_ref=request_ref_of_part(caller.request_ref, place))
                    await _insert_pending(connection, ids[place], part_of, of_part, wanted.branch, at, customer_id)
                operation = await self._open_operation(connection, operation_id, caller, ids[0], Kind.BOOK, key, None)
        except asyncpg.ExclusionViolationError as overlap:
            raise self._refused(wanted.person_id, at.starts_at, at.ends_at, "exclusion_constraint") from overlap
        except asyncpg.UniqueViolationError as conflict:
            raise _first_come(conflict, key) from conflict
        self._trace_row("row_pending", operation.appointment)
        return operation

    async def reserve_cancel(self, operation_id: UUID, key: str, caller: Caller, appointment_id: UUID) -> Operation:
        """Opens a cancel of a live appointment of this caller; until it is settled the appointment keeps its range.

        Raises:
            ServiceError: `not_held`, `busy` (it is being decided), or the database fails.
            RepeatedError: the key is there already.
        """
        try:
            async with self._database.transaction() as connection:
                appointment = await self._own_live(connection, caller, appointment_id)
                return await self._open_operation(
                    connection, operation_id, caller, appointment.id, Kind.CANCEL, key, appointment.calcom_uid
                )
        except asyncpg.UniqueViolationError as conflict:
            raise _first_come(conflict, key) from conflict

    async def reserve_move(
        self,
        operation_id: UUID,
        key: str,
        caller: Caller,
        appointment_id: UUID,
        starts_at: datetime,
        ends_at: datetime,
    ) -> Operation:
        """Holds the new range beside the old one. Its own old range does not stand in the way.

        Raises:
            ServiceError: `slot_taken`, `not_held`, `busy`, or the database fails.
            RepeatedError: the key is there already.
        """
        person_id: int | None = None
        try:
            async with self._database.transaction() as connection:
                appointment = await self._own_live(connection, caller, appointment_id)
                person_id = appointment.person_id
                await self._lock_person(connection, person_id)
                await self._refuse_overlap(
                    connection, caller.company_id, person_id, key, starts_at, ends_at, appointment_id
                )
                await connection.execute(
                    """
                    UPDATE appointments SET moving_to = tstzrange($3, $4, '[)')
                    WHERE company_id = $1 AND id = $2
                    """,
                    caller.company_id,
                    appointment_id,
                    starts_at,
                    ends_at,
                )
                return await self._open_operation(
                    connection, operation_id, caller, appointment_id, Kind.MOVE, key, appointment.calcom_uid
                )
        except asyncpg.ExclusionViolationError as overlap:
            raise self._refused(person_id, starts_at, ends_at, "exclusion_constraint") from overlap
        except asyncpg.UniqueViolationError as conflict:
            raise _first_come(conflict, key) from conflict

    async def own_live(self, caller: Caller, appointment_id: UUID) -> Appointment:
        """A live appointment of this caller that nothing else is changing. Raises `not_held` or `busy`."""
        async with self._database.connection() as connection:
            return await self._own_live(connection, caller, appointment_id)

    async def settle(
        self, operation: Operation, state: OperationState, calcom_uids: Mapping[UUID, str]
    ) -> Appointment | None:
        """Closes an open operation and does to its appointment what follows, in one statement.

        `calcom_uids`: by id of the part. Returns the appointment, or `None` when somebody else settled the operation
        before.
        """
        rows = await self._database.fetch(
            f"""
            WITH settled AS (
                UPDATE operations SET state = $3, resolved_at = now(),
                       key = CASE WHEN $3 = 'failed' THEN NULL ELSE key END
                WHERE id = $1 AND company_id = $2 AND state = 'open' RETURNING appointment_id
            ), uids AS (SELECT $4::jsonb)
            UPDATE appointments a SET {EFFECTS[operation.kind, state]} FROM settled
            WHERE (a.id = settled.appointment_id OR a.part_of = settled.appointment_id) AND a.company_id = $2
            RETURNING {APPOINTMENT_COLUMNS}
            """,
            operation.id,
            operation.company_id,
            state.value,
            json.dumps({str(part): uid for part, uid in calcom_uids.items()}),
            urgent=True,
        )
        first = next((row for row in rows if row["id"] == operation.appointment.id), None)
        if first is None:
            return None
        appointment = Appointment.of(first)
        self._trace_settled(operation.kind, state, appointment)
        return appointment

    async def read(self, company_id: int, operation_id: UUID) -> Operation:
        """An operation as it is now. It must exist."""
        row = await self._database.fetchrow(
            f"{OPERATION} WHERE o.company_id = $1 AND o.id = $2", company_id, operation_id, urgent=True
        )
        if row is None:
            raise LookupError(f"operation {operation_id}")
        return Operation.of(row)

    async def held_ranges(
        self, company_id: int, person_ids: Iterable[int], begin: datetime, end: datetime
    ) -> list[tuple[int, datetime, datetime]]:
        """What own rows, decided or not, and known external ones hold of these people: (person, start, end)."""
        rows = await self._database.fetch(
            """
            SELECT person_id, lower(part) AS starts_at, upper(part) AS ends_at
            FROM appointments, unnest(held) AS part
            WHERE company_id = $1 AND person_id = ANY($2::bigint[]) AND state <> 'cancelled'
              AND part && tstzrange($3, $4, '[)')
            UNION ALL
            SELECT person_id, starts_at, ends_at FROM external_bookings
            WHERE company_id = $1 AND person_id = ANY($2::bigint[]) AND state = 'live'
              AND starts_at < $4 AND ends_at > $3
            """,
            company_id,
            list(person_ids),
            begin,
            end,
        )
        return [(row["person_id"], row["starts_at"], row["ends_at"]) for row in rows]

    async def _lock_person(self, connection: Connection, person_id: int) -> None:
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"person:{person_id}")

    async def _refuse_overlap(
        self,
        connection: Connection,
        company_id: int,
        person_id: int,
        key: str,
        starts_at: datetime,
        ends_at: datetime,
        moving: UUID | None,
    ) -> None:
        if not self._overlaps_excluded:
            return
        row = await connection.fetchrow(
            """
            SELECT EXISTS (SELECT 1 FROM operations WHERE company_id = $1 AND key = $3) AS repeated,
                   EXISTS (SELECT 1 FROM appointments
                           WHERE company_id = $1 AND person_id = $2 AND state <> 'cancelled'
                             AND id IS DISTINCT FROM $6 AND held && tstzrange($4, $5, '[)')) AS overlapping,
                   EXISTS (SELECT 1 FROM external_bookings
                           WHERE company_id = $1 AND person_id = $2 AND state = 'live'
                             AND starts_at < $5 AND ends_at > $4) AS taken_elsewhere
            """,
            company_id,
            person_id,
            key,
            starts_at,
            ends_at,
            moving,
        )
        if row is not None and row["repeated"]:
            raise RepeatedError(key)
        if row is not None and row["overlapping"]:
            raise self._refused(person_id, starts_at, ends_at, "overlap_query")
        if row is not None and row["taken_elsewhere"]:
            raise self._refused(person_id, starts_at, ends_at, "external_booking")

    async def _own_live(self, connection: Connection, caller: Caller, appointment_id: UUID) -> Appointment:
        row = await connection.fetchrow(
            f"""
            SELECT {APPOINTMENT_COLUMNS}, EXISTS (
                SELECT 1 FROM operations o WHERE o.appointment_id = a.id AND o.state = 'open') AS undecided
            FROM appointments a
            WHERE a.company_id = $1 AND a.id = $2 AND (a.phone = $3 OR a.call_ref = $4) AND a.part_of IS NULL
            FOR UPDATE
            """,
            caller.company_id,
            appointment_id,
            caller.phone,
            caller.call_ref,
        )
        if row is None:
            raise errors.not_held()
        if row["undecided"]:
            raise errors.busy()
        if row["state"] != "live":
            raise errors.not_held()
        return Appointment.of(row)

    async def _open_operation(
        self,
        connection: Connection,
        operation_id: UUID,
        caller: Caller,
        appointment_id: UUID,
        kind: Kind,
        key: str,
        calcom_uid: str | None,
    ) -> Operation:
        row = await connection.fetchrow(
            f"""
            WITH opened AS (
                INSERT INTO operations (id, company_id, appointment_id, kind, state, key, request_ref, calcom_uid,
                                        asked_at)
                VALUES ($1, $2, $3, $4, 'open', $5, $6, $7, clock_timestamp()) RETURNING *)
            {OPERATION.replace("FROM operations o", "FROM opened o")}
            """,
            operation_id,
            caller.company_id,
            appointment_id,
            kind.value,
            key,
            caller.request_ref,
            calcom_uid,
        )
        if row is None:
            raise LookupError(f"operation {operation_id} was not written")
        return Operation.of(row)

    def _refused(self, person_id: int | None, starts_at: datetime, ends_at: datetime, by: str) -> errors.ServiceError:
        self._trace.write("row_refused", person=person_id, start=starts_at.isoformat(), end=ends_at.isoformat(), by=by)
        return errors.slot_taken()

    def _trace_settled(self, kind: Kind, state: OperationState, appointment: Appointment) -> None:
        if kind in (Kind.BOOK, Kind.MOVE) and state is OperationState.DONE:
            self._trace_row("row_live", appointment)
        elif kind is Kind.BOOK or (kind is Kind.CANCEL and state is OperationState.DONE):
            self._trace_row("row_cancelled", appointment)

    def _trace_row(self, event: str, appointment: Appointment) -> None:
        self._trace.write(
            event,
            appointment=appointment.id,
            person=appointment.person_id,
            start=appointment.starts_at.isoformat(),
            end=appointment.ends_at.isoformat(),
        )


async def _insert_pending(
    connection: Connection,
    appointment_id: UUID,
    part_of: UUID | None,
    caller: Caller,
    branch: Branch,
    part: Part,
    customer_id: int,
) -> None:
    await connection.execute(
        """
        INSERT INTO appointments (id, part_of, company_id, branch_id, person_id, service_id, event_type_id,
            customer_id, phone, call_ref, request_ref, starts_at, ends_at, state, actor)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'pending', 'caller')
        """,
        appointment_id,
        part_of,
        caller.company_id,
        branch.id,
        part.event_type.person_id,
        part.event_type.service_id,
        part.event_type.id,
        customer_id,
        caller.phone,
        caller.call_ref,
        caller.request_ref,
        part.starts_at,
        part.ends_at,
    )


def _first_come(conflict: asyncpg.UniqueViolationError, key: str) -> Exception:
    """Somebody was first: with the same function call, or with another change of the same appointment."""
    return errors.busy() if conflict.constraint_name == "operations_open" else RepeatedError(key)
