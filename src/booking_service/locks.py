"""The lock on a person's time: of the bookings that overlap, one is decided at once (FACTS-faults.md sections 1.2, 5).

The lock covers the range, whatever service asks for it and whatever its start and length: the range is cut into cells
of five minutes, each a key, and all of them are taken at once or none. Not the whole person: Cal.com works 1.5 to 5 s
on a booking, and two callers who want different hours of one person need not wait for each other. The token is the
operation's id: after a lost reply or a restart its owner recognises its own lock. A lock is kept until the outcome of
its operation is known, which may be long after the caller got a 202.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, cast
from uuid import UUID

from redis.asyncio import Redis

from booking_service import errors
from booking_service.metrics import Metrics
from booking_service.redis_link import RedisLink, RedisUnavailableError
from booking_service.settings import Durations
from booking_service.trace import Trace

CELL_S = 300
"""Appointments start and end on multiples of five minutes; others share a cell with their neighbour and wait for it."""

_ACQUIRE = """
for _, key in ipairs(KEYS) do
    local holder = redis.call('GET', key)
    if holder and holder ~= ARGV[1] then return holder end
end
for _, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1], 'PX', ARGV[2]) end
return false
"""
_WITH_OWN = """
local found = ARGV[1]
for _, key in ipairs(KEYS) do
    local holder = redis.call('GET', key)
    if holder == ARGV[1] then %s else found = holder end
end
return found
"""
"""Touches only what is still the token's; returns the token, or who else holds a part of it."""
_RELEASE = _WITH_OWN % "redis.call('DEL', key)"
_RENEW = _WITH_OWN % "redis.call('PEXPIRE', key, ARGV[2])"


@dataclass(frozen=True)
class PersonTime:
    """Ranges of one person's time."""

    person_id: int
    ranges: tuple[tuple[datetime, datetime], ...]


@dataclass(frozen=True)
class LockRequest:
    """Whose time is to be locked, for which operation."""

    company_id: int
    time: PersonTime
    operation_id: UUID
    request_ref: str | None = None

    @property
    def person_key(self) -> str:
        return f"person:{self.company_id}:{self.time.person_id}"

    @property
    def keys(self) -> tuple[str, ...]:
        """One key a cell; the braces keep a person's keys on one node of a cluster."""
        cells = sorted({cell for begin, end in self.time.ranges for cell in _cells(begin, end)})
        return tuple(f"{{{self.person_key}}}:{cell}" for cell in cells)

    @property
    def token(self) -> str:
        return str(self.operation_id)


