"""The control listener: behaviours with leases, and what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.stubs.conftest import RunningCalcom

NINE = "2027-03-01T08:00:00Z"
Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


async def test_a_delete_wakes_sleepers_at_once(served_calcom: RunningCalcom) -> None:
    await served_calcom.hold()
    sent = asyncio.create_task(served_calcom.book(NINE))
    await served_calcom.until_held(1)
    assert not sent.done()

    gone = await served_calcom.release()

    assert gone.status_code == 200
    assert (await sent).status_code == 201
    assert (await served_calcom.control.get("/control/behaviours/stall")).status_code == 404
    assert (await served_calcom.release()).status_code == 200, "also when absent"


async def test_the_end_of_the_lease_ends_the_behaviour(served_calcom: RunningCalcom, until: Until) -> None:
    await served_calcom.hold(lease_s=0.05)

    assert (await served_calcom.book(NINE)).status_code == 201

    async def absent() -> bool:
        return (await served_calcom.control.get("/control/behaviours/stall")).status_code == 404

    await until(absent)


async def test_the_same_body_again_renews_and_another_one_replaces(served_calcom: RunningCalcom) -> None:
    await served_calcom.hold()
    sent = asyncio.create_task(served_calcom.book(NINE))
    await served_calcom.until_held(1)

    renewed = (await served_calcom.hold()).json()
    replaced = (await served_calcom.hold(delay_ms=1)).json()

    assert renewed["matched"] == 1
    assert replaced["matched"] == 0
    assert (await sent).status_code == 201, "what the old behaviour held goes on"


async def test_a_delay_of_zero_is_accepted_and_shows_no_effect(served_calcom: RunningCalcom) -> None:
    assert (await served_calcom.hold(delay_ms=0)).status_code == 200
    await served_calcom.book(NINE)
    observed = await served_calcom.observed()
    assert (observed["matched"], observed["completed"]) == (1, 1)
    assert observed["delays_ms"]["max"] < 1000


@pytest.mark.parametrize(
    ("endpoint", "stage", "expected"),
    [
        ("slots.get", "before_reply", 1),
        ("any", "before_check", 1),
        ("bookings.list", "before_check", 0),
        ("slots.get", "before_insert", 0),
    ],
)
async def test_only_its_endpoint_and_stage_are_matched(
    served_calcom: RunningCalcom, endpoint: str, stage: str, expected: int
) -> None:
    await served_calcom.hold(endpoint=endpoint, stage=stage, delay_ms=1)
    await served_calcom.slots()
    observed = await served_calcom.observed()
    assert observed["matched"] == observed["delays_ms"]["n"] == expected


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "sometime"},
        {"endpoint": "bookings"},
        {"kind": "error"},
        {"delay_ms": -1},
        {"delay_ms": "5"},
        {"lease_s": 0},
        {"lease_s": None},
        {"delayms": 5},
    ],
)
async def test_a_wrong_behaviour_is_refused(served_calcom: RunningCalcom, change: dict[str, Any]) -> None:
    reply = await served_calcom.hold(**change)
    assert reply.status_code == 422
    assert reply.json()["error"]
    assert (await served_calcom.control.get("/control/behaviours/stall")).status_code == 404


async def test_state_of_an_idle_stub(served_calcom: RunningCalcom) -> None:
    assert await served_calcom.state() == {
        "requests_in_progress": 0,
        "inserts_in_progress": 0,
        "bookings_live": 0,
        "requests_last_min": 0,
        "requests_per_min": 10_000,
        "blocked_until_ns": 0,
        "accounts_suspended": 0,
        "last_seq": 0,
    }


async def test_a_wrong_sequence_number_is_refused(served_calcom: RunningCalcom) -> None:
    assert (await served_calcom.control.get("/control/ledger", params={"after": "x"})).status_code == 422
