"""Settles what nobody knows: looks unknown outcomes up, and cancels calendar bookings that must not be there.

One coalesced list request per company and round. Before anything is repeated it is looked up. A booking is given up
`abandon_after_s` after Cal.com was asked, which is longer than any request lives; should it appear in the calendar
later, it is cancelled on sight (CONTRACTS.md section 5, FACTS-faults.md rows 4, 36, 37).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from booking_service import errors
from booking_service.appointments import Appointment, AppointmentState, Kind, Operation
from booking_service.calcom import CalcomClient
from booking_service.calcom_wire import CalcomBooking
from booking_service.external_bookings import ExternalBookings, seen_in
from booking_service.flows import Flows
from booking_service.locks import LockRequest, PersonLocks, PersonTime
from booking_service.metrics import Metrics
from booking_service.outbox import EXTERNAL_CANCEL, EXTERNAL_MOVE, EXTERNAL_UID, Outbox
from booking_service.outcomes import Accepted, Gone, Outcome, Taken
from booking_service.read_back import overlapped_by_external
from booking_service.routing import Company, Directory
from booking_service.settings import Durations
from booking_service.settlement import Settlement
from booking_service.trace import Trace, adopt_trace

_log = logging.getLogger(__name__)

FIRST_SWEEP = timedelta(hours=6)
"""How far back the first round after a start compares both sides (calendar time, not scaled)."""

CLOCK_MARGIN = timedelta(seconds=30)
"""How far Cal.com's clock may differ from the database's, and how late its rows may become visible."""


class Listing:
    """The calendar's bookings that were made or changed lately, findable in the ways that a lookup needs."""

    def __init__(self, bookings: Sequence[CalcomBooking]) -> None:
        self.bookings = tuple(bookings)
        self._by_uid = {booking.uid: booking for booking in bookings}
        self._made_for: dict[UUID, CalcomBooking] = {}
        self._moved: dict[tuple[str, datetime], CalcomBooking] = {}
        for booking in bookings:
            if booking.rescheduled_from_uid is not None:
                self._moved[booking.rescheduled_from_uid, booking.start] = booking
            elif booking.appointment_id is not None:
                self._made_for[booking.appointment_id] = booking

    def booking(self, uid: str | None) -> CalcomBooking | None:
        return None if uid is None else self._by_uid.get(uid)

    def made_for(self, appointment_id: UUID) -> CalcomBooking | None:
        """The booking that was made for an appointment, whatever has become of it."""
        return self._made_for.get(appointment_id)

    def moved(self, uid: str | None, start: datetime | None) -> CalcomBooking | None:
        """The booking that replaced another one at this start, whatever has become of it since."""
        return None if uid is None or start is None else self._moved.get((uid, start))

    @property
    def latest_change(self) -> datetime | None:
        return max((booking.updated_at or booking.created_at for booking in self.bookings), default=None)


@dataclass
class _Progress:
    """How far a company's calendar has been compared, by Cal.com's own clock."""

    compared_to: datetime


