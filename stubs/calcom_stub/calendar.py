"""The calendar itself: availability check, insert, cancel, reschedule. Pure: no HTTP, no clock, no waiting.

The check and the insert are separate calls on purpose. Cal.com checks availability, does other work, and inserts
later without a lock; its database refuses only a second ACCEPTED row of the same host with the very same start and
end (FACTS-calcom-retell.md section 1.11). Callers that put time between the two reproduce the race.
"""

from __future__ import annotations

import uuid
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from operator import itemgetter
from typing import Any

from calcom_stub.wire_time import iso_ms
from calcom_stub.world import EventType, Host


class BookingStatus(StrEnum):
    ACCEPTED = "accepted"
    PENDING = "pending"
    CANCELLED = "cancelled"
    REJECTED = "rejected"

    @property
    def is_live(self) -> bool:
        return self in (BookingStatus.ACCEPTED, BookingStatus.PENDING)


@dataclass(frozen=True)
class Attendee:
    name: str
    email: str
    time_zone: str
    phone: str | None = None
    language: str = "en"


@dataclass(frozen=True)
class Draft:
    """What a caller asks for. `start` is UTC; the end follows from the event type."""

    event_type: EventType
    start: datetime
    attendee: Attendee
    metadata: Mapping[str, Any] = field(default_factory=dict)
    guests: tuple[str, ...] = ()
    location: str | None = None
    responses: Mapping[str, Any] = field(default_factory=dict)
    external: bool = False
    """Made by somebody who works directly in the calendar."""

    @property
    def host(self) -> Host:
        return self.event_type.host

    @property
    def end(self) -> datetime:
        return self.start + self.event_type.length

    def at(self, start: datetime) -> Draft:
        """The same wish at another time."""
        return replace(self, start=start)


@dataclass(frozen=True)
class Booking:
    """One row. Every change makes a new value; `draft` holds what does not change."""

    id: int
    uid: str
    draft: Draft
    status: BookingStatus
    created_at: datetime
    updated_at: datetime
    cancellation_reason: str | None = None
    rescheduling_reason: str | None = None
    rescheduled_by: str | None = None
    rescheduled_from_uid: str | None = None
    rescheduled_to_uid: str | None = None

    @property
    def host(self) -> Host:
        return self.draft.host

    @property
    def start(self) -> datetime:
        return self.draft.start

    @property
    def end(self) -> datetime:
        return self.draft.end


class SlotKeyTakenError(Exception):
    """The unique key on (host, start, end) of accepted bookings refused the row."""


@dataclass(frozen=True)
class Rescheduled:
    """Both rows of one reschedule. `cancelled` is None when the old row was not live any more."""

    cancelled: Booking | None
    created: Booking


