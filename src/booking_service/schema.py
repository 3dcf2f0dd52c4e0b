"""Creates the tables, fills the master data from `world.json`, and switches the exclusion constraint."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import asyncpg
from pydantic import BaseModel, ConfigDict

from booking_service.pool import Connection

EXCLUSION_CONSTRAINT = "appointments_person_sold_once"
_SCHEMA_LOCK = "booking_service schema"
Row = tuple[object, ...]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class WorldEventType(_Part):
    id: int
    slug: str
    service_id: int
    length_min: int
    offset_min: int = 0


class WorldPerson(_Part):
    id: int
    name: str
    email: str
    calcom_user_id: int
    calcom_username: str
    opens_min: int
    closes_min: int
    event_types: list[WorldEventType]


class WorldService(_Part):
    id: int
    name: str
    duration_min: int
    grid_min: int


class WorldBranch(_Part):
    id: int
    name: str
    phone: str
    time_zone: str
    services: list[WorldService]
    people: list[WorldPerson]


class WorldCompany(_Part):
    id: int
    name: str
    calcom_api_key: str
    branches: list[WorldBranch]


class World(_Part):
    """`world.json` (docs/interfaces.md): who sells what."""

    companies: list[WorldCompany]


async def prepare(connection: Connection, *, overlaps_excluded: bool) -> None:
    """Creates what is missing and makes the exclusion constraint as wanted. Safe to run from several processes.

    Raises:
        asyncpg.ExclusionViolationError: the constraint is wanted but rows overlap already.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", _SCHEMA_LOCK)
        await connection.execute(files("booking_service").joinpath("schema.sql").read_text(encoding="utf-8"))
        if await _overlaps_excluded(connection) == overlaps_excluded:
            return
        if overlaps_excluded:
            await connection.execute(
                f"ALTER TABLE appointments ADD CONSTRAINT {EXCLUSION_CONSTRAINT} EXCLUDE USING gist "
                "(person_id WITH =, held WITH &&) WHERE (state <> 'cancelled')"
            )
        else:
            await connection.execute(f"ALTER TABLE appointments DROP CONSTRAINT {EXCLUSION_CONSTRAINT}")


async def seed(connection: Connection, world: World) -> None:
    """Fills or updates the master data; rows that the world no longer names stay."""
    async with connection.transaction():
        for table, columns, key, rows in _tables(world):
            await _upsert(connection, table, columns, key, list(rows))


async def _overlaps_excluded(connection: Connection) -> bool:
    query = "SELECT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = $1)"
    return bool(await connection.fetchval(query, EXCLUSION_CONSTRAINT))


async def _upsert(connection: Connection, table: str, columns: str, key: str, rows: list[Row]) -> None:
    names = columns.split()
    values = ", ".join(f"${n}" for n in range(1, len(names) + 1))
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in key.split(", "))
    await connection.executemany(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values}) ON CONFLICT ({key}) DO UPDATE SET {changes}", rows
    )


def _tables(world: World) -> Iterator[tuple[str, str, str, Iterator[Row]]]:
    branches = [(company, branch) for company in world.companies for branch in company.branches]
    people = [(company, branch, person) for company, branch in branches for person in branch.people]
    yield "companies", "id name calcom_api_key", "id", ((c.id, c.name, c.calcom_api_key) for c in world.companies)
    yield (
        "branches",
        "id company_id name phone time_zone",
        "id",
        ((b.id, c.id, b.name, b.phone, b.time_zone) for c, b in branches),
    )
    yield (
        "services",
        "branch_id id company_id name duration_min grid_min",
        "branch_id, id",
        ((b.id, s.id, c.id, s.name, s.duration_min, s.grid_min) for c, b in branches for s in b.services),
    )
    yield (
        "people",
        "id company_id branch_id name email calcom_user_id calcom_username opens_min closes_min",
        "id",
        (
            (p.id, c.id, b.id, p.name, p.email, p.calcom_user_id, p.calcom_username, p.opens_min, p.closes_min)
            for c, b, p in people
        ),
    )
    yield (
        "event_types",
        "id company_id branch_id person_id service_id slug length_min offset_min",
        "id",
        (
            (e.id, c.id, b.id, p.id, e.service_id, e.slug, e.length_min, e.offset_min)
            for c, b, p in people
            for e in p.event_types
        ),
    )


async def connect(url: str) -> Connection:
    """A plain connection for schema work, without the service's statement limits."""
    return await asyncpg.connect(url)
