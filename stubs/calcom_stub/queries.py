"""Query strings of GET /v2/slots and GET /v2/bookings (FACTS-calcom-retell.md sections 1.3, 1.4 and 1.7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from calcom_stub.errors import (
    ValidationProblem,
    bad_request,
    invalid_by_custom_pipe,
    invalid_by_global_pipe,
    not_found,
)
from calcom_stub.listing import TAKE_DEFAULT, TAKE_MAX, ListedStatus, ListQuery, SortKey
from calcom_stub.slots import SlotQuery
from calcom_stub.validation import SELECTOR_NEEDED, Field, is_instant, is_time_zone, problems_of
from calcom_stub.wire_time import parse_instant, parse_range_end
from calcom_stub.world import EventType, World

T = TypeVar("T")


def _constraint(accepted: Callable[[str], bool], text: str) -> Field:
    def rule(name: str, value: str) -> ValidationProblem | None:
        return None if accepted(value) else ValidationProblem(name, (text.format(name=name),))

    return Field(rule)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) >= 1


_INSTANT = _constraint(is_instant, "{name} must be a valid ISO 8601 date string")
_REQUIRED_INSTANT = Field(_INSTANT.rule, required=True)
_TEXT = _constraint(lambda value: bool(value), "{name} should not be empty")
_COUNT = _constraint(_is_count, "{name} must be a number string")

_SLOT_OPTIONS = {
    "start": _REQUIRED_INSTANT,
    "end": _REQUIRED_INSTANT,
    "timeZone": _constraint(is_time_zone, "{name} must be a valid IANA time-zone"),
    "duration": _COUNT,
    "format": _constraint(lambda value: value in ("time", "range"), "slotFormat must be either 'range' or 'time'"),
    "bookingUidToReschedule": _TEXT,
}
_SLOT_SELECTORS: tuple[dict[str, Field], ...] = (
    {"eventTypeId": _COUNT},
    {"eventTypeSlug": _TEXT, "username": _TEXT, "organizationSlug": _TEXT},
    {"eventTypeSlug": _TEXT, "teamSlug": _TEXT, "organizationSlug": _TEXT},
    {"usernames": _TEXT, "organizationSlug": _TEXT},
)


def slot_query(parameters: Mapping[str, str], world: World) -> SlotQuery:
    """GET /v2/slots, checked. The keys present choose the selector, eventTypeId first. Raises ApiError."""
    selector = _slot_selector(parameters)
    problems = problems_of(parameters, {**_SLOT_OPTIONS, **selector})
    if problems:
        raise invalid_by_custom_pipe(problems)
    event_type = _slot_event_type(parameters, world)
    starts_from, starts_until = parse_instant(parameters["start"]), parse_range_end(parameters["end"])
    if starts_until < starts_from:
        raise bad_request("Invalid time range given - check the 'start' and 'end' query parameters.")
    return SlotQuery(
        event_type=event_type,
        starts_from=starts_from,
        starts_until=starts_until,
        zone=ZoneInfo(parameters["timeZone"]) if "timeZone" in parameters else UTC,
        with_end=parameters.get("format") == "range",
        length=timedelta(minutes=int(parameters["duration"])) if "duration" in parameters else None,
        ignoring_uid=parameters.get("bookingUidToReschedule"),
    )


def _slot_selector(parameters: Mapping[str, str]) -> dict[str, Field]:
    for selector in _SLOT_SELECTORS:
        if all(name in parameters for name in selector if name != "organizationSlug"):
            return selector
    raise bad_request(SELECTOR_NEEDED)


def _slot_event_type(parameters: Mapping[str, str], world: World) -> EventType:
    if "eventTypeId" in parameters:
        event_type = world.event_type(int(parameters["eventTypeId"]))
    elif "teamSlug" in parameters:  # the world has no teams and no organizations
        raise not_found(f"Team with slug {parameters['teamSlug']} not found")
    else:
        username = parameters.get("username") or parameters["usernames"].split(",")[0]
        if "usernames" in parameters or not world.has_user(username):
            raise not_found(f"User with username {username} not found")
        event_type = world.event_type_of(username, parameters["eventTypeSlug"])
    if event_type is None:
        raise not_found("Event Type not found")
    return event_type


@dataclass
class _ListParameters:
    """Reads one parameter after the other and remembers what was wrong."""

    values: Mapping[str, str]
    problems: list[ValidationProblem]

    def read(self, name: str, convert: Callable[[str], T], text: str) -> T | None:
        """The converted value; None when absent or wrong. `convert` raises ValueError."""
        value = self.values.get(name)
        if value is None:
            return None
        try:
            return convert(value)
        except ValueError:
            self.problems.append(ValidationProblem(name, (f"{name} {text}",)))
            return None

    def instant(self, name: str) -> datetime | None:
        return self.read(name, parse_instant, "must be a valid ISO 8601 date string")

    def ids(self, *names: str) -> frozenset[int] | None:
        given = [self.read(name, _ids, "must be a comma-separated list of numbers") for name in names]
        present = [ids for ids in given if ids is not None]
        return frozenset().union(*present) if present else None

    def number(self, name: str, lowest: int, highest: int, default: int) -> int:
        def convert(text: str) -> int:
            if not lowest <= int(text) <= highest:
                raise ValueError(text)
            return int(text)

        number = self.read(name, convert, f"must be a number from {lowest} to {highest}")
        return default if number is None else number


def list_query(parameters: Mapping[str, str]) -> ListQuery:
    """GET /v2/bookings, checked; unknown keys are dropped, as the global pipe does. Raises ApiError 400."""
    reader = _ListParameters(parameters, [])
    query = ListQuery(
        statuses=reader.read("status", _statuses, "must be one of the known statuses") or frozenset(),
        attendee_email=parameters.get("attendeeEmail"),
        attendee_name=parameters.get("attendeeName"),
        booking_uid=parameters.get("bookingUid"),
        event_type_ids=reader.ids("eventTypeIds", "eventTypeId"),
        team_ids=reader.ids("teamsIds", "teamId"),
        after_start=reader.instant("afterStart"),
        before_end=reader.instant("beforeEnd"),
        after_created_at=reader.instant("afterCreatedAt"),
        before_created_at=reader.instant("beforeCreatedAt"),
        after_updated_at=reader.instant("afterUpdatedAt"),
        before_updated_at=reader.instant("beforeUpdatedAt"),
        sort=_sort(reader),
        take=reader.number("take", 1, TAKE_MAX, TAKE_DEFAULT),
        skip=reader.number("skip", 0, 2**31 - 1, 0),
    )
    if reader.problems:
        raise invalid_by_global_pipe(reader.problems)
    return query


def _statuses(text: str) -> frozenset[ListedStatus]:
    return frozenset(ListedStatus(part) for part in text.split(","))


def _ids(text: str) -> frozenset[int]:
    return frozenset(int(part) for part in text.split(","))


def _sort(reader: _ListParameters) -> tuple[tuple[SortKey, bool], ...]:
    directions = {key: reader.read(key.value, _descending, "must be either 'asc' or 'desc'") for key in SortKey}
    return tuple((key, descending) for key, descending in directions.items() if descending is not None)


def _descending(text: str) -> bool:
    if text not in ("asc", "desc"):
        raise ValueError(text)
    return text == "desc"
