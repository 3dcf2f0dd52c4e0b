"""A pool of PostgreSQL connections that waits for a bounded time in a bounded queue (FACTS-faults.md rows 21, 22).

asyncpg's own pool hands the holder that just failed to connect to the next caller, ahead of connections that have
come free meanwhile; with `too many clients` that starves it. Here a failed growth stops growth for a moment, and
callers wait for a release instead.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg

from booking_service.trace import Trace

Connection = asyncpg.Connection
Connect = Callable[[], Awaitable[Connection]]

_CONNECTING_AT_ONCE = 4
"""A new connection costs the server a process; a burst is served sooner by those that come free."""

_LEAVE_S = 1.0


class PoolExhaustedError(Exception):
    """No connection came free in time, or too many callers wait already."""


@dataclass(frozen=True)
class Admission:
    """How long and how many callers may wait for a connection; `None` is no limit."""

    wait_s: float | None
    max_waiters: int | None


class ConnectionPool:
    """Up to `max_size` connections, opened when needed, handed over in the order of asking.

    `connect` opens one connection. It may raise `TooManyConnectionsError`, which counts as "none is free"; any other
    error goes to the caller.
    """

    def __init__(
        self, connect: Connect, max_size: int, admission: Admission, growth_pause_s: float, trace: Trace
    ) -> None:
        self._connect = connect
        self._max_size = max_size
        self._admission = admission
        self._growth_pause_s = growth_pause_s
        self._trace = trace
        self._idle: list[Connection] = []
        self._open = 0
        self._connecting = 0
        self._growth_paused = False
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._closed = False

    @property
    def open_connections(self) -> int:
        return self._open

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    async def acquire(self, *, urgent: bool = False) -> Connection:
        """A connection. `urgent` callers finish work already begun: they go first and are not counted out.

        Raises:
            PoolExhaustedError: the limits of `Admission` are reached.
            OSError, asyncpg.PostgresError, TimeoutError: a new connection could not be opened.
        """
        began = time.monotonic()
        give_up_at = None if self._admission.wait_s is None else began + self._admission.wait_s
        ahead = urgent
        while True:
            connection = self._take_idle() or await self._grow()
            if connection is not None:
                return connection
            connection = await self._wait(give_up_at, ahead)
            if connection is not None:
                waited_ms = (time.monotonic() - began) * 1000
                self._trace.write("pool_waited", waited_ms=round(waited_ms, 3))
                return connection
            ahead = True  # it was first in the queue and keeps its place

    def release(self, connection: Connection) -> None:
        """Gives a connection back; a closed one makes room for a new one."""
        if connection.is_closed() or self._closed:
            connection.terminate()
            self._open -= 1
            self._wake_one(None)
        elif not self._wake_one(connection):
            self._idle.append(connection)

    def drop_idle(self) -> None:
        """Closes the idle connections: one was found dead, so the others probably are, too."""
        idle, self._idle = self._idle, []
        self._open -= len(idle)
        for connection in idle:
            connection.terminate()

    async def close(self) -> None:
        self._closed = True
        idle, self._idle = self._idle, []
        self._open -= len(idle)
        await asyncio.gather(*(_close(connection) for connection in idle))

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._open -= 1
        return None

    async def _grow(self) -> Connection | None:
        if self._growth_paused or self._open >= self._max_size or self._connecting >= _CONNECTING_AT_ONCE:
            return None
        self._open += 1
        self._connecting += 1
        try:
            connection = await self._connect()
        except asyncpg.TooManyConnectionsError:
            self._open -= 1
            self._pause_growth()
            return None
        except BaseException:
            self._open -= 1
            self._wake_one(None)
            raise
        finally:
            self._connecting -= 1
        if self._open < self._max_size:
            self._wake_one(None)
        return connection

    def _pause_growth(self) -> None:
        """The server has no room: let one waiter ask again after a while, so that nobody storms it."""
        if not self._growth_paused:
            self._growth_paused = True
            asyncio.get_running_loop().call_later(self._growth_pause_s * random.uniform(0.5, 1.0), self._resume_growth)

    def _resume_growth(self) -> None:
        self._growth_paused = False
        self._wake_one(None)

    async def _wait(self, give_up_at: float | None, ahead: bool) -> Connection | None:
        """A released connection, or `None`: room was made, so look again."""
        limit = self._admission.max_waiters
        if not ahead and limit is not None and len(self._waiters) >= limit:
            raise PoolExhaustedError("too many callers wait for a database connection")
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        if ahead:
            self._waiters.appendleft(waiter)
        else:
            self._waiters.append(waiter)
        patience_s = None if give_up_at is None else max(0.0, give_up_at - time.monotonic())
        await self._settled(waiter, patience_s)
        return waiter.result()

    async def _settled(self, waiter: asyncio.Future[Connection | None], patience_s: float | None) -> None:
        """Returns when the waiter was served. A connection that arrives together with a cancellation is passed on."""
        try:
            done, _ = await asyncio.wait({waiter}, timeout=patience_s)
        except asyncio.CancelledError:
            if waiter.done():
                self._pass_on(waiter.result())
            else:
                self._waiters.remove(waiter)
            raise
        if not done:
            self._waiters.remove(waiter)
            raise PoolExhaustedError("no database connection came free in time")

    def _pass_on(self, connection: Connection | None) -> None:
        if connection is None:
            self._wake_one(None)
        else:
            self.release(connection)

    def _wake_one(self, connection: Connection | None) -> bool:
        if not self._waiters:
            return False
        self._waiters.popleft().set_result(connection)
        return True


async def _close(connection: Connection) -> None:
    """Takes leave of the server, unless it does not listen."""
    try:
        await connection.close(timeout=_LEAVE_S)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()
