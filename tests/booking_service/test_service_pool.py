"""Bounded waits for database connections (FACTS-faults.md rows 21, 22), and a database that goes away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace
from typing import cast

import asyncpg
import pytest
from tests.booking_service.kit.harness import Serve, Service, until

from booking_service.flaws import Flaw
from booking_service.pool import Admission, Connection, ConnectionPool, PoolExhaustedError
from booking_service.trace import Trace


class FakeConnection:
    def __init__(self) -> None:
        self.closed = False

    def is_closed(self) -> bool:
        return self.closed

    def terminate(self) -> None:
        self.closed = True

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - asyncpg calls it so
        self.closed = True


class FakeServer:
    """Accepts up to `room` connections, then says "too many clients"."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.attempts = 0

    async def connect(self) -> Connection:
        self.attempts += 1
        if self.room == 0:
            raise asyncpg.TooManyConnectionsError("too many clients")
        self.room -= 1
        return cast(Connection, FakeConnection())


def pool_of(server: FakeServer, size: int, wait_s: float | None = 0.1, max_waiters: int | None = 2) -> ConnectionPool:
    admission = Admission(wait_s, max_waiters)
    return ConnectionPool(server.connect, size, admission, growth_pause_s=0.02, trace=Trace(None))


async def test_connections_are_opened_when_needed_and_used_again() -> None:
    server = FakeServer(room=5)
    pool = pool_of(server, size=5)
    first = await pool.acquire()
    pool.release(first)
    assert await pool.acquire() is first
    assert (pool.open_connections, server.attempts) == (1, 1)


async def test_waiters_are_served_in_order_and_urgent_ones_first() -> None:
    pool = pool_of(FakeServer(room=1), size=1, wait_s=5, max_waiters=5)
    held = await pool.acquire()
    order: list[str] = []

    async def want(name: str, *, urgent: bool = False) -> None:
        connection = await pool.acquire(urgent=urgent)
        order.append(name)
        pool.release(connection)

    tasks = [asyncio.create_task(want("first")), asyncio.create_task(want("second"))]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(want("urgent", urgent=True)))
    await asyncio.sleep(0)
    assert pool.waiting == 3
    pool.release(held)
    await asyncio.gather(*tasks)
    assert order == ["urgent", "first", "second"]


async def test_the_wait_and_the_queue_are_bounded() -> None:
    pool = pool_of(FakeServer(room=1), size=1)
    await pool.acquire()
    results = await asyncio.gather(*(pool.acquire() for _ in range(4)), return_exceptions=True)
    assert [type(result) for result in results] == [PoolExhaustedError] * 4
    assert {str(result) for result in results} == {
        "too many callers wait for a database connection",
        "no database connection came free in time",
    }
    assert pool.waiting == 0


async def test_a_server_without_room_is_not_stormed_and_a_release_is_enough() -> None:
    server = FakeServer(room=1)
    pool = pool_of(server, size=10, wait_s=5, max_waiters=20)
    held = await pool.acquire()
    waiting = [asyncio.create_task(pool.acquire()) for _ in range(10)]
    await asyncio.sleep(0.1)
    assert server.attempts < 20
    pool.release(held)
    done, pending = await asyncio.wait(waiting, timeout=1, return_when=asyncio.FIRST_COMPLETED)
    assert done.pop().result() is held
    server.room = 20
    await asyncio.gather(*pending)
    assert pool.open_connections == 10


async def test_growth_resumes_by_itself_whatever_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else comes: the one waiter depends on the end of the pause alone."""
    monkeypatch.setattr("booking_service.pool.time", SimpleNamespace(monotonic=lambda: 0.0))
    server = FakeServer(room=0)
    pool = pool_of(server, size=1, wait_s=None)
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    assert (server.attempts, pool.waiting) == (1, 1)
    server.room = 1
    async with asyncio.timeout(5):
        await waiting


async def test_a_cancelled_waiter_does_not_lose_a_connection() -> None:
    pool = pool_of(FakeServer(room=1), size=1, wait_s=5)
    held = await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    pool.release(held)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await pool.acquire() is held


async def test_a_closed_connection_makes_room() -> None:
    server = FakeServer(room=2)
    pool = pool_of(server, size=1, wait_s=5)
    held = await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    held.terminate()
    pool.release(held)
    assert await waiting is not held


async def test_closing_does_not_depend_on_a_server_that_hangs() -> None:
    class HungConnection(FakeConnection):
        async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - asyncpg calls it so
            raise TimeoutError

    hung = cast(Connection, HungConnection())

    async def connect() -> Connection:
        return hung

    pool = ConnectionPool(connect, 1, Admission(None, None), growth_pause_s=0.02, trace=Trace(None))
    pool.release(await pool.acquire())
    await pool.close()
    assert (hung.is_closed(), pool.open_connections) == (True, 0)


async def hold_all(service: Service, count: int) -> Callable[[], None]:
    connections = [await service.parts.database.pool.acquire() for _ in range(count)]

    def let_go() -> None:
        for connection in connections:
            service.parts.database.pool.release(connection)

    return let_go


async def fill_up(database_url: str) -> list[asyncpg.Connection]:
    """Connections from outside, until the server takes no more."""
    others: list[asyncpg.Connection] = []
    with contextlib.suppress(asyncpg.TooManyConnectionsError):
        while True:
            others.append(await asyncpg.connect(database_url))
    return others


async def test_hardened_sheds_when_no_connection_comes_free(serve: Serve) -> None:
    async with serve(Flaw.NO_RECONCILER, db_pool_size=1) as service:
        await service.caller().webhook("call_started")
        let_go = await hold_all(service, 1)
        answers = await asyncio.gather(*(service.caller().webhook("call_started") for _ in range(5)))
        assert {(answer.status, answer.code, answer.effect) for answer in answers} == {(503, "overloaded", "none")}
        assert len(service.events("shed")) == 5
        let_go()
        assert (await service.caller().webhook("call_started")).status == 204


async def test_the_flaw_lets_everybody_queue(serve: Serve) -> None:
    async with serve(Flaw.UNBOUNDED_POOL_WAIT, Flaw.NO_RECONCILER, db_pool_size=1) as service:
        await service.caller().webhook("call_started")
        let_go = await hold_all(service, 1)
        waiting = [asyncio.create_task(service.caller().webhook("call_started")) for _ in range(5)]

        async def all_queue() -> bool:
            return service.parts.database.pool.waiting == 5

        await until(all_queue)
        done, _ = await asyncio.wait(waiting, timeout=0.6)
        assert not done
        let_go()
        assert {answer.status for answer in await asyncio.gather(*waiting)} == {204}


async def test_too_many_clients_outside_is_shed_and_heals(serve: Serve, database_url: str) -> None:
    async with serve(db_pool_size=30) as service:
        others = await fill_up(database_url)
        answers = await asyncio.gather(*(service.caller().webhook("call_started") for _ in range(20)))
        assert [answer.body for answer in answers if answer.status != 204] == []  # one connection is enough for these
        let_go = await hold_all(service, 1)
        assert (await service.caller().webhook("call_started")).code == "overloaded"
        let_go()
        for other in others:
            await other.close()


async def test_a_database_that_drops_its_connections_is_reconnected(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        await service.caller().webhook("call_started")
        await service.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'booking_service'"
        )
        answers = [await service.caller().book(ten) for _ in range(3)]
        assert {answer.code for answer in answers} <= {"database_unavailable", "confirmed", "slot_taken"}
        assert answers[-1].code in ("confirmed", "slot_taken")
        await service.until_settled()
