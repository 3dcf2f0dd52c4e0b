"""One API operation from its check to its reply, with the waits in between. No HTTP.

Check, then wait, then insert: the same gap that the real one has (FACTS-calcom-retell.md section 1.11,
FACTS-faults.md section 1.2). Changes run to their end in tasks of their own: a client that goes away does not
stop an insert.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from calcom_stub.behaviours import Endpoint, Kind, SpoiltReplyError, Stage
from calcom_stub.calendar import Attendee, Booking, BookingStatus, Calendar, Draft, SlotKeyTakenError
from calcom_stub.errors import ApiError, BareApiError, RawApiError, bad_request, not_found
from calcom_stub.ledger import Change, Ledger
from calcom_stub.pacing import Pacing
from calcom_stub.subscriptions import Trigger
from calcom_stub.trace import RequestTrace
from calcom_stub.webhooks import Webhooks
from calcom_stub.wire_time import iso_ms

T = TypeVar("T")

TAKEN = "User either already has booking at this time or is not available"
PAST = "Attempting to book a meeting in the past."
UNIQUE_KEY = "booking_conflict_error"
RESCHEDULED = "rescheduled"
"""The ledger's reason on the old row of a reschedule."""


@dataclass(frozen=True)
class RescheduleRequest:
    start: datetime
    reason: str | None = None
    by: str | None = None


