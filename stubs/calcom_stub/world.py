"""Who sells what: `world.json` (docs/interfaces.md, "The world") as the stub needs it.

One person of the world is one Cal.com user ("host"); one event type sells one service of one person.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo


class WorldError(ValueError):
    """The world file lacks something or contradicts itself."""


@dataclass(frozen=True)
class Host:
    """A Cal.com user whose time is sold. Opening hours are minutes after local midnight, the same every day."""

    user_id: int
    username: str
    name: str
    email: str
    company_id: int
    time_zone: str
    opens_min: int
    closes_min: int

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def opening_hours(self, day: date) -> tuple[datetime, datetime]:
        """Opening and closing instants (UTC) of a local day."""
        midnight = datetime.combine(day, time.min, self.zone)
        opens, closes = (midnight + timedelta(minutes=minutes) for minutes in (self.opens_min, self.closes_min))
        return opens.astimezone(UTC), closes.astimezone(UTC)


@dataclass(frozen=True)
class EventType:
    id: int
    slug: str
    title: str
    length_min: int
    grid_min: int
    host: Host
    requires_confirmation: bool = False

    @property
    def length(self) -> timedelta:
        return timedelta(minutes=self.length_min)


class World:
    """Event types by id and by (username, slug); API keys by company."""

    def __init__(self, event_types: Iterator[EventType], company_by_api_key: Mapping[str, int]) -> None:
        self.company_by_api_key = dict(company_by_api_key)
        self._by_id: dict[int, EventType] = {}
        self._by_slug: dict[tuple[str, str], EventType] = {}
        for event_type in event_types:
            if event_type.id in self._by_id:
                raise WorldError(f"event type {event_type.id} appears twice")
            self._by_id[event_type.id] = event_type
            self._by_slug[event_type.host.username, event_type.slug] = event_type

    def event_type(self, event_type_id: int) -> EventType | None:
        return self._by_id.get(event_type_id)

    def event_type_of(self, username: str, slug: str) -> EventType | None:
        return self._by_slug.get((username, slug))

    def event_types(self, company_id: int | None = None) -> list[EventType]:
        """All, or those of one company, in order of their ids."""
        found = sorted(self._by_id.values(), key=lambda each: each.id)
        return [each for each in found if company_id is None or each.host.company_id == company_id]

    def has_user(self, username: str) -> bool:
        return any(known == username for known, _ in self._by_slug)


def load_world(path: Path) -> World:
    """Reads `world.json`. Raises WorldError (what is missing or wrong) and OSError."""
    try:
        return parse_world(json.loads(path.read_text(encoding="utf-8")))
    except json.JSONDecodeError as error:
        raise WorldError(f"{path}: not JSON: {error}") from error


def parse_world(document: Mapping[str, Any]) -> World:
    """The world from its parsed JSON document. Raises WorldError."""
    try:
        keys = {company["calcom_api_key"]: company["id"] for company in document["companies"]}
        return World(_event_types(document), keys)
    except KeyError as error:
        raise WorldError(f"world: key {error} is missing") from error


def _event_types(document: Mapping[str, Any]) -> Iterator[EventType]:
    for company in document["companies"]:
        for branch in company["branches"]:
            services = {service["id"]: service for service in branch["services"]}
            for person in branch["people"]:
                host = _host(company, branch, person)
                for entry in person["event_types"]:
                    service = services[entry["service_id"]]
                    yield EventType(
                        id=entry["id"],
                        slug=entry["slug"],
                        title=service["name"],
                        length_min=entry["length_min"],
                        grid_min=service["grid_min"],
                        host=host,
                        requires_confirmation=entry.get("requires_confirmation", False),
                    )


def _host(company: Mapping[str, Any], branch: Mapping[str, Any], person: Mapping[str, Any]) -> Host:
    return Host(
        user_id=person["calcom_user_id"],
        username=person["calcom_username"],
        name=person["name"],
        email=person["email"],
        company_id=company["id"],
        time_zone=branch["time_zone"],
        opens_min=person["opens_min"],
        closes_min=person["closes_min"],
    )
