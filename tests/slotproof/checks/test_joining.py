"""Rows find their booking whatever the target stores (CONTRACTS.md section 1)."""

from __future__ import annotations

from typing import Any

import pytest

from slotproof.checks.bookings import Booking, resolve
from slotproof.record.builder import RecordBuilder


def owners(builder: RecordBuilder) -> dict[str, int | None]:
    """Row name -> the request whose booking it was found to be."""
    bookings: list[Booking] = list(resolve(builder.build()).bookings)
    return {row.name: booking.number for booking in bookings for row in booking.rows}


def two_callers() -> RecordBuilder:
    builder = RecordBuilder().book(start="9:00", at=(0, 10), call_ref="call-1", external_id="id-1")
    return builder.book(start="9:00", at=(0, 10), call_ref="call-2", external_id="id-2", outcome="taken")


@pytest.mark.parametrize(
    "stored",
    [{"request": 2}, {"row": "id-2"}, {"uid": "id-2"}, {"call_ref": "call-2"}],
    ids=["request", "id of the reply", "uid of the reply", "call_ref, person and range"],
)
def test_by_each_key(stored: dict[str, Any]) -> None:
    row = stored.pop("row", "r")
    assert owners(two_callers().database_row(row, at=5, start="9:00", **stored)) == {f"database:{row}": 2}


def test_call_ref_alone_is_not_enough() -> None:
    assert owners(two_callers().database_row("r", at=5, start="10:00", call_ref="call-2")) == {"database:r": None}


def test_by_a_phone_that_another_row_taught() -> None:
    builder = two_callers().database_row("r", at=5, start="9:00", request=2, phone="+49301")
    builder.calendar_row("u", at=5, start="9:00", phone="+49301")
    assert owners(builder)["calendar:u"] == 2


def test_by_the_uid_that_the_database_names() -> None:
    builder = (
        two_callers().database_row("r", at=5, start="9:00", request=1, uid="u").calendar_row("u", at=4, start="9:00")
    )
    assert owners(builder)["calendar:u"] == 1


def test_by_lineage_through_reschedules() -> None:
    builder = two_callers().calendar_row("u", at=5, start="9:00", request=1)
    builder.calendar_row("v", at=6, start="10:00", replaces="u").calendar_row("w", at=7, start="11:00", replaces="v")
    assert owners(builder) == {"calendar:u": 1, "calendar:v": 1, "calendar:w": 1}


def test_of_two_requests_of_one_call_the_better_answer_owns() -> None:
    builder = RecordBuilder().book(call=1, start="9:00", at=(0, 10), call_ref="c", outcome="none")
    builder.book(call=1, start="9:00", at=(20, 30), call_ref="c")
    assert owners(builder.database_row("r", at=25, start="9:00", call_ref="c")) == {"database:r": 2}


def test_a_request_that_nobody_sent_has_no_owner() -> None:
    assert owners(two_callers().database_row("r", at=5, start="9:00", request=99, call_ref="call-1")) == {
        "database:r": None
    }


def test_an_external_op_owns_its_row() -> None:
    builder = RecordBuilder().book(start="9:00", at=(0, 10), actor="external")
    assert owners(builder.calendar_row("x", at=5, start="9:00", actor="external")) == {"calendar:x": 1}


def test_a_cancel_of_a_moved_booking_concerns_the_first_request() -> None:
    builder = RecordBuilder().book(start="9:00", at=(0, 10)).move(1, to="10:00", at=(20, 30)).cancel(2, at=(40, 50))
    (booking,) = resolve(builder.build()).bookings
    assert [cancel.number for cancel in booking.cancels] == [3]
    assert [told.to_ns is None for told in booking.told] == [False, False]
