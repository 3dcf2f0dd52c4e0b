"""Faults inside Cal.com, against the stub as a real process: injected, read back, proven, healed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from tests.booking_service.kit.servers import calcom_stub
from tests.booking_service.kit.world import WORLD

from slotproof.errors import FaultError
from slotproof.faults.base import Deadline, Fault
from slotproof.faults.calcom_reply import CalcomReply, CalcomReplyParams
from slotproof.faults.calcom_stall import CalcomStall, CalcomStallParams
from slotproof.faults.calcom_webhooks import CalcomWebhooks, CalcomWebhooksParams
from slotproof.system import Address, System

SCALE = 10.0
HEADERS = {"Authorization": "Bearer cal_weber", "cal-api-version": "2024-08-13"}


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, System]]:
    """A client of the API, and the stub as faults see it."""
    world: Path = tmp_path_factory.mktemp("calcom") / "world.json"
    world.write_text(json.dumps(WORLD))
    with (
        calcom_stub(world, SCALE) as running,
        httpx.Client(base_url=running.url, headers=HEADERS, timeout=20) as client,
    ):
        yield client, _system(Address("127.0.0.1", int(running.control_url.rpartition(":")[2])))


def _system(control: Address | None) -> System:
    here = Address("127.0.0.1", 1)
    return System(
        toxiproxy=here, links={}, service=here, calcom_control=control, retell_control=None, database_url="",
        admin_database_url="", redis=here, time_scale=SCALE,
    )  # fmt: skip


def _book(client: httpx.Client, hour: int) -> httpx.Response:
    attendee = {"name": "E", "email": "e@example.com", "timeZone": "Europe/Berlin"}
    wish = {"start": f"2027-03-01T{hour:02}:00:00Z", "eventTypeId": 5001, "attendee": attendee}
    return client.post("/v2/bookings", json=wish)


def _soon() -> Deadline:
    return Deadline.after(10)


@pytest.mark.parametrize(
    ("fault", "params", "status", "hour"),
    [
        (CalcomReply(), CalcomReplyParams.model_validate({"kind": "status", "status": 503}), 503, 9),
        (CalcomReply(), CalcomReplyParams.model_validate({"kind": "malformed"}), 200, 10),
        (
            CalcomReply(),
            CalcomReplyParams.model_validate({"kind": "overtaken", "stage": "before_insert"}),
            201,
            12,
        ),
        (
            CalcomReply(),
            CalcomReplyParams.model_validate({"kind": "overtaken", "stage": "before_check"}),
            400,
            15,
        ),
        (CalcomStall(), CalcomStallParams(delay_s=0.5, share=1), 201, 14),
    ],
    ids=["status", "malformed", "overtaken", "refused", "stall"],
)
def test_a_fault_is_proven_by_what_it_did_and_leaves_nothing_behind(
    stub: tuple[httpx.Client, System], fault: Fault[Any], params: Any, status: int, hour: int
) -> None:
    client, system = stub
    assert fault.inject(system, params, _soon()).attributes["endpoint"] == "bookings.create"
    assert not fault.verify(system, params).bitten  # nothing has come yet
    assert _book(client, hour).status_code == status
    assert fault.verify(system, params).bitten
    assert fault.heal(system, params, _soon()).attributes == {"present": False}
    assert fault.verify_healed(system, params).bitten
    assert fault.describe(params)


def test_webhooks_go_astray_and_then_no_more(stub: tuple[httpx.Client, System]) -> None:
    client, system = stub
    hook = {"active": True, "subscriberUrl": "http://127.0.0.1:9/", "triggers": ["BOOKING_CREATED"]}
    assert client.post("/v2/webhooks", json=hook).status_code == 201
    fault, params = CalcomWebhooks(), CalcomWebhooksParams(lost=1)
    fault.inject(system, params, _soon())
    assert not fault.verify(system, params).bitten
    assert _book(client, 16).status_code == 201
    assert fault.verify(system, params).bitten
    fault.heal(system, params, _soon())
    assert fault.verify_healed(system, params).bitten
    assert fault.describe(CalcomWebhooksParams(lost=0.2, delayed=0.5, delay_s=9)) == (
        "of Cal.com's webhooks 20% lost, 50% delayed by up to 9 s"
    )


def test_a_fault_of_no_share_is_never_proven(stub: tuple[httpx.Client, System]) -> None:
    _, system = stub
    assert not CalcomWebhooks().verify(system, CalcomWebhooksParams()).bitten


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "status"},
        {"kind": "malformed", "status": 500},
        {"kind": "status", "status": 404},
        {"kind": "overtaken"},
        {"kind": "existing", "stage": "before_reply"},
        {"kind": "existing", "stage": "before_check", "endpoint": "slots.get"},
        {"kind": "malformed", "share": 0},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CalcomReplyParams.model_validate(wrong)


def test_a_stack_without_the_stub_says_so() -> None:
    with pytest.raises(FaultError, match=r"no Cal\.com stub"):
        CalcomReply().inject(_system(None), CalcomReplyParams.model_validate({"kind": "malformed"}), _soon())
