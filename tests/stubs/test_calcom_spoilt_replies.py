"""Behaviours that spoil replies, and bookings made directly in the calendar (docs/interfaces.md, control listener)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.stubs.conftest import RunningCalcom

NINE, QUARTER_PAST, TEN = "2027-03-01T08:00:00Z", "2027-03-01T08:15:00Z", "2027-03-01T09:00:00Z"
BEFORE, AFTER = "before_check", "before_reply"


async def _spoil(calcom: RunningCalcom, stage: str, kind: str, **more: Any) -> None:
    body = {"endpoint": "bookings.create", "stage": stage, "kind": kind, "lease_s": 60, **more}
    assert (await calcom.control.put("/control/behaviours/spoil", json=body)).status_code == 200


@pytest.mark.parametrize(("stage", "made"), [(BEFORE, 0), (AFTER, 1)])
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_error_status_before_or_after_the_booking_was_made(
    calcom: RunningCalcom, stage: str, made: int, status: int
) -> None:
    await _spoil(calcom, stage, "status", status=status)
    reply = await calcom.book(NINE)
    assert reply.status_code == status
    message = reply.json()["error"]["message"] if status == 429 else reply.json()["message"]
    assert message == (
        "CustomThrottlerGuard - Too many requests. Please try again later."
        if status == 429
        else "Internal server error"
    )
    assert len(await calcom.ledger()) == made
    await calcom.release("spoil")
    assert (await calcom.book(TEN)).status_code == 201


async def test_a_reply_that_is_no_json(calcom: RunningCalcom) -> None:
    await _spoil(calcom, AFTER, "malformed")
    reply = await calcom.book(NINE)
    assert reply.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        reply.json()
    assert len(await calcom.ledger()) == 1


async def test_a_200_with_the_body_of_an_error(calcom: RunningCalcom) -> None:
    await _spoil(calcom, BEFORE, "ok_with_error")
    reply = await calcom.book(NINE)
    assert reply.status_code == 200
    assert reply.json()["status"] == "error"
    assert not await calcom.ledger()


async def test_the_booking_that_takes_the_time_is_returned_as_if_it_were_new(calcom: RunningCalcom) -> None:
    first = (await calcom.book(NINE, metadata={"call_id": "first"})).json()["data"]
    await _spoil(calcom, BEFORE, "existing")
    second = await calcom.book(QUARTER_PAST, metadata={"call_id": "second"})
    assert second.status_code == 201
    assert second.json()["data"]["uid"] == first["uid"]
    assert second.json()["data"]["metadata"] == {"call_id": "first"}
    assert (await calcom.book(TEN)).json()["data"]["start"] == "2027-03-01T09:00:00.000Z"  # nothing takes this one


async def test_a_share_of_the_requests_is_spoilt(calcom: RunningCalcom) -> None:
    await _spoil(calcom, BEFORE, "status", status=500, share=0.5)
    body = calcom.wish("2020-01-01T08:00:00Z")  # in the past: refused with 400 when it is not spoilt
    statuses = [(await calcom.post_booking(body)).status_code for _ in range(60)]
    assert 15 <= statuses.count(500) <= 45
    assert statuses.count(500) + statuses.count(400) == 60
    assert (await calcom.observed("spoil"))["matched"] == statuses.count(500)


@pytest.mark.parametrize(
    "more",
    [
        {"kind": "status"},
        {"kind": "status", "status": 418},
        {"kind": "malformed", "delay_ms": 3},
        {"kind": "malformed", "share": 0},
        {"kind": "existing"},
        {"kind": "nothing"},
    ],
)
async def test_what_is_no_behaviour_is_refused(calcom: RunningCalcom, more: dict[str, Any]) -> None:
    body = {"endpoint": "bookings.create", "stage": AFTER, "lease_s": 60, **more}
    reply = await calcom.control.put("/control/behaviours/spoil", json=body)
    assert reply.status_code == 422
    assert reply.json()["error"]


class TestBookingsMadeInTheCalendar:
    async def _walk_in(self, calcom: RunningCalcom, start: str) -> Any:
        return await calcom.control.post("/control/bookings", json={"event_type_id": 5001, "start": start})

    async def test_they_take_their_time_and_are_marked(self, calcom: RunningCalcom) -> None:
        made = await self._walk_in(calcom, NINE)
        assert made.status_code == 201
        assert (await calcom.book(QUARTER_PAST)).status_code == 400
        (row,) = await calcom.ledger()
        assert (row["uid"], row["external"], row["metadata"]) == (made.json()["uid"], True, {})
        assert "2027-03-01T08:00:00.000Z" not in str((await calcom.slots()).json())

    async def test_they_are_refused_where_the_time_is_taken(self, calcom: RunningCalcom) -> None:
        await calcom.book(NINE)
        assert (await self._walk_in(calcom, QUARTER_PAST)).status_code == 409

    async def test_anybody_s_booking_can_be_cancelled_there(self, calcom: RunningCalcom) -> None:
        uid = (await calcom.book(NINE)).json()["data"]["uid"]
        assert (await calcom.control.post(f"/control/bookings/{uid}/cancel")).status_code == 204
        assert (await calcom.control.post(f"/control/bookings/{uid}/cancel")).status_code == 409
        assert [(row["status"], row["external"]) for row in await calcom.ledger()] == [
            ("accepted", False),
            ("cancelled", True),
        ]

    @pytest.mark.parametrize("body", [{}, {"event_type_id": 1, "start": NINE}, {"event_type_id": 5001, "start": 3}])
    async def test_what_is_no_booking_is_refused(self, calcom: RunningCalcom, body: dict[str, Any]) -> None:
        assert (await calcom.control.post("/control/bookings", json=body)).status_code == 422
