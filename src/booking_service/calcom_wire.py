"""Cal.com's replies as this service reads them (FACTS-calcom-retell.md sections 1.3 to 1.8)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

TAKEN_TEXTS = ("already has booking at this time or is not available", "booking_conflict_error")
"""Section 1.6: through API v2 "taken" is a 400 told by its text; the raw 409 is the database's unique key."""

GONE_TEXTS = ("has been cancelled", "has already ended", "cancelled and rescheduled already")


class MalformedReplyError(Exception):
    """A reply that does not have the documented shape: nobody knows what happened."""


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class CalcomHost(_Wire):
    id: int


class CalcomBooking(_Wire):
    """One booking; `metadata` values may be strings, numbers or booleans."""

    uid: str
    status: str
    start: datetime
    end: datetime
    hosts: tuple[CalcomHost, ...] = ()
    created_at: datetime = Field(alias="createdAt")
    updated_at: datetime | None = Field(default=None, alias="updatedAt")
    metadata: dict[str, Any] = Field(default_factory=dict)
    rescheduled_from_uid: str | None = Field(default=None, alias="rescheduledFromUid")
    rescheduled_to_uid: str | None = Field(default=None, alias="rescheduledToUid")

    @property
    def accepted(self) -> bool:
        return self.status == "accepted"

    @property
    def cancelled(self) -> bool:
        return self.status in ("cancelled", "rejected")

    @property
    def appointment_id(self) -> UUID | None:
        """Our own id, if this booking was made by this service."""
        return appointment_id_in(self.metadata)


def appointment_id_in(metadata: Mapping[str, Any]) -> UUID | None:
    """The id of our own appointment in a booking's metadata; None: this service did not make the booking."""
    try:
        return UUID(str(metadata.get("appointment_id")))
    except ValueError:
        return None


class _Pagination(_Wire):
    has_next_page: bool = Field(alias="hasNextPage")


class BookingPage(_Wire):
    data: tuple[CalcomBooking, ...]
    pagination: _Pagination


class _Slot(_Wire):
    start: datetime


class _Booking(_Wire):
    status: str
    data: CalcomBooking


class _Slots(_Wire):
    data: dict[str, tuple[_Slot, ...]]


def booking_of(body: bytes) -> CalcomBooking:
    """The booking in a success envelope. Raises `MalformedReplyError`, also for an error body sent with 200."""
    try:
        reply = _Booking.model_validate_json(body)
    except ValidationError as error:
        raise MalformedReplyError("no booking in the reply") from error
    if reply.status != "success":
        raise MalformedReplyError(f"status {reply.status!r} in a success reply")
    return reply.data


def page_of(body: bytes) -> BookingPage:
    """One page of `GET /v2/bookings`. Raises `MalformedReplyError`."""
    try:
        return BookingPage.model_validate_json(body)
    except ValidationError as error:
        raise MalformedReplyError("no list of bookings in the reply") from error


def slots_of(body: bytes) -> tuple[datetime, ...]:
    """The starts in a reply of `GET /v2/slots`, sorted. Raises `MalformedReplyError`."""
    try:
        reply = _Slots.model_validate_json(body)
    except ValidationError as error:
        raise MalformedReplyError("no slots in the reply") from error
    return tuple(sorted(slot.start for day in reply.data.values() for slot in day))


def says_taken(status: int, body: bytes) -> bool:
    """A definite "this time is held": the 409s, and the 400s with the documented texts."""
    text = body.decode(errors="replace")
    return status == 409 or (status == 400 and any(known in text for known in TAKEN_TEXTS))


def says_gone(status: int, body: bytes) -> bool:
    """A definite "that booking is not live any more" in reply to a cancel or a reschedule."""
    text = body.decode(errors="replace")
    return status == 404 or (status == 400 and any(known in text for known in GONE_TEXTS))
