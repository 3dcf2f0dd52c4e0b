"""Appointments and the operations that change them: the data, and what each state means to a caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from booking_service import errors
from booking_service.outcomes import Accepted, Gone, Outcome, Rejected, Taken, Unknown


class Row(Protocol):
    """A row of the database, by column name."""

    def __getitem__(self, name: str, /) -> Any: ...


class AppointmentState(StrEnum):
    PENDING = "pending"
    LIVE = "live"
    CANCELLED = "cancelled"


class Actor(StrEnum):
    """Who made the last change of state."""

    CALLER = "caller"
    SERVICE = "service"
    EXTERNAL = "external"


class Kind(StrEnum):
    """What an operation does at Cal.com."""

    BOOK = "book"
    CANCEL = "cancel"
    MOVE = "move"
    COMPENSATE = "compensate"


class OperationState(StrEnum):
    """`open` until settled with Cal.com. `refused`: the time is held. `failed`: nothing happened, may be tried again.
    `abandoned`: given up without ever knowing."""

    OPEN = "open"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    ABANDONED = "abandoned"


@dataclass(frozen=True)
class Appointment:
    id: UUID
    company_id: int
    person_id: int
    event_type_id: int
    starts_at: datetime
    ends_at: datetime
    moving_to_starts_at: datetime | None
    state: AppointmentState
    actor: Actor
    calcom_uid: str | None

    @classmethod
    def of(cls, row: Row) -> Appointment:
        return cls(
            id=row["id"],
            company_id=row["company_id"],
            person_id=row["person_id"],
            event_type_id=row["event_type_id"],
            starts_at=row["starts_at"],
            ends_at=row["ends_at"],
            moving_to_starts_at=row["moving_to_starts_at"],
            state=AppointmentState(row["state"]),
            actor=Actor(row["actor"]),
            calcom_uid=row["calcom_uid"],
        )

    def view(self) -> dict[str, object]:
        """What a caller sees of it."""
        return {
            "id": str(self.id),
            "calcom_uid": self.calcom_uid,
            "person_id": self.person_id,
            "start": self.starts_at.isoformat().replace("+00:00", "Z"),
            "end": self.ends_at.isoformat().replace("+00:00", "Z"),
        }


@dataclass(frozen=True)
class Operation:
    """One change that is, or was, to be settled with Cal.com.

    `calcom_uid` is the calendar booking to cancel or move. `age_s` counts from when Cal.com was asked, by the
    database's clock.
    """

    id: UUID
    company_id: int
    kind: Kind
    state: OperationState
    request_ref: str | None
    calcom_uid: str | None
    reason: str | None
    asked_at: datetime
    age_s: float
    appointment: Appointment

    @classmethod
    def of(cls, row: Row) -> Operation:
        return cls(
            id=row["operation_id"],
            company_id=row["company_id"],
            kind=Kind(row["kind"]),
            state=OperationState(row["operation_state"]),
            request_ref=row["operation_request_ref"],
            calcom_uid=row["operation_calcom_uid"],
            reason=row["reason"],
            asked_at=row["asked_at"],
            age_s=row["age_s"],
            appointment=Appointment.of(row),
        )


@dataclass(frozen=True)
class Reply:
    """A success, or a 202 that promises one: `{status, booking}`."""

    http_status: int
    status: str
    booking: Mapping[str, object]

    def body(self) -> dict[str, object]:
        return {"status": self.status, "booking": dict(self.booking)}


def decide(kind: Kind, outcome: Outcome) -> OperationState:
    """What Cal.com's word makes of an operation; `open` when nobody knows."""
    match outcome:
        case Accepted():
            return OperationState.DONE
        case Unknown():
            return OperationState.OPEN
        case Gone():
            # To be gone is what a cancel wants; a move finds nothing left to move.
            return OperationState.REFUSED if kind is Kind.MOVE else OperationState.DONE
        case Taken():
            return OperationState.FAILED if kind is Kind.CANCEL else OperationState.REFUSED
        case Rejected():
            return OperationState.FAILED


def pending_reply(appointment: Appointment) -> Reply:
    return Reply(202, "pending", appointment.view())


def present_reply(operation: Operation) -> Reply:
    """The answer to a repeated function call: the present state of the first.

    Raises:
        ServiceError: the first was refused, was given up, or what it booked has been cancelled since.
    """
    appointment = operation.appointment
    match operation.state, operation.kind:
        case OperationState.OPEN, _:
            return pending_reply(appointment)
        case OperationState.DONE, Kind.CANCEL:
            return Reply(200, "cancelled", appointment.view())
        case OperationState.DONE, _ if appointment.state is AppointmentState.LIVE:
            return Reply(200, "confirmed", appointment.view())
        case OperationState.DONE, _:
            raise errors.not_held("This booking has been cancelled since.")
        case OperationState.REFUSED, _:
            raise errors.slot_taken()
        case _:
            raise errors.calcom_unavailable("Cal.com never answered; nothing is booked.")


def still_answers(operation: Operation, request_ref: str | None) -> bool:
    """Whether a call with the same key is a repeat of `operation`, rather than a new attempt after it came to nothing.

    A different `X-Request-Id` tells a new attempt; it is honoured only where the old one left nothing behind.
    """
    if request_ref is None or request_ref == operation.request_ref:
        return True
    match operation.state:
        case OperationState.OPEN:
            return True
        case OperationState.DONE if operation.kind is Kind.BOOK:
            return operation.appointment.state is AppointmentState.LIVE
        case _:
            return False
