"""Access to PostgreSQL: one connection or transaction at a time, with every failure told in the service's words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from booking_service import errors
from booking_service.metrics import Metrics
from booking_service.pool import Admission, Connection, ConnectionPool, PoolExhaustedError
from booking_service.settings import Durations
from booking_service.trace import Trace

UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""What a dead, slow or overloaded server looks like, in whichever step it shows."""

_DEAD = (ConnectionError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Signs that the server dropped its connections; asyncpg says `InternalClientError` when it did so to an idle one."""


def connector(url: str, durations: Durations) -> Any:
    """Opens connections whose statements, locks and idle transactions all end by themselves."""
    statement_ms = str(max(1, round(durations.statement_s * 1000)))

    async def connect() -> Connection:
        return await asyncpg.connect(
            url,
            timeout=durations.connect_s,
            command_timeout=durations.statement_s * 1.5,
            server_settings={
                "application_name": "booking_service",
                "jit": "off",
                "statement_timeout": statement_ms,
                "lock_timeout": statement_ms,
                "idle_in_transaction_session_timeout": statement_ms,
            },
        )

    return connect


class Database:
    """Runs statements on pooled connections.

    Every method raises `ServiceError` `overloaded` when no connection is free and `database_unavailable` when the
    server fails; integrity errors of PostgreSQL go to the caller. After any failure that leaves the state of a
    connection in doubt the connection is closed, which also rolls its transaction back.
    """

    def __init__(
        self, url: str, size: int, admission: Admission, durations: Durations, trace: Trace, metrics: Metrics
    ) -> None:
        self.pool = ConnectionPool(connector(url, durations), size, admission, durations.pool_growth_pause_s, trace)
        self._trace = trace
        self._metrics = metrics

    @asynccontextmanager
    async def connection(self, *, urgent: bool = False) -> AsyncIterator[Connection]:
        """A connection in autocommit mode. `urgent`: finishes work already begun, so it is not shed for the queue."""
        try:
            connection = await self.pool.acquire(urgent=urgent)
        except PoolExhaustedError as exhausted:
            self._trace.write("shed", why=str(exhausted))
            self._metrics.shed.labels("database_pool").inc()
            raise errors.overloaded() from exhausted
        except UNAVAILABLE as failure:
            raise errors.database_unavailable() from failure
        try:
            yield connection
        except (asyncpg.IntegrityConstraintViolationError, errors.ServiceError):
            raise
        except UNAVAILABLE as failure:
            connection.terminate()
            if isinstance(failure, _DEAD):
                self.pool.drop_idle()
            raise errors.database_unavailable() from failure
        except BaseException:
            connection.terminate()
            raise
        finally:
            self.pool.release(connection)

    @asynccontextmanager
    async def transaction(self, *, urgent: bool = False) -> AsyncIterator[Connection]:
        """A connection inside a transaction that commits when the block ends without an exception."""
        async with self.connection(urgent=urgent) as connection:
            await connection.execute("BEGIN")
            try:
                yield connection
            except (asyncpg.IntegrityConstraintViolationError, errors.ServiceError):
                await connection.execute("ROLLBACK")
                raise
            await connection.execute("COMMIT")

    async def fetch(self, query: str, *args: object, urgent: bool = False) -> list[asyncpg.Record]:
        async with self.connection(urgent=urgent) as connection:
            return await connection.fetch(query, *args)

    async def fetchrow(self, query: str, *args: object, urgent: bool = False) -> asyncpg.Record | None:
        async with self.connection(urgent=urgent) as connection:
            return await connection.fetchrow(query, *args)

    async def execute(self, query: str, *args: object, urgent: bool = False) -> None:
        async with self.connection(urgent=urgent) as connection:
            await connection.execute(query, *args)

    async def open(self) -> None:
        """Opens the first connection, so that a wrong address shows at the start."""
        await self.execute("SELECT 1")

    async def close(self) -> None:
        await self.pool.close()
