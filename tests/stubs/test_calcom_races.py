"""The race table of FACTS-calcom-retell.md section 1.11, on a real server.

Concurrency is made, not hoped for: a behaviour holds the requests between check and insert until all have arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.stubs.conftest import RunningCalcom

TAKEN = "User either already has booking at this time or is not available"
NINE, QUARTER_PAST, HALF_PAST = "2027-03-01T08:00:00Z", "2027-03-01T08:15:00Z", "2027-03-01T08:30:00Z"

Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


async def _together(calcom: RunningCalcom, *requests: Awaitable[httpx.Response]) -> list[httpx.Response]:
    """Sends requests so that all are past their check before any goes on."""
    await calcom.hold(endpoint="any")
    replies = asyncio.gather(*requests)
    await calcom.until_held(len(requests))
    await calcom.release()
    return await replies


async def test_exact_same_slot_at_once_gives_one_201_and_one_raw_409(served_calcom: RunningCalcom) -> None:
    replies = await _together(served_calcom, served_calcom.book(NINE), served_calcom.book(NINE))

    won, lost = sorted(replies, key=lambda reply: reply.status_code)
    assert (won.status_code, lost.status_code) == (201, 409)
    assert lost.json() == {"statusCode": 409, "message": "booking_conflict_error"}
    assert len(await served_calcom.ledger()) == 1
    assert [line["why"] for line in served_calcom.trace("refused")] == ["booking_conflict_error"]


@pytest.mark.parametrize(
    ("start", "event_type_id"),
    [(QUARTER_PAST, 5001), (NINE, 5002)],
    ids=["another start", "same start, another length"],
)
async def test_other_overlaps_at_once_are_both_booked(
    served_calcom: RunningCalcom, start: str, event_type_id: int
) -> None:
    replies = await _together(
        served_calcom, served_calcom.book(NINE), served_calcom.book(start, event_type_id=event_type_id)
    )

    assert [reply.status_code for reply in replies] == [201, 201]
    assert (await served_calcom.state())["bookings_live"] == 2


async def test_one_booking_moved_to_two_times_at_once_has_two_live_children(served_calcom: RunningCalcom) -> None:
    uid = (await served_calcom.book(NINE)).json()["data"]["uid"]

    replies = await _together(
        served_calcom,
        served_calcom.reschedule(uid, "2027-03-02T08:00:00Z"),
        served_calcom.reschedule(uid, "2027-03-03T08:00:00Z"),
    )

    assert [reply.status_code for reply in replies] == [201, 201]
    assert (await served_calcom.state())["bookings_live"] == 2
    assert [row["status"] for row in await served_calcom.ledger()] == ["accepted", "cancelled", "accepted", "accepted"]


async def test_two_cancels_at_once_succeed_and_change_it_once(served_calcom: RunningCalcom) -> None:
    uid = (await served_calcom.book(NINE)).json()["data"]["uid"]

    replies = await _together(served_calcom, served_calcom.cancel(uid), served_calcom.cancel(uid))

    assert [reply.status_code for reply in replies] == [200, 200]
    assert [row["status"] for row in await served_calcom.ledger()] == ["accepted", "cancelled"]


@pytest.mark.parametrize("start", [NINE, QUARTER_PAST, HALF_PAST])
async def test_an_overlap_in_sequence_is_refused_as_taken(served_calcom: RunningCalcom, start: str) -> None:
    assert (await served_calcom.book(NINE)).status_code == 201

    reply = await served_calcom.book(start)

    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["code"], error["message"]) == ("BadRequestException", TAKEN)
    assert error["details"] == {"message": TAKEN, "error": "Bad Request", "statusCode": 400}


async def test_a_neighbour_in_time_and_another_host_are_not_excluded(served_calcom: RunningCalcom) -> None:
    replies = [
        await served_calcom.book(NINE),
        await served_calcom.book("2027-03-01T08:45:00Z"),
        await served_calcom.book(NINE, event_type_id=5003),
    ]
    assert [reply.status_code for reply in replies] == [201, 201, 201]


async def test_an_insert_survives_its_client(served_calcom: RunningCalcom, until: Until) -> None:
    await served_calcom.hold()
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
    sent = asyncio.create_task(served_calcom.api.post("/v2/bookings", json=served_calcom.wish(NINE), headers=headers))
    await served_calcom.until_held(1)
    sent.cancel()

    async def noticed() -> bool:
        return bool(served_calcom.trace("client_gone"))

    await until(noticed)
    state = await served_calcom.state()
    assert (state["inserts_in_progress"], state["requests_in_progress"], state["bookings_live"]) == (1, 1, 0)
    await served_calcom.release()

    async def finished() -> bool:
        state = await served_calcom.state()
        return bool(state["inserts_in_progress"] == 0 and state["requests_in_progress"] == 0)

    await until(finished)
    (row,) = await served_calcom.ledger()
    assert row["status"] == "accepted"
    assert row["inserted_ns"] > served_calcom.trace("client_gone")[0]["t_ns"]
    assert {line["trace"] for event in ("client_gone", "inserted") for line in served_calcom.trace(event)} == {trace_id}


async def test_a_stall_delays_between_check_and_insert_and_is_observed(served_calcom: RunningCalcom) -> None:
    await served_calcom.hold(delay_ms=120)

    assert (await served_calcom.book(NINE)).status_code == 201

    (row,) = await served_calcom.ledger()
    assert row["inserted_ns"] - row["checked_ns"] >= 120e6
    observed = await served_calcom.observed()
    assert (observed["matched"], observed["completed"], observed["delays_ms"]["n"]) == (1, 1, 1)
    assert observed["delays_ms"]["min"] >= 120
    assert row["checked_ns"] <= observed["first_ns"] <= observed["last_ns"] <= row["inserted_ns"]
    assert served_calcom.trace("stalled")[0]["behaviour"] == "stall"


async def test_the_ledger_and_the_trace_tell_the_whole_story(served_calcom: RunningCalcom) -> None:
    metadata = {"request_id": "r1"}
    attendee = {"name": "Erika", "phoneNumber": "+493012345678", "timeZone": "Europe/Berlin"}
    first = (await served_calcom.book(NINE, metadata=metadata, attendee=attendee)).json()["data"]["uid"]
    second = (await served_calcom.reschedule(first, QUARTER_PAST, reschedulingReason="later")).json()["data"]["uid"]
    await served_calcom.cancel(second, cancellationReason="caller")

    rows = served_calcom.ledger_file()
    assert rows == await served_calcom.ledger()
    assert await served_calcom.ledger(after=3) == rows[3:]
    expected: list[dict[str, Any]] = [
        {"seq": 1, "uid": first, "replaces": None, "status": "accepted", "reason": None},
        {"seq": 2, "uid": first, "replaces": None, "status": "cancelled", "reason": "rescheduled"},
        {"seq": 3, "uid": second, "replaces": first, "status": "accepted", "reason": "later"},
        {"seq": 4, "uid": second, "replaces": first, "status": "cancelled", "reason": "caller"},
    ]
    assert [{key: row[key] for key in expected[0]} for row in rows] == expected
    assert [row["at_ns"] for row in rows] == sorted(row["at_ns"] for row in rows)
    assert rows[1]["at_ns"] == rows[2]["at_ns"], "a reschedule is one step"
    assert rows[2]["start"] == "2027-03-01T08:15:00.000Z"
    assert rows[2]["end"] == "2027-03-01T09:00:00.000Z"
    assert all(row["metadata"] == metadata and row["host_id"] == 1001 and not row["external"] for row in rows)
    assert rows[0]["attendee"] == {"name": "Erika", "email": "493012345678@sms.cal.com", "phone": "+493012345678"}
    assert [line["uid"] for line in served_calcom.trace("inserted")] == [first, second]
    assert [line["uid"] for line in served_calcom.trace("cancelled")] == [first, second]
    assert [line.get("uid") for line in served_calcom.trace("checked")] == [None, first]
