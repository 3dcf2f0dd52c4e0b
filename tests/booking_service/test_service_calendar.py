"""Bookings that people make directly in the calendar: told by webhooks, subtracted, and read back before confirming."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.booking_service.kit.faulty_link import Damage, FaultyLink
from tests.booking_service.kit.harness import WEBHOOK_SECRET, Answer, Serve, Service, until
from tests.booking_service.kit.servers import CalcomStub
from tests.booking_service.kit.world import ANNA, BEA

from booking_service import calcom as calcom_client
from booking_service.flaws import Flaw


def _told(trigger: str, uid: str, start: datetime, **more: Any) -> dict[str, Any]:
    payload = {
        "uid": uid,
        "startTime": start.astimezone(UTC).isoformat(),
        "endTime": (start + timedelta(minutes=45)).astimezone(UTC).isoformat(),
        "organizer": {"id": 1000 + ANNA, "name": "Anna"},
        "metadata": {},
        **more,
    }
    return {"triggerEvent": trigger, "createdAt": datetime.now(UTC).isoformat(), "payload": payload}


async def _webhook(service: Service, document: dict[str, Any], secret: str = WEBHOOK_SECRET) -> Answer:
    body = json.dumps(document).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return await service.caller().raw("/webhooks/calcom", body, {"X-Cal-Signature-256": signature})


async def _walk_in(calcom: CalcomStub, start: datetime) -> str:
    """Somebody books Anna directly in the calendar."""
    async with httpx.AsyncClient(base_url=calcom.control_url) as control:
        wish = {"event_type_id": 5000 + ANNA, "start": start.astimezone(UTC).isoformat()}
        reply = await control.post("/control/bookings", json=wish)
        assert reply.status_code == 201, reply.text
        uid: str = reply.json()["uid"]
        return uid


async def test_only_what_is_signed_with_the_secret_is_taken(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        document = _told("BOOKING_CREATED", "x", ten)
        assert (await _webhook(service, document, "another")).code == "bad_signature"
        assert (await service.caller().raw("/webhooks/calcom", b"{}", {})).code == "bad_signature"
    async with serve(calcom_webhook_secret="") as service:
        assert (await _webhook(service, document, "")).code == "bad_signature"
        assert not await _known(service, "x")


async def _known(service: Service, uid: str) -> bool:
    """Whether it is among the external bookings. (The calendar is that of all tests: others may be.)"""
    known: bool = await service.database.fetchval(
        "SELECT count(*) > 0 FROM external_bookings WHERE calcom_uid = $1", uid
    )
    return known


async def test_a_told_booking_is_neither_offered_nor_sold(serve: Serve, link: FaultyLink, ten: datetime) -> None:
    async with serve() as service:
        for _ in range(2):  # it may be told twice
            assert (await _webhook(service, _told("BOOKING_CREATED", f"x{ten}", ten))).status == 204
        free = await service.caller().free_starts(ten)
        overlapping = [ten + timedelta(minutes=minutes) for minutes in (-30, -15, 0, 15, 30)]
        assert not {each.astimezone(UTC).isoformat().replace("+00:00", "Z") for each in overlapping} & set(free)
        asked = link.count("POST", "/v2/bookings")
        assert (await service.caller().book(ten + timedelta(minutes=15))).code == "slot_taken"
        assert link.count("POST", "/v2/bookings") == asked  # Cal.com need not be asked
        assert (await service.caller().book(ten, person=BEA)).code == "confirmed"


@pytest.mark.parametrize(
    "triggers",
    [
        ("BOOKING_CREATED", "BOOKING_CANCELLED"),
        ("BOOKING_CANCELLED", "BOOKING_CREATED"),  # late and out of order
        ("BOOKING_CREATED", "BOOKING_CANCELLED", "BOOKING_CREATED"),
        ("BOOKING_CREATED", "BOOKING_REJECTED"),
    ],
)
async def test_what_was_cancelled_stays_so_in_whatever_order_it_is_told(
    serve: Serve, ten: datetime, triggers: tuple[str, ...]
) -> None:
    async with serve() as service:
        uid = str(uuid4())
        for trigger in triggers:
            await _webhook(service, _told(trigger, uid, ten))
        assert (await service.caller().book(ten)).code == "confirmed"


async def test_a_moved_booking_frees_its_old_time(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        old, new = str(uuid4()), str(uuid4())
        noon = ten.replace(hour=12)
        await _webhook(service, _told("BOOKING_CREATED", old, ten))
        await _webhook(service, _told("BOOKING_RESCHEDULED", new, noon, rescheduleUid=old))
        assert (await service.caller().book(noon)).code == "slot_taken"
        assert (await service.caller().book(ten)).code == "confirmed"


async def test_own_bookings_are_not_taken_for_external_ones(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        caller = service.caller()
        booking = (await caller.book(ten)).booking
        own = _told("BOOKING_CREATED", booking["calcom_uid"], ten, metadata={"appointment_id": booking["id"]})
        assert (await _webhook(service, own)).status == 204
        assert not await _known(service, booking["calcom_uid"])
        assert (await caller.cancel(booking["id"])).code == "cancelled"


async def test_what_is_told_of_an_own_booking_before_its_reply_changes_nothing(
    serve: Serve, link: FaultyLink, ten: datetime
) -> None:
    async with serve() as service:
        link.damage = Damage.HOLD_REQUEST
        ours = asyncio.create_task(service.caller().book(ten))

        async def asked() -> bool:
            return link.count("POST", "/v2/bookings") > 0

        await until(asked)
        appointment_id = str(await service.database.fetchval("SELECT id FROM appointments"))
        told = _told("BOOKING_CREATED", str(uuid4()), ten, metadata={"appointment_id": appointment_id})
        assert (await _webhook(service, told)).status == 204
        assert await service.state(appointment_id) == "pending"
        link.let_go.set()
        assert (await ours).code == "confirmed"


async def test_a_day_of_more_bookings_than_one_page_is_read_back_whole(
    serve: Serve, link: FaultyLink, ten: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or every booking of a large company would wait for the reconciler, and hold its person's lock meanwhile."""
    monkeypatch.setattr(calcom_client, "PAGE_SIZE", 2)
    async with serve() as service:
        for hour in (9, 11, 12, 13, 14):
            answer = await service.caller().book(ten.replace(hour=hour))
            assert answer.code == "confirmed"
        read_back = [event for event in service.events("calcom_sent") if event["what"] == "read_back"]
        assert len(read_back) == 1 + 1 + 2 + 2 + 3  # bookings of the day, two a page


