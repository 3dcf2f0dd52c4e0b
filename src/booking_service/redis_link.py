"""Redis within a budget: no hidden retries, and a short pause after failures so that not every request pays.

redis-py retries ten times by default: 4.3 s for a refused connection (FACTS-stack.md section 2, FACTS-faults.md
rows 12, 13, 16).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from booking_service.trace import Trace

T = TypeVar("T")


class RedisUnavailableError(Exception):
    """Redis did not answer within its budget, or failed a moment ago."""


class RedisLink:
    """Runs single Redis operations.

    A timed-out operation is tried once more, because a stall of this process looks the same as one of Redis; the
    operations of `locks` may be repeated without harm. After a failure everything fails at once for `pause_s`, then
    one operation probes.
    """

    def __init__(self, url: str, budget_s: float, pause_s: float, trace: Trace) -> None:
        self.client: Redis = Redis.from_url(
            url,
            decode_responses=True,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=budget_s,
            socket_connect_timeout=budget_s,
            driver_info=None,
        )
        self._budget_s = budget_s
        self._pause_s = pause_s
        self._trace = trace
        self._paused_until = 0.0
        self._probing = False

    async def run(self, what: str, operation: Callable[[Redis], Awaitable[T]]) -> T:
        """The operation's result. `what` names it in the trace.

        Raises:
            RedisUnavailableError: it failed, timed out twice, or Redis is in its pause.
        """
        if self._paused_until == 0.0:
            return await self._attempt(what, operation)
        if self._probing or time.monotonic() < self._paused_until:
            raise RedisUnavailableError(what)
        self._probing = True
        try:
            result = await self._attempt(what, operation)
        finally:
            self._probing = False
        self._paused_until = 0.0
        return result

    async def ping(self) -> None:
        """Raises `RedisUnavailableError` unless Redis answers."""
        await self.run("ping", _ping)

    async def close(self) -> None:
        await self.client.aclose()

    async def _attempt(self, what: str, operation: Callable[[Redis], Awaitable[T]]) -> T:
        try:
            try:
                return await self._within_budget(operation)
            except TimeoutError:
                return await self._within_budget(operation)
        except (RedisError, OSError, TimeoutError) as failure:
            self._paused_until = time.monotonic() + self._pause_s
            self._trace.write("redis_unavailable", what=what, why=type(failure).__name__)
            raise RedisUnavailableError(what) from failure

    async def _within_budget(self, operation: Callable[[Redis], Awaitable[T]]) -> T:
        async with asyncio.timeout(self._budget_s):
            return await operation(self.client)


async def _ping(client: Redis) -> None:
    await client.ping()
