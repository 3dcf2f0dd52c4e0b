"""Cal.com's webhooks: bookings that people make directly in the calendar, kept beside the own ones.

FACTS-calcom-retell.md section 1.10. They may be lost, repeated, late and out of order, and carry neither an id nor a
time in their signature. So each only ever moves its booking forward: what was cancelled stays so, also when its
creation is told later. A webhook about an own booking decides nothing: it may come before the reply of its own request,
or be forged by a repeat. Where it is about an operation whose reply was lost, the reconciler looks it up at once.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from booking_service.availability import SlotsCache
from booking_service.calcom_wire import appointment_id_in
from booking_service.database import Database
from booking_service.flows import Flows
from booking_service.outbox import Outbox
from booking_service.payloads import Instant


class _Payload(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Organizer(_Payload):
    id: int = Field(ge=0, lt=2**63, strict=True)


class BookingTold(_Payload):
    """The part of a webhook's payload that is used."""

    uid: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")
    start_time: Instant = Field(alias="startTime")
    end_time: Instant = Field(alias="endTime")
    organizer: Organizer
    metadata: dict[str, Any] = Field(default_factory=dict)
    reschedule_uid: str | None = Field(default=None, alias="rescheduleUid", max_length=200, pattern=r"^[^\x00]*$")


class CalcomWebhook(_Payload):
    """`{triggerEvent, createdAt, payload}`."""

    trigger: Literal["BOOKING_CREATED", "BOOKING_CANCELLED", "BOOKING_RESCHEDULED", "BOOKING_REJECTED"] = Field(
        alias="triggerEvent"
    )
    created_at: Instant = Field(alias="createdAt")
    payload: BookingTold


def is_genuine(body: bytes, secret: str, header: str | None) -> bool:
    """Whether `X-Cal-Signature-256` signs exactly these bytes. Without a secret nothing is genuine."""
    if not secret or header is None:
        return False
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(digest.encode(), header.encode())


class CalendarSync:
    """Writes down what the calendar tells. Every statement is bound to the company of the person whose time it is."""

    def __init__(
        self, database: Database, outbox: Outbox, flows: Flows, slots: SlotsCache, nudge: Callable[[], None]
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._flows = flows
        self._slots = slots
        self._nudge = nudge

    async def record(self, webhook: CalcomWebhook) -> None:
        """Takes one webhook; a repeat has no effect. Raises `ServiceError` when the database fails."""
        told = webhook.payload
        person = await self._database.fetchrow(
            "SELECT id, company_id FROM people WHERE calcom_user_id = $1", told.organizer.id
        )
        if person is None:
            return  # somebody of the same Cal.com account who sells nothing here
        own = appointment_id_in(told.metadata)
        if own is not None:
            await self._look_up_own(person["company_id"], own)
        else:
            await self._record_external(person["company_id"], person["id"], webhook)
        self._slots.forget(person["id"])

    async def _look_up_own(self, company_id: int, appointment_id: UUID) -> None:
        in_flight = self._flows.operation_ids
        for operation in await self._outbox.open_operations(company_id):
            if appointment_id in operation.appointment.ids and operation.id not in in_flight:
                self._nudge()

    async def _record_external(self, company_id: int, person_id: int, webhook: CalcomWebhook) -> None:
        told = webhook.payload
        live = webhook.trigger in ("BOOKING_CREATED", "BOOKING_RESCHEDULED")
        await self._database.execute(
            _REMEMBER, company_id, person_id, told.uid, told.start_time, told.end_time, "live" if live else "cancelled"
        )
        if told.reschedule_uid:
            await self._database.execute(
                _REMEMBER, company_id, person_id, told.reschedule_uid, told.start_time, told.end_time, "cancelled"
            )


_REMEMBER = """
INSERT INTO external_bookings (company_id, person_id, calcom_uid, starts_at, ends_at, state)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (calcom_uid) DO UPDATE SET state = excluded.state, updated_at = now()
WHERE external_bookings.state = 'live' AND external_bookings.company_id = excluded.company_id
"""
