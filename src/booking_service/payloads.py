"""What Retell sends: webhooks and function calls (FACTS-calcom-retell.md sections 2.2, 2.3, 2.6).

Unknown fields are ignored, so that a new payload version does not break a call.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

Phone = Annotated[str, StringConstraints(pattern=r"^\+[1-9]\d{6,14}$")]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
PersonName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f<>]+$")
]
BigInt = Annotated[int, Field(ge=0, lt=2**63)]


def time_text(value: object) -> object:
    """A time is text: a number would be read as seconds since 1970, whatever was meant."""
    if not isinstance(value, str | date):
        raise PydanticCustomError("time_text", "Input should be a time in ISO-8601 form")
    return value


Instant = Annotated[datetime, BeforeValidator(time_text)]
Day = Annotated[date, BeforeValidator(time_text)]


class _Payload(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class CallReference(_Payload):
    """The part of Retell's call object that tells who calls whom."""

    call_id: Identifier
    from_number: Phone
    to_number: Phone


class FunctionCall(_Payload):
    """`{name, call, args}`; the arguments are validated by the function."""

    name: str = ""
    call: CallReference
    args: dict[str, Any]


class CheckAvailabilityArgs(_Payload):
    service_id: BigInt
    date: Day
    person_id: BigInt | None = None


class BookAppointmentArgs(_Payload):
    service_id: BigInt
    person_id: BigInt
    start: Instant
    customer_name: PersonName


class CancelAppointmentArgs(_Payload):
    booking_id: Identifier


class RescheduleAppointmentArgs(_Payload):
    booking_id: Identifier
    start: Instant


class CheckAvailabilityCall(FunctionCall):
    args: CheckAvailabilityArgs  # type: ignore[assignment]  # what the document says the arguments are


class BookAppointmentCall(FunctionCall):
    args: BookAppointmentArgs  # type: ignore[assignment]


class CancelAppointmentCall(FunctionCall):
    args: CancelAppointmentArgs  # type: ignore[assignment]


class RescheduleAppointmentCall(FunctionCall):
    args: RescheduleAppointmentArgs  # type: ignore[assignment]


class WebhookCall(CallReference):
    transcript: str | None = None
    call_analysis: dict[str, Any] | None = None


class Webhook(_Payload):
    """`{event, call}`."""

    event: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    call: WebhookCall


class InboundCall(_Payload):
    """A call that comes in: it has no id yet (section 2.5)."""

    from_number: Phone
    to_number: Phone


class InboundWebhook(_Payload):
    """`{event: "call_inbound", call_inbound}`."""

    event: Literal["call_inbound"]
    call_inbound: InboundCall


def idempotency_key(company_id: int, call_id: str, function: str, arguments: BaseModel) -> str:
    """The same for every repeat of one function call: Retell sends no id of its own (section 2.6).

    Made from the validated arguments, so that spelling (order of keys, offset of a time) makes no difference.
    """
    content = json.dumps(
        [company_id, call_id, function, arguments.model_dump(mode="json")], sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(content.encode()).hexdigest()
