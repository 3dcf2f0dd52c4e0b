"""From the checked body of POST /v2/bookings to the draft for the calendar (FACTS-calcom-retell.md section 1.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calcom_stub.calendar import Attendee, Draft
from calcom_stub.errors import bad_request, not_found
from calcom_stub.wire_time import parse_instant
from calcom_stub.world import EventType, World

_LOCATION_VALUES = ("link", "phone", "address", "location")
"""The key of a location object that holds its value, whichever of its types has it."""


def draft_of(body: Mapping[str, Any], world: World) -> Draft:
    """Raises ApiError: 404 for an unknown event type, 400 for what no event type of the world offers."""
    event_type = _event_type(body, world)
    _refuse_unoffered(body, event_type)
    return Draft(
        event_type=event_type,
        start=parse_instant(body["start"]),
        attendee=_attendee(body["attendee"]),
        metadata=body.get("metadata") or {},
        guests=tuple(body.get("guests") or ()),
        location=_location(body.get("location") or body.get("meetingUrl")),
        responses=body.get("bookingFieldsResponses") or {},
    )


def _refuse_unoffered(body: Mapping[str, Any], event_type: EventType) -> None:
    """Every event type of the world has one length, belongs to one person and does not recur. The texts are ours."""
    if body.get("lengthInMinutes") is not None:
        raise bad_request(
            "Can't specify 'lengthInMinutes' because event type does not have multiple possible lengths. "
            "Please, remove the 'lengthInMinutes' field from the request."
        )
    if body.get("recurrenceCount") is not None:
        raise bad_request(f"Event type with id={event_type.id} is not a recurring event.")
    if body.get("instant"):
        raise bad_request("Instant meetings exist for team event types only.")


def _attendee(body: Mapping[str, Any]) -> Attendee:
    phone = body.get("phoneNumber")
    return Attendee(
        name=body["name"],
        email=body.get("email") or f"{str(phone).lstrip('+')}@sms.cal.com",
        time_zone=body["timeZone"],
        phone=phone,
        language=body.get("language") or "en",
    )


def _location(wish: str | Mapping[str, Any] | None) -> str | None:
    if wish is None or isinstance(wish, str):
        return wish
    if wish.get("type") == "integration":
        return f"integrations:{wish.get('integration')}"
    return next((str(wish[key]) for key in _LOCATION_VALUES if key in wish), None)


def _event_type(selector: Mapping[str, object], world: World) -> EventType:
    """The event type that a checked body names. Raises ApiError 404."""
    event_type_id = selector.get("eventTypeId")
    if isinstance(event_type_id, int):
        return _or_404(world.event_type(event_type_id), f"Event type with id {event_type_id} not found.")
    slug, organization = selector["eventTypeSlug"], selector.get("organizationSlug")
    within = f" within organization {organization}" if organization else ""
    if selector.get("username"):
        username = selector["username"]
        known = None if organization else world.event_type_of(str(username), str(slug))
        return _or_404(known, f"Event type with slug {slug} belonging to user {username}{within} not found.")
    raise not_found(f"Event type with slug {slug} belonging to team {selector['teamSlug']}{within} not found.")


def _or_404(event_type: EventType | None, text: str) -> EventType:
    if event_type is None:
        raise not_found(text)
    return event_type
