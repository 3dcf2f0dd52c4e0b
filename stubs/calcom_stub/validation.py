"""What a request may say, and the texts when it says something else (FACTS-calcom-retell.md sections 1.3, 1.6, 1.8).

Small composable rules over parsed JSON: a rule is a function `(name, value) -> problem or None`. The constraint texts
are those of the validator library behind the vendor's API.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from calcom_stub.errors import ValidationProblem, bad_request, invalid_by_custom_pipe, invalid_by_global_pipe
from calcom_stub.subscriptions import TRIGGERS
from calcom_stub.wire_time import parse_instant

CONTACT_NEEDED = "Attendee must have at least one contact method (email or phone number)"
SELECTOR_NEEDED = "Either eventTypeId or eventTypeSlug + username or eventTypeSlug + teamSlug must be provided"
METADATA_LIMITS = (
    "Metadata must be an object with at most 50 keys, keys up to 40 characters, and values up to 500 characters."
)

Rule = Callable[[str, Any], ValidationProblem | None]

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_E164 = re.compile(r"\+[1-9]\d{6,14}")


@dataclass(frozen=True)
class Field:
    rule: Rule
    required: bool = False


def _when(accepted: Callable[[Any], bool], text: str) -> Rule:
    """A rule from a predicate; `text` follows the property's name."""

    def rule(name: str, value: Any) -> ValidationProblem | None:
        return None if accepted(value) else ValidationProblem(name, (f"{name} {text}",))

    return rule


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_instant(value: Any) -> bool:
    try:
        parse_instant(value)
    except (TypeError, ValueError):
        return False
    return True


def is_time_zone(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # unknown name, malformed name, a directory of the database
        return False
    return True


def _is_email(value: Any) -> bool:
    return isinstance(value, str) and _EMAIL.fullmatch(value) is not None


def _is_phone(value: Any) -> bool:
    return isinstance(value, str) and _E164.fullmatch(value) is not None


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("http://", "https://"))


def _are_triggers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(each in TRIGGERS for each in value)


def _metadata(name: str, value: Any) -> ValidationProblem | None:
    within_limits = (
        isinstance(value, Mapping)
        and len(value) <= 50
        and all(len(key) <= 40 for key in value)
        and all(
            len(entry) <= 500 if isinstance(entry, str) else isinstance(entry, int | float) for entry in value.values()
        )
    )
    return None if within_limits else ValidationProblem(name, (METADATA_LIMITS,))


STRING = _when(lambda value: isinstance(value, str), "must be a string")
BOOLEAN = _when(lambda value: isinstance(value, bool), "must be a boolean value")
INTEGER = _when(_is_int, "must be an integer number")
POSITIVE = _when(lambda value: _is_int(value) and value >= 1, "must not be less than 1")
OBJECT = _when(lambda value: isinstance(value, Mapping), "must be an object")
TEXT_OR_OBJECT = _when(lambda value: isinstance(value, str | Mapping), "must be an object")
INSTANT = _when(is_instant, "must be a valid ISO 8601 date string")
TIME_ZONE = _when(is_time_zone, "must be a valid IANA time-zone")
EMAIL = _when(_is_email, "must be an email")
EMAILS = _when(
    lambda value: isinstance(value, list) and all(_is_email(entry) for entry in value),
    "must be an array; each value in guests must be an email",
)
PHONE = _when(_is_phone, "must be a valid phone number")


def problems_of(values: Mapping[str, Any], fields: Mapping[str, Field]) -> tuple[ValidationProblem, ...]:
    """What is wrong with an object: unknown keys first, then each field. A null counts as absent."""
    unknown = tuple(
        ValidationProblem(name, (f"property {name} should not exist",)) for name in values if name not in fields
    )
    known = (_field_problem(name, field, values.get(name)) for name, field in fields.items())
    return unknown + tuple(problem for problem in known if problem is not None)


def _field_problem(name: str, field: Field, value: Any) -> ValidationProblem | None:
    if value is not None or field.required:
        return field.rule(name, value)
    return None


_ATTENDEE_FIELDS = {
    "name": Field(STRING, required=True),
    "timeZone": Field(TIME_ZONE, required=True),
    "email": Field(EMAIL),
    "phoneNumber": Field(PHONE),
    "language": Field(STRING),
}


def _attendee(name: str, value: Any) -> ValidationProblem | None:
    if not isinstance(value, Mapping):
        return ValidationProblem(name, (f"{name} should not be null or undefined",))
    children = problems_of(value, _ATTENDEE_FIELDS)
    reachable = value.get("email") is not None or value.get("phoneNumber") is not None
    constraints = () if reachable else (CONTACT_NEEDED,)
    return ValidationProblem(name, constraints, children) if constraints or children else None


