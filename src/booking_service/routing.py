"""From the number that was called to the branch and company that answer, with what they sell."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as day_time
from functools import cached_property
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from booking_service import errors
from booking_service.database import Database
from booking_service.single_flight import SingleFlight

YEARS = range(1900, 2200)
"""Times outside are nobody's appointment, and not every calendar can read them."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Service(_Part):
    id: int
    name: str
    duration_min: int
    grid_min: int


class Person(_Part):
    id: int
    name: str
    opens_min: int
    closes_min: int


class EventType(_Part):
    """One Cal.com event type: a service of one person, or a part of one, which begins so long after the service does.

    Between two parts the person may serve somebody else (FACTS-calcom-retell.md section 4.1: services of four parts).
    """

    id: int
    person_id: int
    service_id: int
    length_min: int
    offset_min: int = 0


@dataclass(frozen=True)
class Part:
    """A part of a service at a time; most services have one part only."""

    event_type: EventType
    starts_at: datetime
    ends_at: datetime


class Branch(_Part):
    """A branch with its company and everything it sells. Carries the company's Cal.com key."""

    id: int
    company_id: int
    calcom_api_key: str = Field(repr=False)
    name: str
    phone: str
    time_zone: str
    services: tuple[Service, ...]
    people: tuple[Person, ...]
    event_types: tuple[EventType, ...]

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @cached_property
    def _sold(self) -> Mapping[tuple[int, int], tuple[EventType, ...]]:
        sold: dict[tuple[int, int], tuple[EventType, ...]] = {}
        for event_type in sorted(self.event_types, key=lambda each: each.offset_min):
            key = (event_type.person_id, event_type.service_id)
            sold[key] = (*sold.get(key, ()), event_type)
        return sold

    def service(self, service_id: int) -> Service:
        """Raises `ServiceError` `not_found`."""
        for service in self.services:
            if service.id == service_id:
                return service
        raise errors.not_found("This branch has no such service.")

    def person(self, person_id: int) -> Person:
        """Raises `ServiceError` `not_found`."""
        for person in self.people:
            if person.id == person_id:
                return person
        raise errors.not_found("This branch has no such person.")

    def event_types_of(self, person_id: int, service_id: int) -> tuple[EventType, ...]:
        """One for each part, in order. Raises `ServiceError` `not_found` when the person does not offer the service."""
        self.service(service_id)
        self.person(person_id)
        event_types = self._sold.get((person_id, service_id))
        if event_types is None:
            raise errors.not_found("This person does not offer that service.")
        return event_types

    def event_type_by_id(self, event_type_id: int) -> EventType:
        """Raises `ServiceError` `not_found`."""
        for event_type in self.event_types:
            if event_type.id == event_type_id:
                return event_type
        raise errors.not_found("This branch does not offer that any more.")

    def in_utc(self, at: datetime) -> datetime:
        """A time without offset is the branch's local time. Raises `invalid` outside of `YEARS`."""
        if at.year not in YEARS:
            raise errors.invalid("There is no such time.")
        try:
            return (at.replace(tzinfo=self.zone) if at.tzinfo is None else at).astimezone(UTC)
        except OverflowError:
            raise errors.invalid("There is no such time.") from None

    def offering(self, service_id: int, person_id: int | None) -> list[tuple[EventType, ...]]:
        """The parts of a service, by one person or by everybody who offers it. Raises `not_found`."""
        if person_id is not None:
            return [self.event_types_of(person_id, service_id)]
        self.service(service_id)
        return [event_types for (_, service), event_types in self._sold.items() if service == service_id]

    def day(self, of: date) -> tuple[datetime, datetime]:
        """The local day in UTC: midnight to midnight. Raises `invalid` outside of `YEARS`."""
        if of.year not in YEARS:
            raise errors.invalid("There is no such day.")
        following = of + timedelta(days=1)
        return self.in_utc(datetime.combine(of, day_time())), self.in_utc(datetime.combine(following, day_time()))

    def parts_from(self, start: datetime, event_types: tuple[EventType, ...]) -> tuple[Part, ...]:
        """The ranges in UTC that a booking at `start` sells; a start without offset is local time.

        Raises:
            ServiceError: `invalid`, when it is off the grid or outside the person's hours.
        """
        begin = self.in_utc(start)
        local = begin.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        grid_min = self.service(event_types[0].service_id).grid_min
        person = self.person(event_types[0].person_id)
        if local.second or local.microsecond or (minute - person.opens_min) % grid_min:
            raise errors.invalid(f"Starts are every {grid_min} minutes.")
        last_min = max(each.offset_min + each.length_min for each in event_types)
        if minute < person.opens_min or minute + last_min > person.closes_min:
            raise errors.invalid("That is outside the opening hours.")
        return tuple(_part(begin, event_type) for event_type in event_types)


def _part(begin: datetime, event_type: EventType) -> Part:
    starts_at = begin + timedelta(minutes=event_type.offset_min)
    return Part(event_type, starts_at, starts_at + timedelta(minutes=event_type.length_min))


@dataclass(frozen=True)
class Company:
    id: int
    calcom_api_key: str


class Directory:
    """Finds branches; a branch once found is kept for `fresh_s`."""

    def __init__(self, database: Database, fresh_s: float) -> None:
        self._database = database
        self._fresh_s = fresh_s
        self._known: dict[str, tuple[float, Branch]] = {}
        self._reading: SingleFlight[str, Branch | None] = SingleFlight()

    async def branch(self, to_number: str) -> Branch:
        """The branch that has this phone number. Raises `ServiceError` `not_found`."""
        known = self._known.get(to_number)
        if known is not None and time.monotonic() - known[0] < self._fresh_s:
            return known[1]
        branch = await self._reading.run(to_number, lambda: self._read(to_number))
        if branch is None:
            raise errors.not_found("Nobody answers at this number.")
        self._known[to_number] = (time.monotonic(), branch)
        return branch

    async def companies(self) -> list[Company]:
        rows = await self._database.fetch("SELECT id, calcom_api_key FROM companies ORDER BY id")
        return [Company(row["id"], row["calcom_api_key"]) for row in rows]

    async def _read(self, to_number: str) -> Branch | None:
        row = await self._database.fetchrow(_BRANCH, to_number)
        return None if row is None else Branch.model_validate(json.loads(row["branch"]))


_BRANCH = """
SELECT jsonb_build_object(
    'id', b.id, 'company_id', b.company_id, 'calcom_api_key', c.calcom_api_key, 'name', b.name, 'phone', b.phone,
    'time_zone', b.time_zone,
    'services', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                    'id', s.id, 'name', s.name, 'duration_min', s.duration_min, 'grid_min', s.grid_min)
                    ORDER BY s.id), '[]')
                 FROM services s WHERE s.branch_id = b.id AND s.company_id = b.company_id),
    'people', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                  'id', p.id, 'name', p.name, 'opens_min', p.opens_min, 'closes_min', p.closes_min)
                  ORDER BY p.id), '[]')
               FROM people p WHERE p.branch_id = b.id AND p.company_id = b.company_id),
    'event_types', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                       'id', e.id, 'person_id', e.person_id, 'service_id', e.service_id, 'length_min', e.length_min,
                       'offset_min', e.offset_min)
                       ORDER BY e.id), '[]')
                    FROM event_types e WHERE e.branch_id = b.id AND e.company_id = b.company_id)
) AS branch
FROM branches b JOIN companies c ON c.id = b.company_id
WHERE b.phone = $1
"""
