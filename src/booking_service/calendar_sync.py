"""Cal.com's webhooks: bookings that people make directly in the calendar, kept beside the own ones.

FACTS-calcom-retell.md section 1.10. They may be lost, repeated, late and out of order, and carry neither an id nor a
time in their signature. So each only ever moves its booking forward: what was cancelled stays so, also when its
creation is told later. A webhook about an own booking decides nothing: it may come before the reply of its own request,
or be a replay. Where it says something new, the reconciler looks it up at once; and what no webhook told, the
reconciler learns from its listings.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from booking_service.availability import SlotsCache
from booking_service.calcom_wire import appointment_id_in
from booking_service.database import Database
from booking_service.external_bookings import ExternalBooking, ExternalBookings
from booking_service.flows import Flows
from booking_service.payloads import time_text
from booking_service.routing import YEARS


def _known_to_calendars(at: AwareDatetime) -> AwareDatetime:
    if at.year not in YEARS:
        raise PydanticCustomError("time_range", "There is no such time")
    return at.astimezone(UTC)


_Moment = Annotated[AwareDatetime, BeforeValidator(time_text), AfterValidator(_known_to_calendars)]


class _Payload(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Organizer(_Payload):
    id: int = Field(ge=0, lt=2**63, strict=True)


class BookingTold(_Payload):
    """The part of a webhook's payload that is used."""

    uid: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")
    start_time: _Moment = Field(alias="startTime")
    end_time: _Moment = Field(alias="endTime")
    organizer: Organizer
    metadata: dict[str, Any] = Field(default_factory=dict)
    reschedule_uid: str | None = Field(default=None, alias="rescheduleUid", max_length=200, pattern=r"^[^\x00]*$")

    @property
    def appointment_id(self) -> UUID | None:
        """Our own id, if this service made the booking."""
        return appointment_id_in(self.metadata)

    def external(self, *, live: bool) -> list[ExternalBooking]:
        """What it says of bookings that are not ours: the one that it is about, and the one that this replaced."""
        told = [ExternalBooking(self.uid, self.organizer.id, self.start_time, self.end_time, live)]
        if self.reschedule_uid:
            told.append(replace(told[0], uid=self.reschedule_uid, live=False))
        return told


_LIVE = ("BOOKING_CREATED", "BOOKING_REQUESTED", "BOOKING_RESCHEDULED")
"""After these the booking takes its time; one that waits for a confirmation does so, too."""


class CalcomWebhook(_Payload):
    """`{triggerEvent, createdAt, payload}`."""

    trigger: Literal[
        "BOOKING_CREATED", "BOOKING_REQUESTED", "BOOKING_RESCHEDULED", "BOOKING_CANCELLED", "BOOKING_REJECTED"
    ] = Field(alias="triggerEvent")
    created_at: _Moment = Field(alias="createdAt")
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
        self,
        database: Database,
        external: ExternalBookings,
        flows: Flows,
        slots: SlotsCache,
        nudge: Callable[[], None],
    ) -> None:
        self._database = database
        self._external = external
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
        if told.appointment_id is None:
            await self._external.remember(person["company_id"], told.external(live=webhook.trigger in _LIVE))
        elif await self._is_news(person["company_id"], told.appointment_id, webhook):
            self._nudge()
        self._slots.forget(person["id"])

    async def _is_news(self, company_id: int, appointment_id: UUID, webhook: CalcomWebhook) -> bool:
        """Whether an own booking's webhook says what nobody here will learn otherwise: an open operation that no flow
        of this process decides, or the end of a booking that is live here."""
        row = await self._database.fetchrow(
            """
            SELECT a.state, a.calcom_uid, o.id AS operation_id
            FROM appointments a
            LEFT JOIN operations o ON o.appointment_id IN (a.id, a.part_of) AND o.state = 'open'
            WHERE a.company_id = $1 AND a.id = $2
            """,
            company_id,
            appointment_id,
        )
        if row is None:
            return False
        if row["operation_id"] is not None:
            return row["operation_id"] not in self._flows.operation_ids
        ended = {webhook.payload.reschedule_uid} if webhook.trigger in _LIVE else {webhook.payload.uid}
        return row["state"] == "live" and row["calcom_uid"] in ended
