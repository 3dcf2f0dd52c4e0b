"""Bookings that people made directly in the calendar: a table of their own, beside `appointments`.

Learned from webhooks at once, and from the reconciler's listings whatever became of the webhooks. A row only ever moves
forward: what was cancelled stays so, also when its creation is told later (FACTS-calcom-retell.md section 1.10).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from booking_service.availability import SlotsCache
from booking_service.calcom_wire import CalcomBooking
from booking_service.database import Database


@dataclass(frozen=True)
class ExternalBooking:
    """One booking as the calendar tells it. `host_id` is the Cal.com user whose time it takes."""

    uid: str
    host_id: int
    starts_at: datetime
    ends_at: datetime
    live: bool


class ExternalBookings:
    """Every statement is bound to one company; a host who sells nothing there is left out."""

    def __init__(self, database: Database, slots: SlotsCache) -> None:
        self._database = database
        self._slots = slots

    async def remember(self, company_id: int, told: Iterable[ExternalBooking]) -> None:
        """Writes down what is new in it, in one statement. Raises `ServiceError` when the database fails."""
        latest = {each.uid: each for each in told if each.starts_at < each.ends_at}
        if not latest:
            return
        rows = list(latest.values())
        changed = await self._database.fetch(
            _REMEMBER,
            company_id,
            [each.host_id for each in rows],
            [each.uid for each in rows],
            [each.starts_at for each in rows],
            [each.ends_at for each in rows],
            ["live" if each.live else "cancelled" for each in rows],
        )
        for row in changed:
            self._slots.forget(row["person_id"])


def seen_in(bookings: Iterable[CalcomBooking]) -> list[ExternalBooking]:
    """Those of listed bookings that this service did not make; a pending one takes its time, too."""
    return [
        ExternalBooking(booking.uid, booking.hosts[0].id, booking.start, booking.end, live=not booking.cancelled)
        for booking in bookings
        if booking.appointment_id is None and booking.hosts
    ]


_REMEMBER = """
INSERT INTO external_bookings (company_id, person_id, calcom_uid, starts_at, ends_at, state)
SELECT p.company_id, p.id, told.uid, told.starts_at, told.ends_at, told.state
FROM unnest($2::bigint[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[])
     AS told (host_id, uid, starts_at, ends_at, state)
JOIN people p ON p.calcom_user_id = told.host_id AND p.company_id = $1
ON CONFLICT (calcom_uid) DO UPDATE SET state = 'cancelled', updated_at = now()
WHERE external_bookings.state = 'live' AND excluded.state = 'cancelled'
  AND external_bookings.company_id = excluded.company_id
RETURNING person_id
"""
