"""Who sells what: companies, branches, services and people, made with Faker from the seed (docs/interfaces.md)."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from slotproof.plan.scenario import Options

_TIME_ZONE = "Europe/Berlin"


@dataclass(frozen=True)
class EventType:
    id: int
    slug: str
    service_id: int
    length_min: int
    offset_min: int = 0
    """A part of a service begins so long after the service does."""


@dataclass(frozen=True)
class Person:
    id: int
    name: str
    email: str
    calcom_user_id: int
    calcom_username: str
    opens_min: int
    closes_min: int
    event_types: tuple[EventType, ...]

    def parts_min(self, service: Service) -> list[tuple[int, int]]:
        """Begin and length of each part of the service, in minutes from its start; one for most services."""
        return sorted((each.offset_min, each.length_min) for each in self.event_types if each.service_id == service.id)


@dataclass(frozen=True)
class Service:
    id: int
    name: str
    duration_min: int
    grid_min: int


@dataclass(frozen=True)
class Branch:
    id: int
    name: str
    phone: str
    time_zone: str
    services: tuple[Service, ...]
    people: tuple[Person, ...]


@dataclass(frozen=True)
class Company:
    id: int
    name: str
    calcom_api_key: str
    branches: tuple[Branch, ...]


@dataclass(frozen=True)
class World:
    anchor_date: date
    companies: tuple[Company, ...]

    def save(self, path: Path) -> None:
        fields = asdict(self)
        fields["anchor_date"] = self.anchor_date.isoformat()
        path.write_text(json.dumps(fields, indent=1, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> World:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return cls(date.fromisoformat(fields["anchor_date"]), tuple(_company(c) for c in fields["companies"]))

    def people(self) -> Iterator[tuple[Company, Branch, Person]]:
        for company in self.companies:
            for branch in company.branches:
                for person in branch.people:
                    yield company, branch, person


def start_times_s(branch: Branch, person: Person, service: Service, day: date) -> list[int]:
    """UTC seconds at which the person's service can start on that local day."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(branch.time_zone))
    last = person.closes_min - service.duration_min
    return [
        int((midnight + timedelta(minutes=minute)).astimezone(UTC).timestamp())
        for minute in range(person.opens_min, last + 1, service.grid_min)
    ]


def default_anchor(today: date) -> date:
    """The first Monday at least 30 days ahead, so that every booking of a run lies in the future."""
    ahead = today + timedelta(days=30)
    return ahead + timedelta(days=-ahead.weekday() % 7)


def make_world(options: Options, seed: int, anchor: date) -> World:
    """The same seed makes the same people. One branch a company; a person has one event type per service."""
    # Faker costs 0.3 s to import, which only the harness should pay, not each worker.
    from faker import Faker

    faker = Faker("de_DE")
    faker.seed_instance(seed)
    keys = random.Random(f"world/{seed}")
    companies = []
    person_id = 0
    for company_id in range(1, options.companies + 1):
        service = Service(company_id, "Haircut", options.service_min, options.grid_min)
        people = []
        for _ in range(options.people):
            person_id += 1
            first, last = faker.unique.first_name(), faker.last_name()
            slug = _ascii(f"{first}-{last}-{person_id}")
            people.append(
                Person(
                    id=person_id,
                    name=f"{first} {last}",
                    email=f"{slug}@example.com",
                    calcom_user_id=1000 + person_id,
                    calcom_username=slug,
                    opens_min=options.opens_min,
                    closes_min=options.closes_min,
                    event_types=tuple(_event_types(options, service, person_id)),
                )
            )
        branch = Branch(company_id, faker.city(), f"+4930555{company_id:05d}", _TIME_ZONE, (service,), tuple(people))
        name = f"Salon {faker.last_name()}"
        companies.append(Company(company_id, name, f"cal_{keys.getrandbits(128):032x}", (branch,)))
    return World(anchor, tuple(companies))


def _event_types(options: Options, service: Service, person_id: int) -> Iterator[EventType]:
    """One for each part of the service."""
    for place, (begin_min, length_min) in enumerate(options.parts_min or ((0, options.service_min),)):
        suffix = f"-part-{place + 1}" if options.parts_min else ""
        slug = f"haircut-{length_min}{suffix}"
        yield EventType(5000 + person_id + 100_000 * place, slug, service.id, length_min, begin_min)


def _ascii(text: str) -> str:
    plain = text.lower()
    for letter, replacement in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss"), (" ", "-")):
        plain = plain.replace(letter, replacement)
    return "".join(c for c in plain if c.isascii() and (c.isalnum() or c == "-"))


def _company(fields: dict[str, Any]) -> Company:
    branches = tuple(
        Branch(
            **{
                **branch,
                "services": tuple(Service(**service) for service in branch["services"]),
                "people": tuple(
                    Person(**{**person, "event_types": tuple(EventType(**e) for e in person["event_types"])})
                    for person in branch["people"]
                ),
            }
        )
        for branch in fields["branches"]
    )
    return Company(**{**fields, "branches": branches})
