"""A small world written by hand, and real servers of the stubs on ephemeral ports of this test's event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests.stubs.calcom_shapes import validate_reply

from calcom_stub.pacing import LatencyProfile
from calcom_stub.serving import Listener, bound_socket, serve
from calcom_stub.stub import CalcomStub, Settings, utc_now
from calcom_stub.world import World, parse_world

KEY = "cal_weber"
OTHER_KEY = "cal_fischer"
DEADLINE_S = 10.0


def _person(number: int, *event_types: tuple[int, str, int, int]) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"Person {number}",
        "email": f"person.{number}@example.com",
        "calcom_user_id": 1000 + number,
        "calcom_username": f"person-{number}",
        "opens_min": 540,
        "closes_min": 660,
        "event_types": [
            {"id": type_id, "slug": slug, "service_id": service_id, "length_min": length_min}
            for type_id, slug, service_id, length_min in event_types
        ],
    }


@pytest.fixture
def world_document() -> dict[str, Any]:
    """Berlin: 09:00-11:00, 45 and 30 minutes on a grid of 15; a second company in London."""
    haircut = {"id": 1, "name": "Haircut", "duration_min": 45, "grid_min": 15}
    beard = {"id": 2, "name": "Beard trim", "duration_min": 30, "grid_min": 15}
    berlin = {
        "id": 1,
        "name": "Mitte",
        "phone": "+493012345001",
        "time_zone": "Europe/Berlin",
        "services": [haircut, beard],
        "people": [_person(1, (5001, "haircut", 1, 45), (5002, "beard", 2, 30)), _person(2, (5003, "haircut", 1, 45))],
    }
    london = {**berlin, "id": 2, "time_zone": "Europe/London", "people": [_person(3, (6001, "haircut", 1, 45))]}
    return {
        "anchor_date": "2027-03-01",
        "companies": [
            {"id": 1, "name": "Salon Weber", "calcom_api_key": KEY, "branches": [berlin]},
            {"id": 2, "name": "Salon Fischer", "calcom_api_key": OTHER_KEY, "branches": [london]},
        ],
    }


@pytest.fixture
def world(world_document: dict[str, Any]) -> World:
    return parse_world(world_document)


def day_of(hour: int, minute: int = 0, second: int = 0) -> datetime:
    """An instant (UTC) of the world's first day; Berlin opens at 08:00 UTC and closes at 10:00."""
    return datetime(2027, 3, 1, hour, minute, second, tzinfo=UTC)


@pytest.fixture
def at() -> Callable[..., datetime]:
    return day_of


@dataclass
class RunningCalcom:
    """A Cal.com stub that serves, with clients for both listeners and the requests that tests send most."""

    api: httpx.AsyncClient
    control: httpx.AsyncClient
    ledger_path: Path
    trace_path: Path

    def wish(self, start: str, *, event_type_id: int = 5001, **more: Any) -> dict[str, Any]:
        attendee = {"name": "Erika", "email": "erika@example.com", "timeZone": "Europe/Berlin"}
        return {"start": start, "eventTypeId": event_type_id, "attendee": attendee, **more}

    async def book(self, start: str, **more: Any) -> httpx.Response:
        return await self.post_booking(self.wish(start, **more))

    async def post_booking(self, body: Any) -> httpx.Response:
        return await self.api.post("/v2/bookings", json=body)

    async def slots(self, **parameters: Any) -> httpx.Response:
        defaults = {"eventTypeId": 5001, "start": "2027-03-01", "end": "2027-03-01"}
        query = {name: value for name, value in {**defaults, **parameters}.items() if value is not None}
        return await self.api.get("/v2/slots", params=query, headers={"cal-api-version": "2024-09-04"})

    async def cancel(self, uid: str, **body: Any) -> httpx.Response:
        return await self.api.post(f"/v2/bookings/{uid}/cancel", json=body)

    async def reschedule(self, uid: str, start: str, **body: Any) -> httpx.Response:
        return await self.api.post(f"/v2/bookings/{uid}/reschedule", json={"start": start, **body})

    async def listed(self, **parameters: Any) -> httpx.Response:
        return await self.api.get("/v2/bookings", params=parameters)

    async def hold(self, behaviour_id: str = "stall", **changes: Any) -> httpx.Response:
        """Starts a behaviour; by default it holds bookings between check and insert for longer than a test lasts."""
        body = {
            "endpoint": "bookings.create",
            "stage": "before_insert",
            "kind": "delay",
            "delay_ms": 60_000,
            "lease_s": 120,
            **changes,
        }
        return await self.control.put(f"/control/behaviours/{behaviour_id}", json=body)

    async def observed(self, behaviour_id: str = "stall") -> dict[str, Any]:
        reply = await self.control.get(f"/control/behaviours/{behaviour_id}")
        return dict(reply.json())

    async def release(self, behaviour_id: str = "stall") -> httpx.Response:
        return await self.control.delete(f"/control/behaviours/{behaviour_id}")

    async def until_held(self, count: int, behaviour_id: str = "stall") -> None:
        async def held() -> bool:
            return int((await self.observed(behaviour_id))["matched"]) >= count

        await until(held)

    async def state(self) -> dict[str, Any]:
        return dict((await self.control.get("/control/state")).json())

    async def ledger(self, after: int = 0) -> list[dict[str, Any]]:
        return list((await self.control.get("/control/ledger", params={"after": after})).json()["rows"])

    def ledger_file(self) -> list[dict[str, Any]]:
        return _json_lines(self.ledger_path)

    def trace(self, event: str) -> list[dict[str, Any]]:
        return [line for line in _json_lines(self.trace_path) if line["event"] == event]


