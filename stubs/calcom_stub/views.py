"""A booking as the API shows it (FACTS-calcom-retell.md section 1.6, response fields). Pure."""

from __future__ import annotations

from typing import Any

from calcom_stub.calendar import Attendee, Booking
from calcom_stub.wire_time import iso_ms


def booking_view(booking: Booking) -> dict[str, Any]:
    """`data` of a booking reply of version 2024-08-13. Optional fields appear only when they have a value."""
    draft, host = booking.draft, booking.host
    location = draft.location or f"https://app.cal.com/video/{booking.uid}"
    view: dict[str, Any] = {
        "id": booking.id,
        "uid": booking.uid,
        "title": f"{draft.event_type.title} between {host.name} and {draft.attendee.name}",
        "description": "",
        "hosts": [
            {
                "id": host.user_id,
                "name": host.name,
                "email": host.email,
                "displayEmail": host.email,
                "username": host.username,
                "timeZone": host.time_zone,
            }
        ],
        "status": booking.status.value,
        "cancellationReason": booking.cancellation_reason,
        "reschedulingReason": booking.rescheduling_reason,
        "rescheduledByEmail": booking.rescheduled_by,
        "rescheduledFromUid": booking.rescheduled_from_uid,
        "rescheduledToUid": booking.rescheduled_to_uid,
        "start": iso_ms(booking.start),
        "end": iso_ms(booking.end),
        "duration": draft.event_type.length_min,
        "eventTypeId": draft.event_type.id,
        "eventType": {"id": draft.event_type.id, "slug": draft.event_type.slug},
        "meetingUrl": location,
        "location": location,
        "absentHost": False,
        "createdAt": iso_ms(booking.created_at),
        "updatedAt": iso_ms(booking.updated_at),
        "metadata": dict(draft.metadata),
        "icsUid": f"{booking.uid}@Cal.com",
        "attendees": [_attendee_view(draft.attendee)],
        "guests": list(draft.guests) or None,
        "bookingFieldsResponses": {
            **draft.responses,
            "email": draft.attendee.email,
            "displayEmail": draft.attendee.email,
            "name": draft.attendee.name,
        },
    }
    shown = {name: value for name, value in view.items() if value is not None}
    return {**shown, "rating": None}


def created_view(booking: Booking) -> dict[str, Any]:
    """As `booking_view`, with what only create and reschedule append."""
    return {**booking_view(booking), "isPlatformManagedUserBooking": False}


def _attendee_view(attendee: Attendee) -> dict[str, Any]:
    view = {
        "name": attendee.name,
        "email": attendee.email,
        "displayEmail": attendee.email,
        "timeZone": attendee.time_zone,
        "language": attendee.language,
        "absent": False,
    }
    return view if attendee.phone is None else {**view, "phoneNumber": attendee.phone}