_CREATE_FIELDS = {
    "start": Field(INSTANT, required=True),
    "attendee": Field(_attendee, required=True),
    "eventTypeId": Field(INTEGER),
    "eventTypeSlug": Field(STRING),
    "username": Field(STRING),
    "teamSlug": Field(STRING),
    "organizationSlug": Field(STRING),
    "bookingFieldsResponses": Field(OBJECT),
    "guests": Field(EMAILS),
    "location": Field(TEXT_OR_OBJECT),
    "meetingUrl": Field(STRING),
    "metadata": Field(_metadata),
    "lengthInMinutes": Field(POSITIVE),
    "instant": Field(BOOLEAN),
    "recurrenceCount": Field(POSITIVE),
    "routing": Field(OBJECT),
    "emailVerificationCode": Field(STRING),
}

_CANCEL_FIELDS = {
    "cancellationReason": Field(STRING),
    "cancelSubsequentBookings": Field(BOOLEAN),
    "seatUid": Field(STRING),
}

_WEBHOOK_FIELDS = {
    "active": Field(BOOLEAN, required=True),
    "subscriberUrl": Field(_when(_is_url, "must be a URL address"), required=True),
    "triggers": Field(_when(_are_triggers, "must be one of the webhook triggers"), required=True),
    "secret": Field(STRING),
    "payloadTemplate": Field(STRING),
    "version": Field(STRING),
}

_RESERVATION_FIELDS = {
    "eventTypeId": Field(INTEGER, required=True),
    "slotStart": Field(INSTANT, required=True),
    "slotDuration": Field(POSITIVE),
    "reservationDuration": Field(POSITIVE),
}

_DECLINE_FIELDS = {"reason": Field(STRING)}

_RESCHEDULE_FIELDS = {
    "start": Field(INSTANT, required=True),
    "rescheduledBy": Field(EMAIL),
    "reschedulingReason": Field(STRING),
    "emailVerificationCode": Field(STRING),
}


def valid_create(body: object) -> Mapping[str, Any]:
    """The body of POST /v2/bookings, checked. Raises ApiError 400."""
    valid = _valid(body, _CREATE_FIELDS)
    by_slug = valid.get("eventTypeSlug") and (valid.get("username") or valid.get("teamSlug"))
    if valid.get("eventTypeId") is None and not by_slug:
        raise bad_request(SELECTOR_NEEDED)
    return valid


def valid_cancel(body: object) -> Mapping[str, Any]:
    """The body of POST /v2/bookings/{uid}/cancel, checked; no body is an empty one. Raises ApiError 400."""
    return _valid({} if body is None else body, _CANCEL_FIELDS)


def valid_decline(body: object) -> Mapping[str, Any]:
    """The body of POST /v2/bookings/{uid}/decline, checked; no body is an empty one. Raises ApiError 400."""
    return _valid({} if body is None else body, _DECLINE_FIELDS)


def valid_reschedule(body: object) -> Mapping[str, Any]:
    """The body of POST /v2/bookings/{uid}/reschedule, checked. Raises ApiError 400."""
    return _valid(body, _RESCHEDULE_FIELDS)


def valid_webhook(body: object) -> Mapping[str, Any]:
    """The body of POST /v2/webhooks, checked by the global pipe: unknown keys are dropped. Raises ApiError 400."""
    return _known(body, _WEBHOOK_FIELDS)


def valid_webhook_change(body: object) -> Mapping[str, Any]:
    """The body of PATCH /v2/webhooks/{id}, likewise: any of the fields. Raises ApiError 400."""
    return _known(body, {name: Field(field.rule) for name, field in _WEBHOOK_FIELDS.items()})


def valid_reservation(body: object) -> Mapping[str, Any]:
    """The body of POST and PATCH /v2/slots/reservations, checked by the global pipe. Raises ApiError 400."""
    return _known(body, _RESERVATION_FIELDS)


def _known(body: object, fields: Mapping[str, Field]) -> Mapping[str, Any]:
    known = {name: body[name] for name in fields if name in body} if isinstance(body, Mapping) else {}
    problems = problems_of(known, fields)
    if problems:
        raise invalid_by_global_pipe(problems)
    return known


def _valid(body: object, fields: Mapping[str, Field]) -> Mapping[str, Any]:
    if body is None:
        raise bad_request("Body is required")
    if not isinstance(body, Mapping):
        raise bad_request("Body should be an object")
    problems = problems_of(body, fields)
    if problems:
        raise invalid_by_custom_pipe(problems)
    return body
