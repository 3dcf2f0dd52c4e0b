"""Books, cancels and moves appointments: lock, budget, reservation, Cal.com, settlement, in this order.

The reference flow of FACTS-faults.md section 5. The order matters: the range is held in the database before Cal.com
is asked, nothing is told to a caller that is not written down, and a hold ends only when the outcome is known.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Protocol
from uuid import UUID

from booking_service import errors
from booking_service.appointments import Kind, Operation, OperationState, Reply, present_reply, still_answers
from booking_service.calcom import CalcomClient
from booking_service.changes import Book, Cancel, Change, Move
from booking_service.flows import CalcomTiming, Flow, Flows, WithdrawnError
from booking_service.locks import LockRequest, PersonLocks
from booking_service.outcomes import Outcome, OutcomePolicy, Rejected, Taken
from booking_service.payloads import (
    BookAppointmentArgs,
    CancelAppointmentArgs,
    RescheduleAppointmentArgs,
    idempotency_key,
)
from booking_service.read_back import ReadBack
from booking_service.routing import Branch
from booking_service.settlement import Settled, Settlement, told
from booking_service.store import AppointmentStore, BookingRequest, Caller, RepeatedError


class Nudge(Protocol):
    """Tells the reconciler that there is something to look up now."""

    def __call__(self) -> None: ...


class Booking:
    """The three function calls that change appointments.

    Every method returns a `Reply` (200, or 202 when the outcome is not known in time) or raises `ServiceError`.
    """

    def __init__(
        self,
        *,
        store: AppointmentStore,
        calcom: CalcomClient,
        locks: PersonLocks,
        flows: Flows,
        settlement: Settlement,
        outcome_policy: OutcomePolicy,
        read_back: ReadBack,
        late_resolution: bool,
        retry_s: float,
        nudge: Nudge,
    ) -> None:
        self._store = store
        self._calcom = calcom
        self._locks = locks
        self._flows = flows
        self._settlement = settlement
        self._outcome_policy = outcome_policy
        self._read_back = read_back
        self._late_resolution = late_resolution
        self._retry_s = retry_s
        self._nudge = nudge

    async def book(self, branch: Branch, caller: Caller, arguments: BookAppointmentArgs, timing: CalcomTiming) -> Reply:
        parts = branch.parts_from(arguments.start, branch.event_types_of(arguments.person_id, arguments.service_id))
        canonical = arguments.model_copy(update={"start": parts[0].starts_at})
        key = idempotency_key(branch.company_id, caller.call_ref, "book_appointment", canonical)
        wanted = BookingRequest(branch, parts, arguments.customer_name)
        change = Book(self._store, self._calcom, caller, wanted, key)

        async def work(flow: Flow) -> Reply:
            return await self._once(flow, branch, caller, key, change)

        return await self._flows.answer(key, work, timing)

    async def cancel(
        self, branch: Branch, caller: Caller, arguments: CancelAppointmentArgs, timing: CalcomTiming
    ) -> Reply:
        key = idempotency_key(branch.company_id, caller.call_ref, "cancel_appointment", arguments)
        change = Cancel(self._store, self._calcom, caller, branch, _appointment_id(arguments.booking_id), key)

        async def work(flow: Flow) -> Reply:
            return await self._once(flow, branch, caller, key, change)

        return await self._flows.answer(key, work, timing)

    async def reschedule(
        self, branch: Branch, caller: Caller, arguments: RescheduleAppointmentArgs, timing: CalcomTiming
    ) -> Reply:
        appointment_id = _appointment_id(arguments.booking_id)
        start = branch.in_utc(arguments.start)
        canonical = arguments.model_copy(update={"start": start})
        key = idempotency_key(branch.company_id, caller.call_ref, "reschedule_appointment", canonical)

        async def work(flow: Flow) -> Reply:
            return await self._reschedule_once(flow, branch, caller, key, appointment_id, start)

        return await self._flows.answer(key, work, timing)

    async def _reschedule_once(
        self, flow: Flow, branch: Branch, caller: Caller, key: str, appointment_id: UUID, start: datetime
    ) -> Reply:
        earlier = await self._earlier(caller, key)
        if earlier is not None:
            return present_reply(earlier)
        appointment = await self._store.own_live(caller, appointment_id)
        if appointment.further_parts:
            raise errors.invalid("This service has several parts: cancel it and book another time.")
        (part,) = branch.parts_from(start, (branch.event_type_by_id(appointment.event_type_id),))
        if part.starts_at == appointment.starts_at:
            return Reply(200, "confirmed", appointment.view())
        change = Move(
            self._store,
            self._calcom,
            caller,
            branch,
            appointment_id,
            appointment.person_id,
            part.starts_at,
            part.ends_at,
            key,
        )
        return await self._carry_out(flow, branch, caller, key, change)

    async def _once(self, flow: Flow, branch: Branch, caller: Caller, key: str, change: Change) -> Reply:
        earlier = await self._earlier(caller, key)
        if earlier is not None:
            return present_reply(earlier)
        return await self._carry_out(flow, branch, caller, key, change)

    async def _earlier(self, caller: Caller, key: str) -> Operation | None:
        """The operation that this function call repeats, if any."""
        operation = await self._store.find(caller.company_id, key)
        if operation is None or still_answers(operation, caller.request_ref):
            return operation
        await self._store.forget_key(caller.company_id, operation.id)
        return None

    async def _carry_out(self, flow: Flow, branch: Branch, caller: Caller, key: str, change: Change) -> Reply:
        if (time := change.takes) is not None:
            lock = LockRequest(branch.company_id, time, flow.operation_id, caller.request_ref)
            await self._locks.take(lock)
        undecided = False
        try:
            operation = await self._reserve(flow, branch, change)
            undecided = True
            outcome = self._outcome_policy(await change.ask(operation))
            if operation.kind is Kind.BOOK:
                outcome = await self._read_back(branch.calcom_api_key, outcome)
            flow.replied()
            settled = await self._settle_surely(operation, outcome)
            if isinstance(outcome, Taken | Rejected) and outcome.stood:
                self._nudge()  # the reconciler cancels the parts that stand alone
            undecided = settled.state is OperationState.OPEN
            return self._tell(operation, outcome, settled)
        except RepeatedError:
            return await self._repeated(caller, key)
        finally:
            if not (undecided and self._late_resolution):
                await self._locks.release(flow.operation_id)

    async def _reserve(self, flow: Flow, branch: Branch, change: Change) -> Operation:
        """Takes budget, holds the range and passes the point of no return; or leaves nothing behind."""
        await self._calcom.admit(branch.calcom_api_key, change.requests)
        try:
            operation = await change.reserve(flow.operation_id)
        except BaseException as failure:
            self._calcom.give_back(branch.calcom_api_key, change.requests)
            if _may_have_committed(failure):
                self._flows.in_background(self._undo_reservation(branch.company_id, flow.operation_id))
            raise
        try:
            flow.begin_to_ask(operation)
        except WithdrawnError as withdrawn:
            self._calcom.give_back(branch.calcom_api_key, change.requests)
            await self._settle_surely(operation, Rejected("withdrawn"))
            raise errors.overloaded("The request could not be started in time.") from withdrawn
        return operation

    async def _settle_surely(self, operation: Operation, outcome: Outcome) -> Settled:
        """What Cal.com said must be written down: tries until the database takes it."""
        while True:
            try:
                return await self._settlement.settle(operation, outcome)
            except errors.ServiceError:
                await asyncio.sleep(self._retry_s)

    async def _undo_reservation(self, company_id: int, operation_id: UUID) -> None:
        """The database failed while the range was reserved, perhaps after it committed; Cal.com was never asked."""
        while True:
            try:
                operation = await self._store.read(company_id, operation_id)
            except LookupError:
                return
            except errors.ServiceError:
                await asyncio.sleep(self._retry_s)
                continue
            await self._settle_surely(operation, Rejected("withdrawn"))
            return

    def _tell(self, operation: Operation, outcome: Outcome, settled: Settled) -> Reply:
        if settled.state is OperationState.OPEN:
            if not self._late_resolution:
                raise errors.calcom_unavailable(effect=errors.Effect.UNKNOWN)
            self._nudge()
        return told(operation, outcome, settled)

    async def _repeated(self, caller: Caller, key: str) -> Reply:
        """Another process was faster with the same function call."""
        operation = await self._store.find(caller.company_id, key)
        if operation is None:
            raise errors.busy()
        return present_reply(operation)


def _appointment_id(booking_id: str) -> UUID:
    """Raises `ServiceError` `not_held`: what is not an id of ours is nobody's booking."""
    try:
        return UUID(booking_id)
    except ValueError:
        raise errors.not_held() from None


def _may_have_committed(failure: BaseException) -> bool:
    return isinstance(failure, errors.ServiceError) and failure.code == "database_unavailable"
