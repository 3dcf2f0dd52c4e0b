"""Before a booking is confirmed the service reads the range back: did somebody book directly in the calendar meanwhile?

Cal.com checks, does other work and inserts later, without a lock (FACTS-calcom-retell.md section 1.11): a booking that
a person makes in the calendar between the two overlaps ours, and Cal.com accepts both. The own database cannot know
it. So the accepted booking is given up again before anybody is told of it. It costs one list request of the budget for
each booking (more where the company has hundreds a day); when that cannot be had, the outcome stays open and the
reconciler, which lists anyway, looks as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

from booking_service import errors
from booking_service.calcom import CalcomClient
from booking_service.calcom_wire import CalcomBooking
from booking_service.outcomes import Accepted, Outcome, Taken, Unknown

ReadBack = Callable[[str, Outcome], Awaitable[Outcome]]
"""(API key, what Cal.com said) -> what it comes to."""

AROUND = timedelta(hours=12)
"""Bookings that overlap a range began and end at most so far from it."""
_WHY = "somebody booked the time directly in the calendar"


async def without_read_back(_: str, outcome: Outcome) -> Outcome:
    """The flaw `no_read_back`: what Cal.com accepted is confirmed unseen."""
    return outcome


def read_back_with(calcom: CalcomClient, nudge: Callable[[], None]) -> ReadBack:
    """`nudge` makes the reconciler cancel the booking that is given up."""

    async def read_back(api_key: str, outcome: Outcome) -> Outcome:
        if not isinstance(outcome, Accepted) or not outcome.bookings:
            return outcome
        bookings = outcome.bookings
        after = min(booking.start for booking in bookings) - AROUND
        before = max(booking.end for booking in bookings) + AROUND
        try:
            around = await calcom.bookings_between(api_key, after, before)
        except errors.ServiceError as failure:
            return Unknown(f"the range could not be read back: {failure.message}")
        if any(overlapped_by_external(booking, around) for booking in bookings):
            nudge()
            return Taken(_WHY)
        return outcome

    return read_back


def overlapped_by_external(ours: CalcomBooking, others: Iterable[CalcomBooking]) -> bool:
    """Whether a live booking of the same host that this service did not make overlaps ours."""
    hosts = {host.id for host in ours.hosts}
    return any(
        other.appointment_id is None
        and not other.cancelled
        and other.start < ours.end
        and ours.start < other.end
        and any(host.id in hosts for host in other.hosts)
        for other in others
    )
