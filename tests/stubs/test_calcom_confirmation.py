"""Event types that want a confirmation: pending bookings, confirm, decline (FACTS-calcom-retell.md 1.8 and 1.11)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from calcom_stub.world import World, parse_world

if TYPE_CHECKING:
    from tests.stubs.conftest import RunningCalcom

NINE, QUARTER_PAST, TEN = "2027-03-01T08:00:00Z", "2027-03-01T08:15:00Z", "2027-03-01T09:00:00Z"


@pytest.fixture
def world(world_document: dict[str, Any]) -> World:
    """The first haircut wants a confirmation."""
    person = world_document["companies"][0]["branches"][0]["people"][0]
    person["event_types"][0]["requires_confirmation"] = True
    return parse_world(world_document)


@pytest_asyncio.fixture
async def pending(served_calcom: RunningCalcom) -> str:
    data = (await served_calcom.book(NINE)).json()["data"]
    assert data["status"] == "pending"
    uid: str = data["uid"]
    return uid


async def _post(calcom: RunningCalcom, uid: str, what: str, **body: Any) -> Any:
    return await calcom.api.post(f"/v2/bookings/{uid}/{what}", json=body)


async def test_a_pending_booking_is_confirmed_once(served_calcom: RunningCalcom, pending: str) -> None:
    first = await _post(served_calcom, pending, "confirm")
    again = await _post(served_calcom, pending, "confirm")
    assert (first.status_code, first.json()["data"]["status"]) == (200, "accepted")
    assert (again.status_code, again.json()["error"]["message"]) == (400, "Booking already confirmed")
    assert [row["status"] for row in await served_calcom.ledger()] == ["pending", "accepted"]


async def test_a_declined_booking_is_rejected_and_its_time_is_free(served_calcom: RunningCalcom, pending: str) -> None:
    declined = await _post(served_calcom, pending, "decline", reason="closed")
    assert (declined.status_code, declined.json()["data"]["status"]) == (200, "rejected")
    assert (await served_calcom.ledger())[-1]["reason"] == "closed"
    assert (await _post(served_calcom, pending, "decline")).status_code == 400
    assert (await served_calcom.book(NINE, event_type_id=5002)).status_code == 201


@pytest.mark.parametrize("what", ["confirm", "decline"])
async def test_an_unknown_booking_is_not_found(served_calcom: RunningCalcom, what: str) -> None:
    assert (await _post(served_calcom, "nothing", what)).status_code == 404


async def test_a_pending_booking_takes_its_time(served_calcom: RunningCalcom, pending: str) -> None:
    assert (await served_calcom.book(NINE, event_type_id=5002)).status_code == 400


async def test_the_same_attendee_gets_the_booking_that_is_there(served_calcom: RunningCalcom, pending: str) -> None:
    """Section 1.11: a second POST of the same attendee and start returns the existing booking."""
    again = await served_calcom.book(NINE)
    assert (again.status_code, again.json()["data"]["uid"]) == (201, pending)
    assert len(await served_calcom.ledger()) == 1


def _of(email: str) -> dict[str, Any]:
    return {"attendee": {"name": "Other", "email": email, "timeZone": "Europe/Berlin"}}


@pytest.mark.parametrize("second", [NINE, QUARTER_PAST], ids=["same slot", "offset"])
async def test_two_pendings_at_once_are_both_made_and_both_confirmed(
    served_calcom: RunningCalcom, second: str, until: Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
) -> None:
    """No key is set for pending ones, none when they are confirmed, and no overlap is looked for."""
    await served_calcom.hold()
    both = asyncio.gather(served_calcom.book(NINE), served_calcom.book(second, **_of("other@example.com")))
    await served_calcom.until_held(2)
    await served_calcom.release()
    replies = await both
    assert [reply.status_code for reply in replies] == [201, 201]
    for reply in replies:
        assert (await _post(served_calcom, reply.json()["data"]["uid"], "confirm")).status_code == 200
    assert [row["status"] for row in await served_calcom.ledger()] == ["pending", "pending", "accepted", "accepted"]
