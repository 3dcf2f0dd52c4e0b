"""What the service answers, as types: for the OpenAPI document, and for whoever writes a client from it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from booking_service.errors import Effect


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FreeTime(_Reply):
    """One time that can be booked, in UTC."""

    person_id: int
    person: str
    start: datetime
    end: datetime


class AvailabilityReply(_Reply):
    status: Literal["ok"]
    slots: list[FreeTime]


class PartTime(_Reply):
    """One part of a service that has several."""

    start: datetime
    end: datetime


class BookedTime(_Reply):
    """A booking as its caller sees it; `calcom_uid` is null until Cal.com has accepted it. `parts` is there only where
    the service has several; the person is free between them."""

    id: str
    calcom_uid: str | None
    person_id: int
    start: datetime
    end: datetime
    parts: list[PartTime] = []


class BookingReply(_Reply):
    """`pending` goes with 202: it is being decided, and a repeat of the same call tells how it ended."""

    status: Literal["confirmed", "pending", "cancelled"]
    booking: BookedTime


class CallSetUp(_Reply):
    dynamic_variables: dict[str, str]
    metadata: dict[str, int]


class InboundReply(_Reply):
    """What the voice agent is told of a call that comes in (FACTS-calcom-retell.md section 2.5)."""

    call_inbound: CallSetUp


class Failure(_Reply):
    """`effect` none: definitely nothing happened; unknown: nobody knows yet."""

    code: Literal[
        "slot_taken", "not_held", "busy", "overloaded", "calcom_unavailable", "rate_limited", "redis_unavailable",
        "database_unavailable", "bad_signature", "invalid", "not_found", "too_large", "internal",
    ]  # fmt: skip
    message: str
    effect: Effect


class ErrorReply(_Reply):
    """Every answer of 400 and above."""

    error: Failure


class Health(_Reply):
    status: Literal["ok"]
    flaws: list[str]
    time_scale: float
    reconcile_period_s: float
    abandon_after_s: float