class Calendar:
    """All bookings of all hosts. Methods never wait, so each of them is atomic in an event loop."""

    def __init__(self) -> None:
        self._bookings: dict[str, Booking] = {}
        self._uids_by_attendee: defaultdict[str, list[str]] = defaultdict(list)
        self._live_by_host: defaultdict[int, list[tuple[datetime, datetime, str]]] = defaultdict(list)
        self._slot_keys: dict[tuple[int, datetime, datetime], str] = {}
        self._longest = timedelta(0)
        self._live_count = 0

    @property
    def live_count(self) -> int:
        return self._live_count

    def get(self, uid: str) -> Booking | None:
        return self._bookings.get(uid)

    def bookings(self, attendee_email: str | None = None) -> Iterable[Booking]:
        """All bookings in order of creation, or those of one attendee."""
        if attendee_email is None:
            return self._bookings.values()
        return [self._bookings[uid] for uid in self._uids_by_attendee.get(attendee_email, ())]

    def is_free(self, host: Host, start: datetime, end: datetime, *, ignoring: str | None = None) -> bool:
        """The availability check: inside opening hours and overlapping no live booking but `ignoring`."""
        opens, closes = host.opening_hours(start.astimezone(host.zone).date())
        return opens <= start and end <= closes and all(uid == ignoring for uid in self._live_between(host, start, end))

    def overlapping(self, host: Host, start: datetime, end: datetime) -> Booking | None:
        """The first live booking of the host in that time."""
        return next((self._bookings[uid] for uid in self._live_between(host, start, end)), None)

    def of_attendee_at(self, draft: Draft) -> Booking | None:
        """The live booking that the same attendee has of the same event type at the same start."""
        own = (self._bookings[uid] for uid in self._uids_by_attendee.get(draft.attendee.email, ()))
        wanted = (draft.event_type.id, draft.start)
        return next((each for each in own if each.status.is_live and _of(each) == wanted), None)

    def insert(self, draft: Draft, now: datetime) -> Booking:
        """Adds a booking without looking at overlaps: pending where the event type wants a confirmation, else accepted.

        Only accepted ones have the unique key (section 1.11). Raises SlotKeyTakenError.
        """
        return self._add(draft, now)

    def confirm(self, uid: str, now: datetime) -> Booking:
        """A pending booking is accepted: no overlap is looked for and no key is set (section 1.11)."""
        booking = self._bookings[uid]
        self._bookings[uid] = replace(booking, status=BookingStatus.ACCEPTED, updated_at=now)
        return self._bookings[uid]

    def decline(self, uid: str, reason: str | None, now: datetime) -> Booking:
        """A pending booking is rejected, and its time is free again."""
        booking = replace(self._bookings[uid], updated_at=now, cancellation_reason=reason)
        return self._end(booking, BookingStatus.REJECTED)

    def cancel(self, uid: str, reason: str | None, now: datetime) -> Booking | None:
        """The cancelled row; None when it was not live any more, which changes nothing."""
        booking = self._bookings[uid]
        if not booking.status.is_live:
            return None
        return self._end(replace(booking, updated_at=now, cancellation_reason=reason))

    def reschedule(
        self, uid: str, start: datetime, now: datetime, *, reason: str | None = None, by: str | None = None
    ) -> Rescheduled:
        """One transaction: the old row is cancelled, a new one with a new uid is inserted (section 1.8).

        It does not look whether the old row is still live: of two concurrent reschedules both succeed (section 1.11).
        Raises SlotKeyTakenError, and then changes nothing.
        """
        old = self._bookings[uid]
        draft = old.draft.at(start)
        owner = self._slot_keys.get(self._slot_key(draft))
        if owner is not None and not (old.status.is_live and owner == uid):
            raise SlotKeyTakenError
        if old.status.is_live:
            self._end(replace(old, updated_at=now, rescheduling_reason=reason, rescheduled_by=by))
        created = self._add(draft, now, rescheduled_from_uid=uid, rescheduling_reason=reason, rescheduled_by=by)
        self._bookings[uid] = replace(self._bookings[uid], rescheduled_to_uid=created.uid)
        return Rescheduled(cancelled=self._bookings[uid] if old.status.is_live else None, created=created)

    def _live_between(self, host: Host, start: datetime, end: datetime) -> Iterator[str]:
        """The uids of the host's live bookings that overlap, in order of their start."""
        live = self._live_by_host[host.user_id]
        first = bisect_left(live, start - self._longest, key=itemgetter(0))
        for other_start, other_end, uid in live[first:]:
            if other_start >= end:
                return
            if other_end > start:
                yield uid

    def _add(self, draft: Draft, now: datetime, **origin: str | None) -> Booking:
        key = self._slot_key(draft)
        status = BookingStatus.PENDING if draft.event_type.requires_confirmation else BookingStatus.ACCEPTED
        if status is BookingStatus.ACCEPTED and key in self._slot_keys:
            raise SlotKeyTakenError
        booking_id = len(self._bookings) + 1
        booking = Booking(
            id=booking_id,
            uid=_new_uid(draft, now, booking_id),
            draft=draft,
            status=status,
            created_at=now,
            updated_at=now,
            **origin,
        )
        if status is BookingStatus.ACCEPTED:
            self._slot_keys[key] = booking.uid
        self._bookings[booking.uid] = booking
        self._uids_by_attendee[draft.attendee.email].append(booking.uid)
        insort(self._live_by_host[draft.host.user_id], (booking.start, booking.end, booking.uid))
        self._longest = max(self._longest, draft.event_type.length)
        self._live_count += 1
        return booking

    def _end(self, booking: Booking, status: BookingStatus = BookingStatus.CANCELLED) -> Booking:
        """Stores the booking as cancelled or rejected, and frees its time."""
        ended = replace(booking, status=status)
        self._bookings[ended.uid] = ended
        if self._slot_keys.get(self._slot_key(ended.draft)) == ended.uid:
            del self._slot_keys[self._slot_key(ended.draft)]
        self._live_by_host[ended.host.user_id].remove((ended.start, ended.end, ended.uid))
        self._live_count -= 1
        return ended

    @staticmethod
    def _slot_key(draft: Draft) -> tuple[int, datetime, datetime]:
        return draft.host.user_id, draft.start, draft.end


def _of(booking: Booking) -> tuple[int, datetime]:
    return booking.draft.event_type.id, booking.start


_BASE58 = "123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"
_UID_LENGTH = 22


def _new_uid(draft: Draft, now: datetime, booking_id: int) -> str:
    """22 characters from username, start and the current time (section 1.6).

    The id joins them here, because two of Cal.com's own uids of one millisecond collide.
    """
    name = f"{draft.host.username}:{iso_ms(draft.start)}:{now.timestamp()}:{booking_id}"
    number = uuid.uuid5(uuid.NAMESPACE_URL, name).int
    digits = ""
    while number:
        number, digit = divmod(number, len(_BASE58))
        digits = _BASE58[digit] + digits
    return digits.rjust(_UID_LENGTH, _BASE58[0])
