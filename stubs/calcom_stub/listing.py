"""GET /v2/bookings: filters, order and pages (FACTS-calcom-retell.md section 1.7). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import ceil

from calcom_stub.calendar import Booking, BookingStatus

TAKE_DEFAULT = 100
TAKE_MAX = 250


class ListedStatus(StrEnum):
    UPCOMING = "upcoming"
    RECURRING = "recurring"
    PAST = "past"
    CANCELLED = "cancelled"
    UNCONFIRMED = "unconfirmed"


class SortKey(StrEnum):
    START = "sortStart"
    END = "sortEnd"
    CREATED = "sortCreated"
    UPDATED = "sortUpdatedAt"


_SORT_VALUES: dict[SortKey, Callable[[Booking], datetime]] = {
    SortKey.START: lambda booking: booking.start,
    SortKey.END: lambda booking: booking.end,
    SortKey.CREATED: lambda booking: booking.created_at,
    SortKey.UPDATED: lambda booking: booking.updated_at,
}


@dataclass(frozen=True)
class ListQuery:
    """All filters are joined by "and"; several statuses by "or". Bounds are inclusive. No statuses = every booking."""

    statuses: frozenset[ListedStatus] = frozenset()
    attendee_email: str | None = None
    attendee_name: str | None = None
    booking_uid: str | None = None
    event_type_ids: frozenset[int] | None = None
    team_ids: frozenset[int] | None = None
    after_start: datetime | None = None
    before_end: datetime | None = None
    after_created_at: datetime | None = None
    before_created_at: datetime | None = None
    after_updated_at: datetime | None = None
    before_updated_at: datetime | None = None
    sort: tuple[tuple[SortKey, bool], ...] = ()
    """(key, descending), the most significant first; by default by start, as the calendar shows them."""
    take: int = TAKE_DEFAULT
    skip: int = 0


@dataclass(frozen=True)
class Page:
    bookings: Sequence[Booking]
    total: int
    take: int
    skip: int

    def pagination(self) -> dict[str, int | bool]:
        """The reply's `pagination` object."""
        total_pages = ceil(self.total / self.take)
        current_page = min(self.skip // self.take + 1, max(total_pages, 1))
        return {
            "returnedItems": len(self.bookings),
            "totalItems": self.total,
            "itemsPerPage": self.take,
            "remainingItems": self.total - self.skip - len(self.bookings),
            "currentPage": current_page,
            "totalPages": total_pages,
            "hasNextPage": current_page < total_pages,
            "hasPreviousPage": current_page > 1,
        }


def select(bookings: Iterable[Booking], query: ListQuery, now: datetime) -> Page:
    """The page that the query asks for; `skip` is clamped to the total."""
    found = [booking for booking in bookings if _matches(booking, query, now)]
    for key, descending in reversed(query.sort or ((SortKey.START, False),)):
        found.sort(key=_SORT_VALUES[key], reverse=descending)
    skip = min(query.skip, len(found))
    return Page(found[skip : skip + query.take], len(found), query.take, skip)


def _matches(booking: Booking, query: ListQuery, now: datetime) -> bool:
    attendee = booking.draft.attendee
    return (
        query.attendee_email in (None, attendee.email)
        and query.attendee_name in (None, attendee.name)
        and query.booking_uid in (None, booking.uid)
        and (query.event_type_ids is None or booking.draft.event_type.id in query.event_type_ids)
        and query.team_ids is None  # no event type of the world belongs to a team
        and _within(booking.start, query.after_start, None)
        and _within(booking.end, None, query.before_end)
        and _within(booking.created_at, query.after_created_at, query.before_created_at)
        and _within(booking.updated_at, query.after_updated_at, query.before_updated_at)
        and (not query.statuses or any(_has_status(booking, status, now) for status in query.statuses))
    )


def _within(value: datetime, after: datetime | None, before: datetime | None) -> bool:
    return (after is None or value >= after) and (before is None or value <= before)


def _has_status(booking: Booking, status: ListedStatus, now: datetime) -> bool:
    match status:
        case ListedStatus.UPCOMING:
            return booking.status.is_live and booking.end >= now
        case ListedStatus.PAST:
            return booking.status.is_live and booking.end <= now
        case ListedStatus.CANCELLED:
            return not booking.status.is_live
        case ListedStatus.UNCONFIRMED:
            return booking.status is BookingStatus.PENDING
        case ListedStatus.RECURRING:
            return False  # no event type of the world recurs