async def test_what_no_webhook_told_is_learned_from_the_listing(
    serve: Serve, calcom: CalcomStub, ten: datetime
) -> None:
    """Lost webhooks cost time, not bookings: neither is a taken time sold nor a free one kept back for ever."""
    async with serve(time_scale=30) as service:
        uid = await _walk_in(calcom, ten)

        async def known_as(state: str) -> bool:
            query = "SELECT state FROM external_bookings WHERE calcom_uid = $1 AND person_id = $2"
            return bool(await service.database.fetchval(query, uid, ANNA) == state)

        await until(lambda: known_as("live"))
        assert (await service.caller().book(ten + timedelta(minutes=15))).code == "slot_taken"
        async with httpx.AsyncClient(base_url=calcom.control_url) as control:
            assert (await control.post(f"/control/bookings/{uid}/cancel")).status_code == 204
        await until(lambda: known_as("cancelled"))
        assert (await service.caller().book(ten)).code == "confirmed"


async def test_the_end_of_an_own_booking_is_looked_up_when_it_is_told(
    serve: Serve, calcom: CalcomStub, ten: datetime
) -> None:
    """A webhook alone decides nothing, since it can be replayed; it makes the reconciler look before its time."""
    async with serve(time_scale=0.5) as service:
        booking = (await service.caller().book(ten)).booking
        metadata = {"appointment_id": booking["id"]}
        cancelled = _told("BOOKING_CANCELLED", booking["calcom_uid"], ten, metadata=metadata)
        listed = len(_listings(service))
        await _webhook(service, {**cancelled, "triggerEvent": "BOOKING_CREATED"})  # no news
        await _webhook(service, cancelled)

        async def looked() -> bool:
            return len(_listings(service)) > listed

        await until(looked)
        assert await service.state(booking["id"]) == "live"
        async with httpx.AsyncClient(base_url=calcom.control_url) as control:
            assert (await control.post(f"/control/bookings/{booking['calcom_uid']}/cancel")).status_code == 204
        await _webhook(service, cancelled)

        async def followed() -> bool:
            return await service.state(booking["id"]) == "cancelled"

        await until(followed)
        assert (await service.history(booking["id"]))[-1] == ("cancelled", "external")


def _listings(service: Service) -> list[dict[str, Any]]:
    return [line for line in service.events("calcom_sent") if line["what"] == "list"]


@pytest.mark.parametrize(
    "changes",
    [
        {"startTime": "2027-01-01T10:00:00"},  # of which time zone?
        {"startTime": "0001-01-01T00:00:00+14:00"},
        {"startTime": 1_800_000_000},
        {"organizer": {"id": -1}},
        {"uid": ""},
    ],
)
async def test_what_is_no_booking_is_refused(serve: Serve, ten: datetime, changes: dict[str, object]) -> None:
    async with serve() as service:
        document = _told("BOOKING_CREATED", "x", ten)
        answer = await _webhook(service, {**document, "payload": {**document["payload"], **changes}})
        assert (answer.status, answer.code) == (422, "invalid")


@pytest.mark.parametrize("flaw", [None, Flaw.NO_READ_BACK])
async def test_a_booking_that_slips_into_the_gap_of_the_calendar_is_found_before_anyone_is_told(
    serve: Serve, calcom: CalcomStub, ten: datetime, flaw: Flaw | None
) -> None:
    """Cal.com checks, then somebody books an overlapping time directly, then Cal.com inserts ours: both stand there."""
    async with (
        serve(*([flaw] if flaw else [])) as service,
        httpx.AsyncClient(base_url=calcom.control_url) as control,
    ):
        gap = {"endpoint": "bookings.create", "stage": "before_insert", "kind": "delay", "delay_ms": 30_000}
        await control.put("/control/behaviours/gap", json={**gap, "lease_s": 60})
        ours = asyncio.create_task(service.caller().book(ten))

        async def held() -> bool:
            return bool((await control.get("/control/behaviours/gap")).json()["matched"])

        await until(held)
        theirs = await _walk_in(calcom, ten + timedelta(minutes=15))
        await control.delete("/control/behaviours/gap")
        answer = await ours
        if flaw:
            assert answer.code == "confirmed"
            return
        assert answer.code == "slot_taken"
        await service.until_settled()

        async def only_theirs_stands() -> bool:
            rows = (await control.get("/control/ledger")).json()["rows"]
            day = [row for row in rows if row["start"][:10] == ten.astimezone(UTC).isoformat()[:10]]
            last = {row["uid"]: row for row in day}
            return [uid for uid, row in last.items() if row["status"] == "accepted"] == [theirs]

        await until(only_theirs_stands)
