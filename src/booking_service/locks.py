"""The lock on a person: one booking of a person is decided at a time (FACTS-faults.md sections 1.2 and 5).

The lock covers the person's whole calendar, not one slot. The token is the operation's id: after a lost reply or a
restart its owner recognises its own lock. A lock is kept until the outcome of its operation is known, which may be
long after the caller got a 202.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, cast
from uuid import UUID

from redis.asyncio import Redis

from booking_service import errors
from booking_service.metrics import Metrics
from booking_service.redis_link import RedisLink, RedisUnavailableError
from booking_service.settings import Durations
from booking_service.trace import Trace

_RELEASE = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then redis.call('DEL', KEYS[1]) end
return holder
"""
_RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return holder
"""


@dataclass(frozen=True)
class LockRequest:
    """Whose calendar is to be locked, for which operation."""

    company_id: int
    person_id: int
    operation_id: UUID
    request_ref: str | None = None

    @property
    def key(self) -> str:
        return f"person:{self.company_id}:{self.person_id}"

    @property
    def token(self) -> str:
        return str(self.operation_id)


class Acquire(Protocol):
    """How a lock is taken: the token of whoever holds it now, or `None` when it was free and is taken."""

    async def __call__(self, client: Redis, key: str, token: str, ttl_ms: int) -> str | None: ...


async def acquire_atomically(client: Redis, key: str, token: str, ttl_ms: int) -> str | None:
    holder = cast(str | None, await client.set(key, token, nx=True, get=True, px=ttl_ms))
    return None if holder == token else holder


async def acquire_check_then_set(client: Redis, key: str, token: str, ttl_ms: int) -> str | None:
    """The flaw `lock_check_then_set`: two callers may both see the key absent."""
    holder = cast(str | None, await client.get(key))
    if holder is not None and holder != token:
        return holder
    await client.set(key, token, px=ttl_ms)
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
            released = self._released[request.key]
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
                self._trace.write("lock_busy", key=request.key, holder=holder)
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
        key, token = hold.request.key, hold.request.token
        try:
            holder = await self._redis.run("release", _script(_RELEASE, key, token))
        except RedisUnavailableError:
            return  # it ends by itself after its time to live
        finally:
            self._released.pop(key, asyncio.Event()).set()
        if holder == token:
            self._trace.write("lock_released", key=key, token=token)
        elif hold.believed_held:
            self._trace.write("lock_lost", key=key, token=token, noticed="release", holder=holder)

    async def close(self) -> None:
        """Stops renewing. Locks of open operations stay until their time to live: their rows are still undecided."""
        renewers = [hold.renewer for hold in self._holds.values() if hold.renewer is not None]
        self._holds.clear()
        for renewer in renewers:
            renewer.cancel()
        await asyncio.gather(*renewers, return_exceptions=True)

    async def _try(self, request: LockRequest) -> str | None:
        key, token = request.key, request.token
        holder = await self._redis.run("acquire", lambda client: self._policy.acquire(client, key, token, self._ttl_ms))
        if holder is None:
            self._trace.write(
                "lock_acquired",
                key=key,
                token=token,
                ttl_ms=self._ttl_ms,
                person=request.person_id,
                request=request.request_ref,
            )
        return holder

    def _keep(self, request: LockRequest, *, believed_held: bool) -> None:
        hold = _Hold(request, believed_held)
        self._holds[request.operation_id] = hold
        if self._policy.renewed:
            hold.renewer = asyncio.create_task(self._renew(hold), name=f"renew {request.key}")

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
        key, token = hold.request.key, hold.request.token
        holder = await self._redis.run("renew", _script(_RENEW, key, token, str(self._ttl_ms)))
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


def _script(source: str, key: str, *args: str) -> Callable[[Redis], Awaitable[str | None]]:
    def run(client: Redis) -> Awaitable[str | None]:
        return client.eval(source, 1, key, *args)

    return run
