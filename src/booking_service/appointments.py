"""Appointments and the operations that change them: the data, and what each state means to a caller."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
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
class FurtherPart:
    """A later part of an appointment: a row and a calendar booking of its own, decided together with the first."""

    id: UUID
    starts_at: datetime
    ends_at: datetime
    calcom_uid: str | None

    @classmethod
    def of(cls, fields: Mapping[str, str | None]) -> FurtherPart:
        return cls(
            UUID(fields["id"] or ""),
            datetime.fromisoformat(fields["starts_at"] or ""),
            datetime.fromisoformat(fields["ends_at"] or ""),
            fields["calcom_uid"],
        )


@dataclass(frozen=True)
class Appointment:
    """One row. `further_parts`: of a service with several, when this is the first."""

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
    further_parts: tuple[FurtherPart, ...] = ()

    @property
    def ids(self) -> tuple[UUID, ...]:
        """Of all parts, in order."""
        return (self.id, *(part.id for part in self.further_parts))

    @property
    def calcom_uids(self) -> tuple[str, ...]:
        """Of the parts that the calendar has."""
        uids = (self.calcom_uid, *(part.calcom_uid for part in self.further_parts))
        return tuple(uid for uid in uids if uid is not None)

    @property
    def ranges(self) -> tuple[tuple[datetime, datetime], ...]:
        """Of all parts, in order."""
        return ((self.starts_at, self.ends_at), *((part.starts_at, part.ends_at) for part in self.further_parts))

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
            further_parts=tuple(FurtherPart.of(fields) for fields in json.loads(row["further_parts"] or "[]")),
        )

    def view(self) -> dict[str, object]:
        """What a caller sees of it; `parts` only where the service has several."""
        view: dict[str, object] = {
            "id": str(self.id),
            "calcom_uid": self.calcom_uid,
            "person_id": self.person_id,
            "start": _text(self.starts_at),
            "end": _text(max(end for _, end in self.ranges)),
        }
        if self.further_parts:
            view["parts"] = [{"start": _text(start), "end": _text(end)} for start, end in self.ranges]
        return view


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


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


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
