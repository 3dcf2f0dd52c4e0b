"""Sentences that a board reads: names, local times of day, life-size seconds from the load's start."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from slotproof.checks.bookings import Booking, Range, Told
from slotproof.checks.requests import Attempt, Request
from slotproof.record.record import Record
from slotproof.record.schemas import Kind, Outcome

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""Not strftime's: a report is in English whatever the machine's locale."""
_PLACES = {"database": "the database", "calendar": "the calendar"}


class Wording:
    """Says things of one record."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._zone = ZoneInfo(record.time_zone)

    def person(self, person: str) -> str:
        return self._record.person_names.get(person, f"person {person}")

    def hours(self, span: Range) -> str:
        """10:15–11:00"""
        return f"{self._local(span[0]):%H:%M}–{self._local(span[1]):%H:%M}"

    def slot(self, person: str, span: Range) -> str:
        """Anna Weber, Tue 2 Mar 10:15–11:00"""
        day = self._local(span[0])
        date = f"{_DAYS[day.weekday()]} {day.day} {_MONTHS[day.month - 1]}"
        return f"{self.person(person)}, {date} {self.hours(span)}"

    def at(self, t_ns: int) -> str:
        """52.4 s"""
        return f"{self._record.life_s(t_ns):.1f} s"

    def duration(self, ns: int) -> str:
        return f"{ns / 1e9 * self._record.time_scale:.1f} s"

    def caller(self, booking: Booking) -> str:
        """Whose booking it is, as the subject of a sentence."""
        if booking.external:
            return "somebody who books directly in the calendar"
        return f"caller {booking.request.call}" if booking.request else "nobody"

    def told(self, booking: Booking, told: Told) -> str:
        return f"{self.caller(booking)} was told {self.hours((told.start_s, told.end_s))} at {self.at(told.from_ns)}"

    def answer(self, request: Request) -> str:
        """What a caller was answered: "was told to wait at 12.0 s"."""
        return self.reply(request.strongest)

    def reply(self, attempt: Attempt) -> str:
        """The same for one attempt."""
        stands = "was told that it is cancelled" if attempt.kind == Kind.CANCEL else "was told that it stands"
        words = {
            Outcome.OK: stands,
            Outcome.TAKEN: "was told that the time is taken",
            Outcome.NOT_HELD: "was told that there is no such booking",
            Outcome.NONE: "was told that nothing was booked",
            Outcome.PENDING: "was told to wait",
            Outcome.UNKNOWN: "got no answer; the call gave up",
        }
        return f"{words[Outcome(attempt.outcome)]} at {self.at(attempt.complete_ns)}"

    def places(self, sources: Iterable[str]) -> str:
        """ "the database", "the calendar", or both."""
        return " and ".join(_PLACES[source] for source in sources)

    def _local(self, utc_s: int) -> datetime:
        return datetime.fromtimestamp(utc_s, UTC).astimezone(self._zone)
