"""The assembled parts of one service instance, and the order in which they start and stop."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from booking_service import errors, schema
from booking_service.availability import Availability
from booking_service.booking import Booking
from booking_service.calcom import CalcomClient
from booking_service.calendar_sync import CalendarSync
from booking_service.calls import Calls
from booking_service.database import Database
from booking_service.flows import Flows
from booking_service.locks import PersonLocks
from booking_service.metrics import Metrics
from booking_service.outbox import Outbox
from booking_service.reconciler import Reconciler
from booking_service.redis_link import RedisLink
from booking_service.routing import Directory
from booking_service.settings import Settings
from booking_service.trace import Trace

Gate = Callable[[], Awaitable[None]]
"""What every webhook and function call must pass; raises `ServiceError` to refuse it."""


@dataclass(frozen=True)
class Components:
    settings: Settings
    overlaps_excluded: bool
    trace: Trace
    metrics: Metrics
    database: Database
    redis: RedisLink
    calcom: CalcomClient
    directory: Directory
    locks: PersonLocks
    flows: Flows
    outbox: Outbox
    availability: Availability
    booking: Booking
    calendar_sync: CalendarSync
    calls: Calls
    gate: Gate
    reconciler: Reconciler | None

    async def start(self) -> None:
        """Prepares the schema, then opens everything. Raises what the database raises: there is no start without."""
        connection = await schema.connect(self.settings.database_url)
        try:
            await schema.prepare(connection, overlaps_excluded=self.overlaps_excluded)
        finally:
            await connection.close()
        await self.database.open()
        await self.calcom.open()
        if self.reconciler is not None:
            await self.reconciler.start()

    async def stop(self) -> None:
        """Drains: what is at work ends or is left to the next process's reconciler; then closes everything."""
        if self.reconciler is not None:
            await self.reconciler.stop()
        await self.flows.drain(self.settings.durations.drain_s)
        await self.locks.close()
        await self.calcom.close()
        await self.redis.close()
        await self.database.close()
        self.trace.close()

    async def refresh_gauges(self) -> None:
        """Sets the gauges that are read rather than counted; NaN where the database does not tell."""
        self.metrics.pool_waiting.set(self.database.pool.waiting)
        self.metrics.pool_connections.set(self.database.pool.open_connections)
        pending: float
        outbox: float
        try:
            pending, outbox = await self.outbox.backlog()
        except errors.ServiceError:
            pending = outbox = math.nan
        self.metrics.pending.set(pending)
        self.metrics.outbox_length.set(outbox)
