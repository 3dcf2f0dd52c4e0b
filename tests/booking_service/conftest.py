"""Servers once per session, an own database per test, and services with the flaws that a test asks for."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from itertools import count
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from redis import Redis

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.booking_service.kit.faulty_link import FaultyLink
from tests.booking_service.kit.harness import API_KEY, WEBHOOK_SECRET, Serve, Service, next_day, serving
from tests.booking_service.kit.servers import CalcomStub, calcom_stub, postgres, scratch, valkey
from tests.booking_service.kit.world import WORLD

from booking_service import schema
from booking_service.flaws import Flaw
from booking_service.settings import Settings, TimeScale

STUB_TIME_SCALE = 20.0
GENEROUS_S = 3.0
_numbers = count(1)


@pytest.fixture(scope="session")
def world_file() -> Iterator[Path]:
    with scratch() as folder:
        path = folder / "world.json"
        path.write_text(json.dumps(WORLD))
        yield path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    with valkey() as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The session's Redis, without what earlier tests left locked."""
    with Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture(scope="session")
def calcom(world_file: Path) -> Iterator[CalcomStub]:
    with calcom_stub(world_file, STUB_TIME_SCALE) as stub:
        yield stub


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def seeded_database(postgres_server: str) -> str:
    """The URL of a database with schema and master data."""
    admin = await asyncpg.connect(f"{postgres_server}/postgres")
    await admin.execute("CREATE DATABASE seeded")
    await admin.close()
    url = f"{postgres_server}/seeded"
    connection = await asyncpg.connect(url)
    await schema.prepare(connection, overlaps_excluded=True)
    await schema.seed(connection, schema.World.model_validate(WORLD))
    await connection.close()
    return url


@pytest_asyncio.fixture
async def database_url(seeded_database: str) -> str:
    """The session's database, without what earlier tests sold. A copy for each test would take them 0.4 s."""
    connection = await asyncpg.connect(seeded_database)
    await connection.execute(
        "TRUNCATE customers, calls, webhook_events, appointments, operations, appointment_history, "
        "external_bookings RESTART IDENTITY"
    )
    await connection.close()
    return seeded_database


@pytest_asyncio.fixture
async def link(calcom: CalcomStub) -> AsyncIterator[FaultyLink]:
    """The service's link to the Cal.com stub."""
    async with FaultyLink(calcom.url).running() as faulty:
        yield faulty
        assert faulty.misshapen == []


@pytest.fixture
def serve(
    database_url: str, redis_url: str, link: FaultyLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Serve:
    """Starts a service with these flaws; keyword arguments change its settings.

    Its waits on others are scaled, its guards on computing are not, and generous: with those of production a busy
    machine is taken for a dead database, and a refused booking for what the test is about.
    """
    monkeypatch.setattr(TimeScale, "guard", lambda _, life_size_s: max(life_size_s, GENEROUS_S))

    def start(*flaws: Flaw, **changes: object) -> AbstractAsyncContextManager[Service]:
        values: dict[str, object] = {
            "database_url": database_url,
            "redis_url": redis_url,
            "calcom_url": link.url,
            "retell_url": "http://127.0.0.1:9",
            "retell_api_key": API_KEY,
            "calcom_webhook_secret": WEBHOOK_SECRET,
            "time_scale": 4.0,
            "calcom_requests_per_min": 100_000,
            "db_pool_size": 8,
            "trace_path": tmp_path / f"trace-{next(_numbers)}.jsonl",
        }
        settings = Settings.model_validate({**values, **changes, "flaws": frozenset(flaws)})
        return serving(settings, frozenset(flaws), database_url)

    return start


@pytest.fixture
def ten() -> datetime:
    """10:00 in Berlin on a day that is this test's own."""
    return next_day()


@pytest.fixture
def closed_redis_url(unused_tcp_port_factory: Callable[[], int]) -> str:
    """An address where connections are refused."""
    return f"redis://127.0.0.1:{unused_tcp_port_factory()}/0"
