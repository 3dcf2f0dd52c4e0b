"""Assembles the service. The only place that asks which flaws are on: each one swaps or leaves out one mechanism."""

from __future__ import annotations

from fastapi import FastAPI

from booking_service import errors
from booking_service.app import create_app
from booking_service.availability import Availability, SlotsCache
from booking_service.booking import Booking
from booking_service.calcom import CalcomClient
from booking_service.calendar_sync import CalendarSync
from booking_service.calls import Calls
from booking_service.components import Components, Gate
from booking_service.database import Database
from booking_service.external_bookings import ExternalBookings
from booking_service.flaws import Flaw
from booking_service.flows import Flows
from booking_service.locks import (
    LockPolicy,
    PersonLocks,
    acquire_atomically,
    acquire_check_then_set,
    go_on_without_redis,
    refuse_without_redis,
)
from booking_service.metrics import Metrics
from booking_service.outbox import Outbox
from booking_service.outcomes import believe_calcom, confirm_regardless
from booking_service.pool import Admission
from booking_service.read_back import read_back_with, without_read_back
from booking_service.reconciler import Reconciler
from booking_service.redis_link import RedisLink, RedisUnavailableError
from booking_service.routing import Directory
from booking_service.settings import Settings
from booking_service.settlement import Settlement
from booking_service.store import AppointmentStore
from booking_service.trace import Trace


def build(settings: Settings, flaws: frozenset[Flaw]) -> FastAPI:
    """The service with these flaws; none is the hardened one."""
    return create_app(assemble(settings, flaws))


def assemble(settings: Settings, flaws: frozenset[Flaw]) -> Components:
    """The parts that `build` puts behind HTTP."""
    durations = settings.durations
    trace, metrics = Trace(settings.trace_path), Metrics()

    overlaps_excluded = Flaw.NO_EXCLUSION_CONSTRAINT not in flaws
    late_resolution = Flaw.NO_RECONCILER not in flaws
    lock_renewed = Flaw.LOCK_SHORTER_THAN_UPSTREAM not in flaws
    redis_required = Flaw.REDIS_REQUIRED in flaws
    lock_policy = LockPolicy(
        acquire=acquire_check_then_set if Flaw.LOCK_CHECK_THEN_SET in flaws else acquire_atomically,
        renewed=lock_renewed,
        without_redis=refuse_without_redis if redis_required else go_on_without_redis,
    )
    admission = (
        Admission(wait_s=None, max_waiters=None)
        if Flaw.UNBOUNDED_POOL_WAIT in flaws
        else Admission(wait_s=durations.pool_wait_s, max_waiters=2 * settings.db_pool_size)
    )
    reads_back = Flaw.NO_READ_BACK not in flaws and late_resolution  # what it gives up, the reconciler cancels
    outcome_policy = confirm_regardless if Flaw.COMMIT_BEFORE_CALCOM in flaws else believe_calcom

    database = Database(settings.database_url, settings.db_pool_size, admission, durations, trace, metrics)
    redis = RedisLink(settings.redis_url, durations.redis_budget_s, durations.redis_pause_s, trace)
    calcom = CalcomClient(
        settings.calcom_url,
        settings.scale.per_minute(settings.calcom_requests_per_min),
        durations,
        trace,
        metrics,
    )
    directory = Directory(database, durations.directory_fresh_s)
    locks = PersonLocks(redis, lock_policy, durations, trace, metrics)
    flows = Flows(
        durations.reply_deadline_s if lock_renewed else durations.synchronous_reply_deadline_s,
        late_resolution=late_resolution,
        metrics=metrics,
    )
    store = AppointmentStore(database, overlaps_excluded=overlaps_excluded, trace=trace)
    outbox = Outbox(database)
    slots = SlotsCache(calcom, durations, metrics)
    external = ExternalBookings(database, slots)
    settlement = Settlement(store, locks, slots, all_or_none=Flaw.NO_SAGA_COMPOUND not in flaws)
    reconciler = (
        Reconciler(
            directory=directory,
            outbox=outbox,
            external=external,
            calcom=calcom,
            flows=flows,
            settlement=settlement,
            locks=locks,
            durations=durations,
            trace=trace,
            metrics=metrics,
            reads_back=reads_back,
        )
        if late_resolution
        else None
    )
    nudge = (lambda: None) if reconciler is None else reconciler.nudge
    booking = Booking(
        store=store,
        calcom=calcom,
        locks=locks,
        flows=flows,
        settlement=settlement,
        outcome_policy=outcome_policy,
        read_back=read_back_with(calcom, nudge) if reads_back else without_read_back,
        late_resolution=late_resolution,
        retry_s=durations.retry_s,
        nudge=nudge,
    )
    return Components(
        settings=settings,
        overlaps_excluded=overlaps_excluded,
        trace=trace,
        metrics=metrics,
        database=database,
        redis=redis,
        calcom=calcom,
        directory=directory,
        locks=locks,
        flows=flows,
        outbox=outbox,
        availability=Availability(slots, store),
        booking=booking,
        calendar_sync=CalendarSync(database, external, flows, slots, nudge),
        calls=Calls(database, settings.transcript_max_bytes),
        gate=_needs_redis(redis) if redis_required else _open_gate,
        reconciler=reconciler,
    )


async def _open_gate() -> None:
    """Lets every request pass."""


def _needs_redis(redis: RedisLink) -> Gate:
    async def gate() -> None:
        try:
            await redis.ping()
        except RedisUnavailableError as failure:
            raise errors.redis_unavailable() from failure

    return gate