class Operations:
    """The operations on one calendar. `now` is the time of day (UTC), `clock_ns` is monotonic."""

    def __init__(
        self,
        calendar: Calendar,
        pacing: Pacing,
        ledger: Ledger,
        webhooks: Webhooks,
        now: Callable[[], datetime],
        clock_ns: Callable[[], int],
    ) -> None:
        self._webhooks = webhooks
        self._calendar = calendar
        self._pacing = pacing
        self._ledger = ledger
        self._now = now
        self._clock_ns = clock_ns
        self._changes: set[asyncio.Task[Any]] = set()

    @property
    def changes_in_progress(self) -> int:
        """Creates, cancels and reschedules that run, those without a client included."""
        return len(self._changes)

    async def read(self, endpoint: Endpoint, look: Callable[[Calendar], T], trace: RequestTrace) -> T:
        """A read at its pace; it sees the calendar of the moment in its middle."""
        pace = self._pacing.begin(endpoint, trace)
        await pace.reach(Stage.BEFORE_CHECK)
        seen = look(self._calendar)
        await pace.reach(Stage.BEFORE_REPLY)
        return seen

    async def run_change(
        self, change: Coroutine[Any, Any, T], client_gone: Awaitable[object], trace: RequestTrace
    ) -> T:
        """Runs a change to its end, whatever happens to the caller; notes when its client goes away before."""
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        watch = asyncio.ensure_future(client_gone)
        try:
            await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                trace.emit("client_gone")
            return await asyncio.shield(task)
        finally:
            watch.cancel()

    async def create(self, draft: Draft, trace: RequestTrace) -> Booking:
        """POST /v2/bookings (section 1.6). Raises ApiError."""
        pace = self._pacing.begin(Endpoint.BOOKINGS_CREATE, trace)
        try:
            await pace.reach(Stage.BEFORE_CHECK)
        except SpoiltReplyError as error:
            match error.kind:
                case Kind.EXISTING:
                    other = self._calendar.overlapping(draft.host, draft.start, draft.end)
                    if other is not None:
                        return other
                case Kind.OVERTAKEN:
                    await self._overtake(draft)
                case _:
                    raise
        known = self._calendar.of_attendee_at(draft) if draft.event_type.requires_confirmation else None
        if known is not None:
            return known  # section 1.11, "idempotent return"
        checked_ns = self._check(draft, trace)
        try:
            await pace.reach(Stage.BEFORE_INSERT)
        except SpoiltReplyError as error:
            if error.kind is not Kind.OVERTAKEN:
                raise
            await self._overtake(draft)
        try:
            booking = self._calendar.insert(draft, self._now())
        except SlotKeyTakenError:
            raise _conflict(draft, trace) from None
        self._ledger.append(Change(booking, checked_ns=checked_ns, inserted_ns=self._clock_ns()))
        trace.emit("inserted", uid=booking.uid, **_range(draft))
        pending = booking.status is BookingStatus.PENDING
        await self._webhooks.announce(Trigger.REQUESTED if pending else Trigger.CREATED, booking, trace)
        await pace.reach(Stage.BEFORE_REPLY)
        return booking

    async def cancel(self, uid: str, reason: str | None, trace: RequestTrace) -> Booking:
        """POST /v2/bookings/{uid}/cancel (section 1.8): not idempotent, the second one is an error. Raises ApiError."""
        pace = self._pacing.begin(Endpoint.BOOKINGS_CANCEL, trace)
        await pace.reach(Stage.BEFORE_CHECK)
        self._require_cancellable(uid)
        await pace.reach(Stage.BEFORE_INSERT)
        cancelled = self._calendar.cancel(uid, reason, self._now())
        if cancelled is not None:
            self._ledger.append(Change(cancelled, reason=reason))
            trace.emit("cancelled", uid=uid)
            await self._webhooks.announce(Trigger.CANCELLED, cancelled, trace)
        await pace.reach(Stage.BEFORE_REPLY)
        return cancelled or self._found(uid)

    async def create_externally(self, draft: Draft) -> Booking | None:
        """A booking made directly in the calendar, checked and inserted in one step; None when the time is not free."""
        checked_ns = self._clock_ns()
        if not self._calendar.is_free(draft.host, draft.start, draft.end):
            return None
        booking = self._calendar.insert(draft, self._now())
        self._ledger.append(Change(booking, checked_ns=checked_ns, inserted_ns=checked_ns))
        await self._webhooks.announce(Trigger.CREATED, booking)
        return booking

    async def _overtake(self, draft: Draft) -> None:
        """Somebody books directly, a grid step later or earlier, so that the unique key does not notice. Before the
        check, it is what the check finds."""
        step = timedelta(minutes=draft.event_type.grid_min)
        walk_in = Attendee("Walk-in", "walk-in@external.example", draft.host.time_zone)
        event_type = replace(draft.event_type, requires_confirmation=False)
        for start in (draft.start + step, draft.start - step):
            if await self.create_externally(Draft(event_type, start, walk_in, external=True)) is not None:
                return

    async def cancel_externally(self, uid: str) -> Booking | None:
        """Cancelled directly in the calendar; None when it is not live, or not known."""
        cancelled = self._calendar.cancel(uid, None, self._now()) if self._calendar.get(uid) is not None else None
        if cancelled is not None:
            self._ledger.append(Change(cancelled, external=True))
            await self._webhooks.announce(Trigger.CANCELLED, cancelled)
        return cancelled

    async def confirm(self, uid: str, trace: RequestTrace) -> Booking:
        """POST /v2/bookings/{uid}/confirm (section 1.8). Raises ApiError."""
        return await self._decide(Endpoint.BOOKINGS_CONFIRM, uid, trace, "confirmed", self._calendar.confirm)

    async def decline(self, uid: str, reason: str | None, trace: RequestTrace) -> Booking:
        """POST /v2/bookings/{uid}/decline (section 1.8). Raises ApiError."""

        def decline(uid: str, now: datetime) -> Booking:
            return self._calendar.decline(uid, reason, now)

        return await self._decide(Endpoint.BOOKINGS_DECLINE, uid, trace, "declined", decline, reason)

    async def _decide(
        self,
        endpoint: Endpoint,
        uid: str,
        trace: RequestTrace,
        event: str,
        change: Callable[[str, datetime], Booking],
        reason: str | None = None,
    ) -> Booking:
        pace = self._pacing.begin(endpoint, trace)
        await pace.reach(Stage.BEFORE_CHECK)
        self._require_pending(uid)
        await pace.reach(Stage.BEFORE_INSERT)
        self._require_pending(uid)  # of two at once the later one finds it decided
        decided = change(uid, self._now())
        self._ledger.append(Change(decided, reason=reason))
        trace.emit(event, uid=uid)
        confirmed = decided.status is BookingStatus.ACCEPTED
        await self._webhooks.announce(Trigger.CREATED if confirmed else Trigger.REJECTED, decided, trace)
        await pace.reach(Stage.BEFORE_REPLY)
        return decided

    async def reschedule(self, uid: str, request: RescheduleRequest, trace: RequestTrace) -> Booking:
        """POST /v2/bookings/{uid}/reschedule (section 1.8): the new booking. Raises ApiError."""
        pace = self._pacing.begin(Endpoint.BOOKINGS_RESCHEDULE, trace)
        await pace.reach(Stage.BEFORE_CHECK)
        draft = self._moved(uid, request.start)
        old = self._found(uid)
        checked_ns = self._check(draft, trace, moving=uid)
        await pace.reach(Stage.BEFORE_INSERT)
        try:
            moved = self._calendar.reschedule(uid, request.start, self._now(), reason=request.reason, by=request.by)
        except SlotKeyTakenError:
            raise _conflict(draft, trace) from None
        inserted = Change(moved.created, reason=request.reason, checked_ns=checked_ns, inserted_ns=self._clock_ns())
        ended = [Change(moved.cancelled, reason=RESCHEDULED)] if moved.cancelled else []
        self._ledger.append(*ended, inserted)
        if moved.cancelled:
            trace.emit("cancelled", uid=uid)
        trace.emit("inserted", uid=moved.created.uid, **_range(draft))
        await self._webhooks.announce(Trigger.RESCHEDULED, moved.created, trace, old=old)
        await pace.reach(Stage.BEFORE_REPLY)
        return moved.created

    def _check(self, draft: Draft, trace: RequestTrace, *, moving: str | None = None) -> int:
        """The availability check; returns when it was made (monotonic ns). Raises ApiError."""
        if draft.start < self._now():
            raise bad_request(PAST)
        checked_ns = self._clock_ns()
        free = self._calendar.is_free(draft.host, draft.start, draft.end, ignoring=moving)
        trace.emit("checked", **({"uid": moving} if moving else {}), **_range(draft), free=free)
        if not free:
            trace.emit("refused", **_range(draft), why="not_available")
            raise bad_request(TAKEN)
        return checked_ns

    def _require_pending(self, uid: str) -> None:
        status = self._found(uid).status
        if status is BookingStatus.ACCEPTED:
            raise BareApiError(400, "Booking already confirmed", code="TRPCError")
        if status is not BookingStatus.PENDING:
            raise bad_request(f"Booking with uid={uid} is {status.value}")

    def _require_cancellable(self, uid: str) -> None:
        booking = self._calendar.get(uid)
        if booking is None:
            raise not_found(f"Booking with uid={uid} not found")
        if booking.status is BookingStatus.CANCELLED:
            raise bad_request(
                f"Can't cancel booking with uid={uid} because it has been cancelled already. "
                "Please provide uid of a booking that is not cancelled."
            )
        if booking.end < self._now():
            raise RawApiError(400, "Cannot cancel a booking that has already ended")

    def _moved(self, uid: str, start: datetime) -> Draft:
        """What the booking would be after the move. Raises ApiError when it cannot be moved."""
        booking = self._found(uid)
        refusal = f"Can't reschedule booking with uid={uid} because it has been cancelled"
        if booking.rescheduled_to_uid is not None:
            raise bad_request(
                f"{refusal} and rescheduled already to booking with uid={booking.rescheduled_to_uid}. "
                f"You probably want to reschedule {booking.rescheduled_to_uid} instead by passing it within the "
                "request URL."
            )
        if booking.status is BookingStatus.CANCELLED:
            raise bad_request(f"{refusal}. Please provide uid of a booking that is not cancelled.")
        return booking.draft.at(start)

    def _found(self, uid: str) -> Booking:
        return found(self._calendar, uid)


def found(calendar: Calendar, uid: str) -> Booking:
    """The booking of GET /v2/bookings/{uid} (section 1.8). Raises ApiError 404."""
    booking = calendar.get(uid)
    if booking is None:
        raise not_found(f"Booking with uid={uid} was not found in the database")
    return booking


def _conflict(draft: Draft, trace: RequestTrace) -> ApiError:
    """The loser of a true race on identical host, start and end: a raw 409 (sections 1.6 and 1.11)."""
    trace.emit("refused", **_range(draft), why=UNIQUE_KEY)
    return RawApiError(409, UNIQUE_KEY)


def _range(draft: Draft) -> dict[str, object]:
    return {"host": draft.host.user_id, "start": iso_ms(draft.start), "end": iso_ms(draft.end)}
