"""Locks on a real Redis, and the service without it (FACTS-faults.md rows 12, 13, 16)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from tests.booking_service.kit.harness import Serve, until

from booking_service.errors import ServiceError
from booking_service.flaws import Flaw
from booking_service.locks import (
    Acquire,
    LockPolicy,
    LockRequest,
    PersonLocks,
    PersonTime,
    acquire_atomically,
    acquire_check_then_set,
    go_on_without_redis,
    refuse_without_redis,
)
from booking_service.metrics import Metrics
from booking_service.redis_link import RedisLink, RedisUnavailableError
from booking_service.settings import Durations, TimeScale
from booking_service.trace import Trace

T = TypeVar("T")
SCALE = 40.0
"""A lock lives 0.75 s and is waited for 0.1 s."""


@asynccontextmanager
async def locks_on(
    url: str, acquire: Acquire = acquire_atomically, *, renewed: bool = True, needed: bool = False
) -> AsyncIterator[PersonLocks]:
    durations = Durations.at(TimeScale(SCALE))
    trace = Trace(None)
    link = RedisLink(url, durations.redis_budget_s, durations.redis_pause_s, trace)
    policy = LockPolicy(acquire, renewed, refuse_without_redis if needed else go_on_without_redis)
    locks = PersonLocks(link, policy, durations, trace, Metrics())
    try:
        yield locks
    finally:
        await locks.close()
        await link.close()


NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)


def request(person_id: int = 7, begin_min: int = 0, length_min: int = 45) -> LockRequest:
    starts_at = NINE + timedelta(minutes=begin_min)
    time_of_person = PersonTime(person_id, ((starts_at, starts_at + timedelta(minutes=length_min)),))
    return LockRequest(company_id=1, time=time_of_person, operation_id=uuid4())


async def take_all(locks: PersonLocks, count: int) -> int:
    """How many of this many callers got the lock at the same time."""
    results = await asyncio.gather(*(locks.take(request()) for _ in range(count)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, ServiceError)]
    assert all(refusal.code == "busy" for refusal in refused)
    return count - len(refused)


async def test_a_lock_is_taken_by_one(redis_url: str) -> None:
    async with locks_on(redis_url) as locks:
        assert await take_all(locks, 5) == 1


@pytest.mark.parametrize("acquire", [acquire_atomically, acquire_check_then_set])
@pytest.mark.parametrize(
    ("begin_min", "length_min", "shared"),
    [
        (0, 45, True),
        (44, 30, True),
        (-29, 30, True),
        (15, 5, True),
        (-60, 180, True),
        (45, 45, False),
        (-45, 45, False),
    ],
)
async def test_overlapping_ranges_exclude_each_other_and_others_do_not(
    redis_url: str, acquire: Acquire, begin_min: int, length_min: int, shared: bool
) -> None:
    async with locks_on(redis_url, acquire) as locks:
        await locks.take(request())
        other = request(begin_min=begin_min, length_min=length_min)
        if shared:
            with pytest.raises(ServiceError, match="busy"):
                await locks.take(other)
        else:
            await locks.take(other)


async def test_a_refused_lock_leaves_no_part_taken(redis_url: str) -> None:
    async with locks_on(redis_url) as locks, Redis.from_url(redis_url) as client:
        held, refused = request(), request(begin_min=-30)
        await locks.take(held)
        with pytest.raises(ServiceError, match="busy"):
            await locks.take(refused)
        assert await client.exists(*refused.keys) == await client.exists(*set(refused.keys) & set(held.keys)) == 3
        await locks.release(held.operation_id)
        assert await client.exists(*held.keys) == 0


async def test_looking_before_taking_lets_several_in(redis_url: str) -> None:
    async with locks_on(redis_url, acquire_check_then_set) as locks:
        assert await take_all(locks, 5) > 1


async def test_a_waiter_gets_the_lock_when_it_is_released(redis_url: str) -> None:
    async with locks_on(redis_url) as locks:
        first, second = request(), request()
        await locks.take(first)
        waiting = asyncio.create_task(locks.take(second))
        await asyncio.sleep(0)
        await locks.release(first.operation_id)
        await waiting


async def test_a_lock_is_renewed_only_where_the_policy_says_so(redis_url: str) -> None:
    async with (
        locks_on(redis_url) as renewing,
        locks_on(redis_url, renewed=False) as leaving,
        Redis.from_url(redis_url) as client,
    ):
        renewed, left = request(person_id=1), request(person_id=2)
        await renewing.take(renewed)
        await leaving.take(left)

        async def expired() -> bool:
            return not await client.exists(*left.keys)

        await until(expired)
        assert await client.exists(*renewed.keys) == len(renewed.keys)


class MissingRenewals(RedisLink):
    """A link on which the first renewals fail."""

    misses = 3
    renewals = 0

    async def run(self, what: str, operation: Callable[[Redis], Awaitable[T]]) -> T:
        if what == "renew":
            if self.misses:
                self.misses -= 1
                raise RedisUnavailableError(what)
            self.renewals += 1
        return await super().run(what, operation)


async def test_missed_renewals_are_made_up_before_the_lock_expires(redis_url: str, tmp_path: Path) -> None:
    durations, trace = Durations.at(TimeScale(SCALE)), Trace(tmp_path / "trace")
    link = MissingRenewals(redis_url, durations.redis_budget_s, durations.redis_pause_s, trace)
    policy = LockPolicy(acquire_atomically, renewed=True, without_redis=go_on_without_redis)
    locks = PersonLocks(link, policy, durations, trace, Metrics())
    await locks.take(request())

    async def renewed() -> bool:
        return link.renewals > 0

    await until(renewed)
    await locks.close()
    await link.close()
    assert "lock_lost" not in (tmp_path / "trace").read_text()


class DeafRenewals(RedisLink):
    """A link on which a cancellation gets lost, as it does when it meets a timeout inside the Redis client."""

    renewals = 0

    async def run(self, what: str, operation: Callable[[Redis], Awaitable[T]]) -> T:
        if what != "renew":
            return await super().run(what, operation)
        self.renewals += 1
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        raise RedisUnavailableError(what)


async def test_a_renewal_ends_with_its_hold_even_when_its_cancellation_is_lost(redis_url: str, tmp_path: Path) -> None:
    durations, trace = Durations.at(TimeScale(SCALE)), Trace(tmp_path / "trace")
    link = DeafRenewals(redis_url, durations.redis_budget_s, durations.redis_pause_s, trace)
    policy = LockPolicy(acquire_atomically, renewed=True, without_redis=go_on_without_redis)
    locks = PersonLocks(link, policy, durations, trace, Metrics())
    await locks.take(request())

    async def renewing() -> bool:
        return link.renewals > 0

    await until(renewing)
    async with asyncio.timeout(10):
        await locks.close()
    await link.close()
    assert link.renewals == 1


async def test_release_leaves_anothers_lock_alone(redis_url: str) -> None:
    async with locks_on(redis_url, renewed=False) as locks, Redis.from_url(redis_url) as client:
        held = request()
        await locks.take(held)
        await client.set(held.keys[1], "somebody else")
        await locks.release(held.operation_id)
        assert await client.mget(held.keys) == [None, b"somebody else", *[None] * 7]


async def test_a_vanished_lock_is_taken_again(redis_url: str) -> None:
    async with locks_on(redis_url) as locks, Redis.from_url(redis_url) as client:
        held = request()
        await locks.take(held)
        await client.delete(*held.keys[:-1])

        async def whole() -> bool:
            return await client.mget(held.keys) == [held.token.encode()] * len(held.keys)

        assert not await whole()
        await until(whole)


async def test_the_owner_recognises_its_own_lock(redis_url: str) -> None:
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        assert await acquire_atomically(client, ("key", "next"), "token", 1000) is None
        assert await acquire_atomically(client, ("key", "next"), "token", 1000) is None
        assert await acquire_atomically(client, ("next", "third"), "other", 1000) == "token"


async def test_without_redis_the_policy_decides(closed_redis_url: str) -> None:
    async with locks_on(closed_redis_url) as locks:
        await locks.take(request())
    async with locks_on(closed_redis_url, needed=True) as locks:
        with pytest.raises(ServiceError, match="redis_unavailable"):
            await locks.take(request())


async def test_a_hung_redis_costs_its_budget_once(tmp_path: Path) -> None:
    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = RedisLink(f"redis://127.0.0.1:{port}/0", budget_s=0.05, pause_s=30.0, trace=Trace(tmp_path / "trace"))
    try:
        for _ in range(20):
            with pytest.raises(RedisUnavailableError):
                await link.ping()
        assert (tmp_path / "trace").read_text().count("redis_unavailable") == 1
    finally:
        await link.close()
        server.close()
        await server.wait_closed()


async def test_redis_is_used_again_after_an_outage(redis_url: str) -> None:
    link = RedisLink(redis_url, budget_s=0.1, pause_s=0.05, trace=Trace(None))
    async with Redis.from_url(redis_url) as client:
        await client.client_pause(400)

    async def answers() -> bool:
        try:
            await link.ping()
        except RedisUnavailableError:
            return False
        return True

    assert not await answers()
    await until(answers)
    await link.close()


async def test_booking_goes_on_without_redis(serve: Serve, ten: datetime, closed_redis_url: str) -> None:
    async with serve(redis_url=closed_redis_url) as service:
        answers = await asyncio.gather(*(service.caller().book(ten + timedelta(minutes=15 * n)) for n in range(3)))
        assert sorted(answer.code for answer in answers) == ["confirmed", "slot_taken", "slot_taken"]
        assert (await service.caller().webhook("call_started")).status == 204


async def test_with_redis_required_everything_stops(serve: Serve, ten: datetime, closed_redis_url: str) -> None:
    async with serve(Flaw.REDIS_REQUIRED, redis_url=closed_redis_url) as service:
        caller = service.caller()
        for answer in (
            await caller.book(ten),
            await caller.cancel(str(uuid4())),
            await caller.function("check_availability", service_id=1, date="2027-01-01"),
            await caller.webhook("call_started"),
        ):
            assert (answer.status, answer.code, answer.effect) == (503, "redis_unavailable", "none")
        assert (await service.client.get("/healthz")).status_code == 200
