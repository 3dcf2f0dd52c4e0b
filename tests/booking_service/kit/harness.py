"""One service instance under test: started in the test's own event loop, spoken to as Retell speaks to it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import asyncpg
import httpx
from tests.booking_service.kit.world import ANNA, PHONE, SERVICE

from booking_service import signatures
from booking_service.app import create_app
from booking_service.build import assemble
from booking_service.components import Components
from booking_service.flaws import Flaw
from booking_service.settings import Settings

API_KEY = "key_of_the_tests"
WEBHOOK_SECRET = "secret_of_the_tests"


@dataclass
class Answer:
    status: int
    body: dict[str, Any]
    headers: httpx.Headers

    @property
    def code(self) -> str:
        """The error's code, or the status word of a success."""
        return str(self.body["error"]["code"] if "error" in self.body else self.body["status"])

    @property
    def effect(self) -> str:
        return str(self.body["error"]["effect"])

    @property
    def booking(self) -> dict[str, Any]:
        booking: dict[str, Any] = self.body["booking"]
        return booking


class Caller:
    """One phone call. Each has its own number and call id, as the simulated calls have."""

    _count = 0

    def __init__(self, client: httpx.AsyncClient, to_number: str = PHONE) -> None:
        Caller._count += 1
        self.client = client
        self.phone = f"+4917{Caller._count:08d}"
        self.call_id = f"call_{Caller._count}_{time.monotonic_ns()}"
        self.to_number = to_number

    @property
    def call(self) -> dict[str, Any]:
        return {"call_id": self.call_id, "from_number": self.phone, "to_number": self.to_number}

    async def function(self, name: str, request_id: str | None = None, **args: object) -> Answer:
        content = {"name": name, "call": self.call, "args": args}
        return await self.post(f"/functions/{name}", content, request_id)

    async def book(
        self, start: datetime, person: int = ANNA, request_id: str | None = None, service: int = SERVICE
    ) -> Answer:
        return await self.function(
            "book_appointment",
            request_id,
            service_id=service,
            person_id=person,
            start=start.isoformat(),
            customer_name="Mia Muster",
        )

    async def cancel(self, booking_id: str, request_id: str | None = None) -> Answer:
        return await self.function("cancel_appointment", request_id, booking_id=booking_id)

    async def move(self, booking_id: str, start: datetime, request_id: str | None = None) -> Answer:
        return await self.function("reschedule_appointment", request_id, booking_id=booking_id, start=start.isoformat())

    async def free_starts(self, day: datetime, person: int = ANNA, service: int = SERVICE) -> list[str]:
        answer = await self.function(
            "check_availability", service_id=service, date=day.date().isoformat(), person_id=person
        )
        assert answer.status == 200, answer
        return [slot["start"] for slot in answer.body["slots"]]

    async def webhook(self, event: str, **call: object) -> Answer:
        return await self.post("/webhooks/retell", {"event": event, "call": {**self.call, **call}})

    async def post(self, path: str, content: object, request_id: str | None = None) -> Answer:
        body = json.dumps(content).encode()
        headers = {"X-Retell-Signature": signatures.sign(body, API_KEY, time.time_ns() // 1_000_000)}
        if request_id is not None:
            headers["X-Request-Id"] = request_id
        return await self.raw(path, body, headers)

    async def raw(self, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        response = await self.client.post(path, content=body, headers=headers)
        return Answer(response.status_code, response.json() if response.content else {}, response.headers)


@dataclass
class Service:
    parts: Components
    client: httpx.AsyncClient
    database: asyncpg.Connection
    trace_path: Path

    def caller(self, to_number: str = PHONE) -> Caller:
        return Caller(self.client, to_number)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The trace lines of one kind."""
        lines = [json.loads(line) for line in self.trace_path.read_text().splitlines()]
        return [line for line in lines if line["event"] == name]

    async def state(self, appointment_id: str) -> str:
        state: str = await self.database.fetchval("SELECT state FROM appointments WHERE id = $1", appointment_id)
        return state

    async def history(self, appointment_id: str) -> list[tuple[str, str]]:
        rows = await self.database.fetch(
            "SELECT state, actor FROM appointment_history WHERE appointment_id = $1 ORDER BY seq", appointment_id
        )
        return [(row["state"], row["actor"]) for row in rows]

    async def gauge(self, name: str) -> float:
        text = (await self.client.get("/metrics")).text
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))

    async def until_settled(self) -> None:
        """Until nothing is pending and the outbox is empty."""

        async def empty() -> bool:
            return await self.parts.outbox.backlog() == (0, 0)

        await until(empty)


@asynccontextmanager
async def serving(settings: Settings, flaws: frozenset[Flaw], database_url: str) -> AsyncIterator[Service]:
    """The service in this event loop, behind its real ASGI application."""
    parts = assemble(settings, flaws)
    database = await asyncpg.connect(database_url)
    await parts.start()
    try:
        transport = httpx.ASGITransport(app=create_app(parts))
        async with httpx.AsyncClient(transport=transport, base_url="http://service", timeout=30) as client:
            assert settings.trace_path is not None
            yield Service(parts, client, database, settings.trace_path)
    finally:
        await parts.stop()
        await database.close()


class Serve(Protocol):
    def __call__(self, *flaws: Flaw, **changes: object) -> AbstractAsyncContextManager[Service]: ...


async def until(condition: Callable[[], Awaitable[bool]], limit_s: float = 15.0) -> None:
    """Looks again and again: what is waited for happens in another process or in the database."""
    async with asyncio.timeout(limit_s):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


_days = iter(range(400, 4000))


def next_day() -> datetime:
    """10:00 in Berlin on a day that no other test uses."""
    day = datetime.now(UTC) + timedelta(days=next(_days))
    return day.astimezone(ZoneInfo("Europe/Berlin")).replace(hour=10, minute=0, second=0, microsecond=0)
