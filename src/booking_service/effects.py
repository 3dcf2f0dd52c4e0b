"""What settling an operation does to its appointment, as SQL: assignments by kind of operation and by its end.

`$4` maps ids of appointments to uids of their bookings in the calendar, as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from booking_service.appointments import Kind, OperationState

_UID = "($4::jsonb ->> a.id::text)"
_DROP_BOOKING = f"""
    state = CASE WHEN {_UID} IS NULL THEN 'cancelled' ELSE 'live' END,
    actor = CASE WHEN {_UID} IS NULL THEN 'service' ELSE a.actor END,
    calcom_uid = coalesce({_UID}, a.calcom_uid)
"""
_DROP_MOVE = "moving_to = NULL"
_UNCHANGED = "id = a.id"

EFFECTS: Mapping[tuple[Kind, OperationState], str] = MappingProxyType(
    {
        (Kind.BOOK, OperationState.DONE): f"state = 'live', calcom_uid = {_UID}",
        (Kind.BOOK, OperationState.REFUSED): _DROP_BOOKING,
        (Kind.BOOK, OperationState.FAILED): _DROP_BOOKING,
        (Kind.BOOK, OperationState.ABANDONED): _DROP_BOOKING,
        (Kind.CANCEL, OperationState.DONE): "state = 'cancelled', actor = 'caller'",
        (Kind.CANCEL, OperationState.FAILED): _UNCHANGED,
        (Kind.MOVE, OperationState.DONE): (
            "starts_at = lower(a.moving_to), ends_at = upper(a.moving_to), moving_to = NULL, "
            f"replaces_uid = CASE WHEN {_UID} IS NULL THEN a.replaces_uid ELSE a.calcom_uid END, "
            f"calcom_uid = coalesce({_UID}, a.calcom_uid)"
        ),
        (Kind.MOVE, OperationState.REFUSED): _DROP_MOVE,
        (Kind.MOVE, OperationState.FAILED): _DROP_MOVE,
        (Kind.MOVE, OperationState.ABANDONED): _DROP_MOVE,
        (Kind.COMPENSATE, OperationState.DONE): _UNCHANGED,
    }
)
"""What settling an operation does to its appointment, to all parts alike; a part of a refused booking stays only where
its uid is given (the flaw `no_saga_compound`)."""
