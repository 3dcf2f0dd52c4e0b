"""Slot reservations: they hide a time and guarantee nothing (FACTS-calcom-retell.md section 1.5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.stubs.conftest import RunningCalcom

NINE, QUARTER_PAST, TEN = "2027-03-01T08:00:00Z", "2027-03-01T08:15:00Z", "2027-03-01T09:00:00Z"
SLOTS = {"cal-api-version": "2024-09-04"}


async def _reserve(calcom: RunningCalcom, start: str, **more: Any) -> httpx.Response:
    body = {"eventTypeId": 5001, "slotStart": start, **more}
    return await calcom.api.post("/v2/slots/reservations", json=body, headers=SLOTS)


async def _first_slot(calcom: RunningCalcom, event_type_id: int) -> str:
    slots = (await calcom.slots(eventTypeId=event_type_id)).json()["data"]["2027-03-01"]
    return str(slots[0]["start"])


async def test_a_reservation_hides_its_time_for_all_event_types_of_the_host(calcom: RunningCalcom) -> None:
    data = (await _reserve(calcom, NINE)).json()["data"]
    assert (data["slotEnd"], data["slotDuration"], data["reservationDuration"]) == ("2027-03-01T08:45:00.000Z", 45, 5)
    assert await _first_slot(calcom, 5001) == "2027-03-01T08:45:00.000Z"
    assert await _first_slot(calcom, 5002) == "2027-03-01T08:45:00.000Z"
    assert await _first_slot(calcom, 5003) == "2027-03-01T08:00:00.000Z"  # another person


async def test_anybody_can_book_what_somebody_reserved(calcom: RunningCalcom) -> None:
    await _reserve(calcom, NINE)
    assert (await calcom.book(NINE)).status_code == 201


async def test_it_runs_out_after_five_minutes(
    start_calcom: Callable[..., Awaitable[RunningCalcom]], at: Callable[..., datetime]
) -> None:
    clock = [at(7)]
    calcom = await start_calcom(now=lambda: clock[0])
    uid = (await _reserve(calcom, NINE)).json()["data"]["reservationUid"]
    clock[0] += timedelta(minutes=5)
    assert await _first_slot(calcom, 5001) == "2027-03-01T08:00:00.000Z"
    assert (await calcom.api.get(f"/v2/slots/reservations/{uid}", headers=SLOTS)).json()["data"] is None


async def test_it_is_looked_up_moved_and_removed(calcom: RunningCalcom) -> None:
    data = (await _reserve(calcom, NINE)).json()["data"]
    one = f"/v2/slots/reservations/{data['reservationUid']}"
    del data["reservationDuration"]
    assert (await calcom.api.get(one, headers=SLOTS)).json()["data"] == data
    moved = await calcom.api.patch(one, json={"eventTypeId": 5001, "slotStart": TEN}, headers=SLOTS)
    assert moved.json()["data"]["slotStart"] == "2027-03-01T09:00:00.000Z"
    own = await calcom.api.patch(one, json={"eventTypeId": 5001, "slotStart": "2027-03-01T09:15:00Z"}, headers=SLOTS)
    assert own.status_code == 422  # its own reservation is in the way
    for _ in range(2):
        assert (await calcom.api.delete(one, headers=SLOTS)).status_code == 200
    assert (await calcom.api.patch(one, json={}, headers=SLOTS)).status_code == 404


@pytest.mark.parametrize(
    ("more", "headers", "status", "text"),
    [
        ({"eventTypeId": 17}, {}, 404, "Event Type with ID=17 not found"),
        ({"slotDuration": 30}, {}, 400, "slotDuration can only be given for event types of variable length"),
        ({"reservationDuration": 9}, {"Authorization": "Bearer cal_fischer"}, 403, None),
        ({"slotStart": "now"}, {}, 400, "Bad Request Exception"),
    ],
)
async def test_refusals(
    calcom: RunningCalcom, more: dict[str, Any], headers: dict[str, str], status: int, text: str | None
) -> None:
    body = {"eventTypeId": 5001, "slotStart": NINE, **more}
    reply = await calcom.api.post("/v2/slots/reservations", json=body, headers={**SLOTS, **headers})
    assert reply.status_code == status
    assert text in (None, reply.json()["error"]["message"])


async def test_what_is_booked_or_reserved_cannot_be_reserved(calcom: RunningCalcom) -> None:
    await _reserve(calcom, NINE)
    reserved = await _reserve(calcom, QUARTER_PAST)
    await calcom.book(TEN)
    booked = await _reserve(calcom, TEN)
    texts = [(reply.status_code, reply.json()["error"]["message"]) for reply in (reserved, booked)]
    assert texts == [
        (422, "This time slot is already reserved by another user. Please choose a different time."),
        (422, "Can't reserve a slot if the event is already booked."),
    ]