def _cells(begin: datetime, end: datetime) -> range:
    return range(int(begin.timestamp()) // CELL_S, -(-int(end.timestamp()) // CELL_S))


class Acquire(Protocol):
    """How a lock is taken: the token of whoever holds a part of it now, or `None` when it was free and is taken."""

    async def __call__(self, client: Redis, keys: tuple[str, ...], token: str, ttl_ms: int) -> str | None: ...


async def acquire_atomically(client: Redis, keys: tuple[str, ...], token: str, ttl_ms: int) -> str | None:
    return await _script(_ACQUIRE, keys, token, str(ttl_ms))(client)


async def acquire_check_then_set(client: Redis, keys: tuple[str, ...], token: str, ttl_ms: int) -> str | None:
    """The flaw `lock_check_then_set`: two callers may both see the keys absent."""
    for holder in cast(list[str | None], await client.mget(keys)):
        if holder is not None and holder != token:
            return holder
    async with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.set(key, token, px=ttl_ms)
        await pipeline.execute()
    return None


class WithoutRedis(Protocol):
    """What to do when Redis fails while a lock is wanted: return to go on without it, or raise."""

    def __call__(self) -> None: ...


def go_on_without_redis() -> None:
    """The database protects: exclusion constraint and advisory lock."""


def refuse_without_redis() -> None:
    """The flaw `redis_required`."""
    raise errors.redis_unavailable()


@dataclass(frozen=True)
class LockPolicy:
    acquire: Acquire
    renewed: bool
    without_redis: WithoutRedis


@dataclass
class _Hold:
    request: LockRequest
    believed_held: bool
    renewer: asyncio.Task[None] | None = None


class PersonLocks:
    """Takes, renews and releases the locks of this process's operations."""

    def __init__(
        self, redis: RedisLink, policy: LockPolicy, durations: Durations, trace: Trace, metrics: Metrics
    ) -> None:
        self._redis = redis
        self._policy = policy
        self._durations = durations
        self._ttl_ms = max(1, round(durations.lock_ttl_s * 1000))
        self._trace = trace
        self._metrics = metrics
        self._holds: dict[UUID, _Hold] = {}
        self._released: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def take(self, request: LockRequest) -> None:
        """Waits, for a bounded time, until the lock is ours; without Redis the policy decides.

        Raises:
            ServiceError: `busy`, or `redis_unavailable` under a policy that needs Redis.
        """
        give_up_at = time.monotonic() + self._durations.lock_wait_s
        while True:
            released = self._released[request.person_key]
            try:
                holder = await self._try(request)
            except RedisUnavailableError:
                self._policy.without_redis()
                self._metrics.locks.labels("without_redis").inc()
                self._keep(request, believed_held=False)
                return
            if holder is None:
                self._metrics.locks.labels("acquired").inc()
                self._keep(request, believed_held=True)
                return
            patience_s = give_up_at - time.monotonic()
            if patience_s <= 0:
                self._metrics.locks.labels("busy").inc()
                self._trace.write("lock_busy", **_traced(request), holder=holder)
                raise errors.busy()
            await self._wait_for_release(released, patience_s)

    async def retake(self, request: LockRequest) -> None:
        """After a restart: takes up the lock of an operation that is still open, if nobody else has it."""
        try:
            holder = await self._try(request)
        except RedisUnavailableError:
            holder = request.token
        self._keep(request, believed_held=holder is None)

    async def release(self, operation_id: UUID) -> None:
        """Ends the hold of an operation whose outcome is known. Deletes the lock only if it is still ours."""
        hold = self._holds.pop(operation_id, None)
        if hold is None:
            return
        if hold.renewer is not None:
            hold.renewer.cancel()
        request, token = hold.request, hold.request.token
        try:
            holder = await self._redis.run("release", _script(_RELEASE, request.keys, token))
        except RedisUnavailableError:
            return  # it ends by itself after its time to live
        finally:
            self._released.pop(request.person_key, asyncio.Event()).set()
        if holder == token:
            self._trace.write("lock_released", key=request.person_key, token=token)
        elif hold.believed_held:
            self._trace.write("lock_lost", key=request.person_key, token=token, noticed="release", holder=holder)

    async def close(self) -> None:
        """Stops renewing. Locks of open operations stay until their time to live: their rows are still undecided."""
        renewers = [hold.renewer for hold in self._holds.values() if hold.renewer is not None]
        self._holds.clear()
        for renewer in renewers:
            renewer.cancel()
        await asyncio.gather(*renewers, return_exceptions=True)

    async def _try(self, request: LockRequest) -> str | None:
        keys, token = request.keys, request.token
        holder = await self._redis.run(
            "acquire", lambda client: self._policy.acquire(client, keys, token, self._ttl_ms)
        )
        if holder is None:
            self._trace.write(
                "lock_acquired",
                **_traced(request),
                token=token,
                ttl_ms=self._ttl_ms,
                person=request.time.person_id,
                request=request.request_ref,
            )
        return holder

    def _keep(self, request: LockRequest, *, believed_held: bool) -> None:
        hold = _Hold(request, believed_held)
        self._holds[request.operation_id] = hold
        if self._policy.renewed:
            hold.renewer = asyncio.create_task(self._renew(hold), name=f"renew {request.person_key}")

    async def _renew(self, hold: _Hold) -> None:
        """Keeps the lock alive; takes it again when it vanished (a Redis that restarted or was away)."""
        delay_s = self._durations.lock_ttl_s / 3
        # The end of the hold ends this loop: a cancellation alone may get lost inside the Redis client, where it can
        # meet a timeout, and a renewal that outlived its hold would lock the person for ever.
        while self._is_kept(hold):
            await asyncio.sleep(delay_s)
            if not self._is_kept(hold):
                return
            try:
                await self._renew_once(hold)
            except RedisUnavailableError:
                delay_s = self._durations.lock_poll_s  # a second miss at the usual pace would let the lock expire
            else:
                delay_s = self._durations.lock_ttl_s / 3

    async def _renew_once(self, hold: _Hold) -> None:
        key, token = hold.request.person_key, hold.request.token
        holder = await self._redis.run("renew", _script(_RENEW, hold.request.keys, token, str(self._ttl_ms)))
        if holder == token:
            hold.believed_held = True
            self._trace.write("lock_renewed", key=key, token=token, ttl_ms=self._ttl_ms)
            return
        if hold.believed_held:
            self._trace.write("lock_lost", key=key, token=token, noticed="renewal", holder=holder)
            hold.believed_held = False
        if holder is None and self._is_kept(hold):
            hold.believed_held = await self._try(hold.request) is None

    def _is_kept(self, hold: _Hold) -> bool:
        return self._holds.get(hold.request.operation_id) is hold

    async def _wait_for_release(self, released: asyncio.Event, patience_s: float) -> None:
        """Until the lock is released here, or it is time to look again (its holder may be another process)."""
        poll_s = self._durations.lock_poll_s * random.uniform(0.5, 1.0)
        try:
            async with asyncio.timeout(min(poll_s, patience_s)):
                await released.wait()
        except TimeoutError:
            return


def _script(source: str, keys: tuple[str, ...], *args: str) -> Callable[[Redis], Awaitable[str | None]]:
    def run(client: Redis) -> Awaitable[str | None]:
        return client.eval(source, len(keys), *keys, *args)

    return run


def _traced(request: LockRequest) -> dict[str, object]:
    """The lock in the trace: whose, and which of that person's times."""
    ranges = [[int(begin.timestamp()), int(end.timestamp())] for begin, end in request.time.ranges]
    return {"key": request.person_key, "locked_s": ranges}
