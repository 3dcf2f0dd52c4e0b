"""The three kinds of change: how each is reserved in the database, and how Cal.com is asked for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from booking_service import errors
from booking_service.appointments import Operation
from booking_service.calcom import CalcomClient, NewBooking
from booking_service.calcom_wire import CalcomBooking
from booking_service.locks import PersonTime
from booking_service.outcomes import Accepted, Gone, Outcome, Rejected, Taken, Unknown
from booking_service.routing import Branch
from booking_service.store import AppointmentStore, BookingRequest, Caller, request_ref_of_part


class Change(Protocol):
    """One kind of change."""

    @property
    def takes(self) -> PersonTime | None:
        """Whose time must be locked; a cancel needs no lock, because it takes nothing."""

    @property
    def requests(self) -> int:
        """How many requests it asks of Cal.com."""

    async def reserve(self, operation_id: UUID) -> Operation: ...

    async def ask(self, operation: Operation) -> Outcome: ...


@dataclass(frozen=True)
class Book:
    """A booking, part by part where the service has several: the first that is refused ends it.

    One whose reply is lost does not: it may have been accepted, and only with the others can that be of use.
    """

    store: AppointmentStore
    calcom: CalcomClient
    caller: Caller
    wanted: BookingRequest
    key: str

    @property
    def takes(self) -> PersonTime:
        return PersonTime(self.wanted.person_id, tuple((part.starts_at, part.ends_at) for part in self.wanted.parts))

    @property
    def requests(self) -> int:
        return len(self.wanted.parts)

    async def reserve(self, operation_id: UUID) -> Operation:
        return await self.store.reserve_booking(operation_id, self.key, self.caller, self.wanted)

    async def ask(self, operation: Operation) -> Outcome:
        api_key = self.wanted.branch.calcom_api_key
        accepted: list[CalcomBooking] = []
        unknown: Unknown | None = None
        for place, booking in enumerate(self._bookings(operation)):
            outcome = await self.calcom.create(api_key, booking)
            match outcome:
                case Accepted(bookings):
                    accepted.extend(bookings)
                case Unknown():
                    unknown = outcome
                case Taken() | Rejected():
                    self.calcom.give_back(api_key, self.requests - place - 1)
                    return replace(outcome, stood=tuple(accepted))
                case Gone():
                    raise TypeError("a new booking cannot be gone")
        return unknown or Accepted(tuple(accepted))

    def _bookings(self, operation: Operation) -> list[NewBooking]:
        return [
            NewBooking(
                event_type_id=part.event_type.id,
                start=part.starts_at,
                time_zone=self.wanted.branch.time_zone,
                name=self.wanted.customer_name,
                phone=self.caller.phone,
                appointment_id=appointment_id,
                call_ref=self.caller.call_ref,
                request_ref=request_ref_of_part(self.caller.request_ref, place),
            )
            for place, (appointment_id, part) in enumerate(
                zip(operation.appointment.ids, self.wanted.parts, strict=True)
            )
        ]


@dataclass(frozen=True)
class Cancel:
    store: AppointmentStore
    calcom: CalcomClient
    caller: Caller
    branch: Branch
    appointment_id: UUID
    key: str
    takes: None = None
    requests: int = 1

    async def reserve(self, operation_id: UUID) -> Operation:
        return await self.store.reserve_cancel(operation_id, self.key, self.caller, self.appointment_id)

    async def ask(self, operation: Operation) -> Outcome:
        """Every part, whatever became of the others; what is only half cancelled is for the reconciler to finish."""
        uids = operation.appointment.calcom_uids
        if not uids:
            return Rejected("the calendar has no booking for this appointment")
        api_key = self.branch.calcom_api_key
        outcomes = [await self.calcom.cancel(api_key, uids[0], "caller")]
        outcomes += [await self._cancel_further(api_key, uid) for uid in uids[1:]]
        undone = [outcome for outcome in outcomes if not isinstance(outcome, Accepted | Gone)]
        if not undone:
            return outcomes[0]
        return undone[0] if len(undone) == len(outcomes) else Unknown("only a part of it has been cancelled")

    async def _cancel_further(self, api_key: str, uid: str) -> Outcome:
        try:
            await self.calcom.admit(api_key)
        except errors.ServiceError as refusal:
            return Rejected(refusal.message, rate_limited=True)
        return await self.calcom.cancel(api_key, uid, "caller")


@dataclass(frozen=True)
class Move:
    store: AppointmentStore
    calcom: CalcomClient
    caller: Caller
    branch: Branch
    appointment_id: UUID
    person_id: int
    starts_at: datetime
    ends_at: datetime
    key: str
    requests: int = 1

    @property
    def takes(self) -> PersonTime:
        return PersonTime(self.person_id, ((self.starts_at, self.ends_at),))

    async def reserve(self, operation_id: UUID) -> Operation:
        return await self.store.reserve_move(
            operation_id, self.key, self.caller, self.appointment_id, self.starts_at, self.ends_at
        )

    async def ask(self, operation: Operation) -> Outcome:
        if operation.calcom_uid is None:
            return Rejected("the calendar has no booking for this appointment")
        return await self.calcom.reschedule(self.branch.calcom_api_key, operation.calcom_uid, self.starts_at)
