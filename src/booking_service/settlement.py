"""The end of an operation, whoever learns of it: row, lock and cached free times are put right in one place."""

from __future__ import annotations

from dataclasses import dataclass, replace

from booking_service import errors
from booking_service.appointments import (
    Appointment,
    AppointmentState,
    Kind,
    Operation,
    OperationState,
    Reply,
    decide,
    pending_reply,
    present_reply,
)
from booking_service.availability import SlotsCache
from booking_service.calcom_wire import CalcomBooking
from booking_service.locks import PersonLocks
from booking_service.outcomes import Accepted, Gone, Outcome, Rejected, Taken
from booking_service.store import AppointmentStore


@dataclass(frozen=True)
class Settled:
    """What an operation has come to. `open`: it is still undecided."""

    state: OperationState
    appointment: Appointment


class Settlement:
    """Writes outcomes down. Used by flows and by the reconciler; whoever comes first wins, the other one agrees.

    `all_or_none`: of a service with several parts all are booked or none is; what the calendar has accepted of a
    refused one is for the reconciler to cancel. Without it (the flaw `no_saga_compound`) the accepted parts stay.
    """

    def __init__(
        self, store: AppointmentStore, locks: PersonLocks, slots: SlotsCache, *, all_or_none: bool = True
    ) -> None:
        self._all_or_none = all_or_none
        self._store = store
        self._locks = locks
        self._slots = slots

    async def settle(self, operation: Operation, outcome: Outcome) -> Settled:
        """Writes Cal.com's word down and ends the hold; an unknown outcome changes nothing.

        Raises:
            ServiceError: the database fails. Nothing is lost: call again.
        """
        state = decide(operation.kind, outcome)
        if state is OperationState.OPEN:
            return Settled(state, operation.appointment)
        return await self._close(operation, state, self._standing(outcome))

    async def abandon(self, operation: Operation) -> Settled:
        """Gives up an operation whose outcome never became known. Raises `ServiceError` when the database fails."""
        return await self._close(operation, OperationState.ABANDONED, ())

    def _standing(self, outcome: Outcome) -> tuple[CalcomBooking, ...]:
        match outcome:
            case Accepted(bookings):
                return bookings
            case Taken() | Rejected() if not self._all_or_none:
                return outcome.stood
            case _:
                return ()

    async def _close(self, operation: Operation, state: OperationState, standing: tuple[CalcomBooking, ...]) -> Settled:
        uids = {part: booking.uid for part, booking in zip(operation.appointment.ids, standing, strict=False)}
        appointment = await self._store.settle(operation, state, uids)
        if appointment is None:
            present = await self._store.read(operation.company_id, operation.id)
            state, appointment = present.state, present.appointment
        self._slots.forget(appointment.person_id)
        await self._locks.release(operation.id)
        return Settled(state, appointment)


def told(operation: Operation, outcome: Outcome, settled: Settled) -> Reply:
    """What the caller of an operation is told once it is settled.

    Raises:
        ServiceError: it was refused or came to nothing.
    """
    appointment = settled.appointment
    match settled.state:
        case OperationState.OPEN:
            return pending_reply(appointment)
        case OperationState.DONE if operation.kind is Kind.CANCEL:
            return Reply(200, "cancelled", appointment.view())
        case OperationState.DONE if appointment.state is AppointmentState.LIVE:
            return Reply(200, "confirmed", appointment.view())
        case OperationState.REFUSED if isinstance(outcome, Gone):
            raise errors.not_held("The booking is not live in the calendar any more.")
        case OperationState.FAILED if isinstance(outcome, Rejected):
            raise errors.rate_limited() if outcome.rate_limited else errors.calcom_unavailable(outcome.why)
        case state:
            return present_reply(replace(operation, state=state, appointment=appointment))