def _json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Returns once the condition of another party holds; it can only be asked, so it is polled."""
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():  # noqa: ASYNC110 - the other party has no event to wait for
            await asyncio.sleep(0.01)


@pytest.fixture(name="until")
def until_fixture() -> Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]:
    return until


@asynccontextmanager
async def serving(apps: Sequence[Any]) -> AsyncIterator[list[str]]:
    """Serves apps as the stubs' own main does; yields their base URLs."""
    listeners = [Listener(app, bound_socket(None, 0)) for app in apps]
    urls = [f"http://127.0.0.1:{listener.sock.getsockname()[1]}" for listener in listeners]
    stop, serves = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(listeners, stop, serves.set))
        await serves.wait()
        try:
            yield urls
        finally:
            stop.set()


@pytest.fixture(name="serving")
def serving_fixture() -> Callable[[Sequence[Any]], Any]:
    return serving


@pytest_asyncio.fixture
async def start_calcom(world: World, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[RunningCalcom]]]:
    """Starts stubs (settings as keywords; no latency unless asked for) and stops them after the test."""
    async with AsyncExitStack() as stack:

        async def start(now: Callable[[], datetime] = utc_now, served: bool = False, **settings: Any) -> RunningCalcom:
            paths = {"ledger_path": tmp_path / "ledger.jsonl", "trace_path": tmp_path / "trace.jsonl"}
            chosen = Settings(**{"latency": LatencyProfile.NONE, "requests_per_min": 10_000, **paths, **settings})
            stub = CalcomStub(world, chosen, now=now)
            stack.callback(stub.close)
            stack.push_async_callback(stub.stop)
            hooks = {"response": [validate_reply]}
            headers = {"Authorization": f"Bearer {KEY}", "cal-api-version": "2024-08-13"}
            if served:
                api_url, control_url = await stack.enter_async_context(serving([stub.api, stub.control]))
                api = httpx.AsyncClient(base_url=api_url, headers=headers, timeout=DEADLINE_S, event_hooks=hooks)
                control = httpx.AsyncClient(base_url=control_url, timeout=DEADLINE_S)
            else:
                to_api, to_control = httpx.ASGITransport(stub.api), httpx.ASGITransport(stub.control)
                api = httpx.AsyncClient(base_url="http://stub", headers=headers, transport=to_api, event_hooks=hooks)
                control = httpx.AsyncClient(base_url="http://control", transport=to_control)
            await stack.enter_async_context(api)
            await stack.enter_async_context(control)
            return RunningCalcom(api, control, **paths)

        yield start


@pytest_asyncio.fixture
async def calcom(start_calcom: Callable[..., Awaitable[RunningCalcom]]) -> RunningCalcom:
    """The apps without sockets: for statuses, shapes and texts."""
    return await start_calcom()


@pytest_asyncio.fixture
async def served_calcom(start_calcom: Callable[..., Awaitable[RunningCalcom]]) -> RunningCalcom:
    """The apps on real servers: for everything that is about time, connections and concurrency."""
    return await start_calcom(served=True)