class Reconciler:
    """A background task. Rounds come every `reconcile_period_s`, and soon after a nudge."""

    def __init__(
        self,
        *,
        directory: Directory,
        outbox: Outbox,
        external: ExternalBookings,
        calcom: CalcomClient,
        flows: Flows,
        settlement: Settlement,
        locks: PersonLocks,
        durations: Durations,
        trace: Trace,
        metrics: Metrics,
        reads_back: bool = True,
    ) -> None:
        self._reads_back = reads_back
        self._directory = directory
        self._outbox = outbox
        self._external = external
        self._calcom = calcom
        self._flows = flows
        self._settlement = settlement
        self._locks = locks
        self._durations = durations
        self._trace = trace
        self._metrics = metrics
        self._nudged = asyncio.Event()
        self._progress: dict[int, _Progress] = {}
        self._task: asyncio.Task[None] | None = None

    def nudge(self) -> None:
        """An outcome has just become unknown: look it up soon."""
        self._nudged.set()

    async def start(self) -> None:
        """Takes up the holds of operations that an earlier process left open, then begins the rounds."""
        for company in await self._directory.companies():
            for operation in await self._outbox.open_operations(company.id):
                await self._take_up_hold(operation)
        self._task = asyncio.create_task(self._run(), name="reconciler")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def round(self) -> None:
        """One comparison of all companies; a company that fails is left for the next round."""
        for company in await self._directory.companies():
            try:
                await self._reconcile(company)
            except errors.ServiceError as failure:
                self._metrics.reconciler_failures.inc()
                _log.warning("company %s is left for the next round: %s", company.id, failure)
            except Exception:  # noqa: BLE001 - one company must not stop the others
                self._metrics.reconciler_failures.inc()
                _log.exception("company %s is left for the next round", company.id)

    async def _run(self) -> None:
        while True:
            adopt_trace(None)
            began = time.monotonic()
            try:
                await self.round()
            except errors.ServiceError as failure:
                self._metrics.reconciler_failures.inc()
                _log.warning("the round could not start: %s", failure)
            await asyncio.sleep(max(0.0, began + self._durations.reconcile_spacing_s - time.monotonic()))
            await self._next_round(began + self._durations.reconcile_period_s)

    async def _next_round(self, due_at: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, due_at - time.monotonic())):
                await self._nudged.wait()
        except TimeoutError:
            return
        finally:
            self._nudged.clear()

    async def _take_up_hold(self, operation: Operation) -> None:
        if operation.kind not in (Kind.BOOK, Kind.MOVE):
            return
        appointment = operation.appointment
        ranges = appointment.ranges
        if (moving_to := appointment.moving_to_starts_at) is not None:
            ranges = ((moving_to, moving_to + (appointment.ends_at - appointment.starts_at)),)
        time = PersonTime(appointment.person_id, ranges)
        await self._locks.retake(LockRequest(operation.company_id, time, operation.id, operation.request_ref))

    async def _reconcile(self, company: Company) -> None:
        """Lookups first: they need one request for all. Cancels need one each, and may find the budget spent."""
        operations, promised = await self._open_operations(company)
        listed_at = await self._outbox.now()
        listing = await self._listing(company, [*operations, *promised])
        for operation in operations:
            await self._decide_lookup(operation, listing)
        for operation in promised:
            await self._decide_found(operation, listing)
        await self._compare(company, listing, listed_at)
        await self._external.remember(company.id, seen_in(listing.bookings))
        self._advance(company, operations, listing)
        operations, _ = await self._open_operations(company)
        for operation in operations:
            await self._decide_cancel(company, operation, listing)

    async def _open_operations(self, company: Company) -> tuple[list[Operation], list[Operation]]:
        """Those that no flow of this process will decide, and bookings that a flow has promised its caller.

        Promised: the caller was told to wait while the flow still waits for Cal.com's reply, which may take a minute.
        What is found in the calendar meanwhile is certain all the same.
        """
        operations = await self._outbox.open_operations(company.id)
        in_flight = self._flows.operation_ids
        waiting = [operation for operation in operations if operation.id not in in_flight]
        late = [operation for operation in operations if operation.age_s > self._durations.reply_deadline_s]
        return waiting, [each for each in late if each.kind is Kind.BOOK and each.id in in_flight]

    async def _listing(self, company: Company, operations: Sequence[Operation]) -> Listing:
        progress = self._progress.setdefault(company.id, _Progress(datetime.now(UTC) - FIRST_SWEEP))
        after = min(progress.compared_to, _asked_first(operations, progress.compared_to))
        return Listing([booking async for booking in self._calcom.bookings(company.calcom_api_key, after)])

    def _advance(self, company: Company, operations: Sequence[Operation], listing: Listing) -> None:
        """The next round compares from here on, and once more whatever this round's operations kept uncompared."""
        if listing.latest_change is None:
            return
        progress = self._progress[company.id]
        compared = listing.latest_change - timedelta(seconds=self._durations.abandon_after_s)
        progress.compared_to = max(progress.compared_to, min(compared, _asked_first(operations, compared)))

    async def _decide_lookup(self, operation: Operation, listing: Listing) -> None:
        if await self._decide_found(operation, listing):
            return
        made = [listing.made_for(part) for part in operation.appointment.ids if operation.kind is Kind.BOOK]
        gone = any(booking is not None and booking.cancelled for booking in made)
        too_old = operation.age_s > self._durations.abandon_after_s
        if operation.kind in (Kind.BOOK, Kind.MOVE) and (gone or too_old):
            await self._settlement.abandon(operation)
            self._note(operation, "abandoned")

    async def _decide_found(self, operation: Operation, listing: Listing) -> bool:
        """Settles what the calendar shows to have been done; whether it does."""
        bookings = _done(operation, listing)
        if not bookings:
            return False
        overrun = operation.kind is Kind.BOOK and self._reads_back
        if overrun and any(overlapped_by_external(booking, listing.bookings) for booking in bookings):
            await self._settle(operation, Taken("somebody booked the time directly in the calendar"), "overrun")
        else:
            await self._settle(operation, Accepted(bookings), "confirmed")
        return True

    async def _decide_cancel(self, company: Company, operation: Operation, listing: Listing) -> None:
        """A cancel may be sent again after a lookup: once is as good as twice."""
        if operation.kind not in (Kind.CANCEL, Kind.COMPENSATE):
            return
        caller_wants_it = operation.kind is Kind.CANCEL
        uids = operation.appointment.calcom_uids if caller_wants_it else (operation.calcom_uid,)
        reason = "caller" if caller_wants_it else operation.reason or "compensation"
        outcome: Outcome = Gone("the calendar shows it cancelled")
        for uid in uids:
            booking = listing.booking(uid)
            if uid is None or (booking is not None and booking.cancelled):
                continue
            await self._calcom.admit(company.calcom_api_key)
            outcome = await self._calcom.cancel(company.calcom_api_key, uid, reason)
            if not isinstance(outcome, Accepted | Gone):
                return
        await self._settle(operation, outcome, "cancelled" if caller_wants_it else "compensated")

    async def _settle(self, operation: Operation, outcome: Outcome, decision: str) -> None:
        await self._settlement.settle(operation, outcome)
        self._note(operation, decision)

    async def _compare(self, company: Company, listing: Listing, listed_at: datetime) -> None:
        """Follows changes made in the calendar by others, and opens compensations for bookings that must not be.

        What the service itself changed since `listed_at` is newer than the listing, and is left to the next round.
        """
        ids = {booking.appointment_id for booking in listing.bookings} - {None}
        uids = {booking.uid for booking in listing.bookings}
        uids |= {b.rescheduled_from_uid for b in listing.bookings if b.rescheduled_from_uid is not None}
        appointments = await self._outbox.settled_appointments(
            company.id, [i for i in ids if i is not None], uids, listed_at
        )
        by_id = {appointment.id: appointment for appointment in appointments}
        by_uid = {a.calcom_uid: a for a in appointments if a.calcom_uid is not None}
        for booking in listing.bookings:
            appointment = by_uid.get(booking.uid) or by_uid.get(booking.rescheduled_from_uid or "")
            if appointment is None and booking.appointment_id is not None:
                appointment = by_id.get(booking.appointment_id)
            if appointment is not None:
                await self._compare_one(appointment, booking)

    async def _compare_one(self, appointment: Appointment, booking: CalcomBooking) -> None:
        live = appointment.state is AppointmentState.LIVE
        same = appointment.calcom_uid == booking.uid
        if booking.accepted and not live:
            await self._compensate(appointment, booking, "the booking was given up or refused")
        elif booking.accepted and live and not same:
            await self._follow_or_compensate(appointment, booking)
        elif booking.cancelled and live and same and booking.rescheduled_to_uid is None:
            await self._follow(appointment, "cancelled_in_calendar", EXTERNAL_CANCEL)

    async def _follow_or_compensate(self, appointment: Appointment, booking: CalcomBooking) -> None:
        if appointment.calcom_uid is None:
            await self._follow(appointment, "found", EXTERNAL_UID, booking.uid)
        elif booking.rescheduled_from_uid == appointment.calcom_uid:
            await self._follow(appointment, "moved_in_calendar", EXTERNAL_MOVE, booking.uid, booking.start, booking.end)
        else:
            await self._compensate(appointment, booking, "a second booking for one appointment")

    async def _follow(self, appointment: Appointment, decision: str, changes: str, *args: object) -> None:
        if await self._outbox.follow_calendar(appointment, changes, *args):
            self._trace.write("reconciled", appointment=appointment.id, **{"as": decision})
            self._metrics.reconciled.labels(decision).inc()

    async def _compensate(self, appointment: Appointment, booking: CalcomBooking, why: str) -> None:
        await self._outbox.open_compensation(appointment, booking.uid, f"compensation: {why}")

    def _note(self, operation: Operation, decision: str) -> None:
        self._trace.write("reconciled", appointment=operation.appointment.id, **{"as": decision})
        self._metrics.reconciled.labels(decision).inc()


def _done(operation: Operation, listing: Listing) -> tuple[CalcomBooking, ...]:
    """What the calendar has of a booking or a move, when it has all of it."""
    appointment = operation.appointment
    match operation.kind:
        case Kind.BOOK:
            made = [listing.made_for(part) for part in appointment.ids]
            accepted = tuple(booking for booking in made if booking is not None and booking.accepted)
            return accepted if len(accepted) == len(made) else ()
        case Kind.MOVE:
            moved = listing.moved(operation.calcom_uid, appointment.moving_to_starts_at)
            return () if moved is None else (moved,)  # what has become of it since is for the comparison to follow
        case _:
            return ()


def _asked_first(operations: Sequence[Operation], default: datetime) -> datetime:
    """Before Cal.com was asked for any of these, by whatever clock."""
    return min((operation.asked_at - CLOCK_MARGIN for operation in operations), default=default)
