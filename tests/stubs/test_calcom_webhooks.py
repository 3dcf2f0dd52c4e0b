"""Webhooks of the Cal.com stub: registration, what is sent, its signature, and the weather (FACTS section 1.10)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.stubs.calcom_shapes import validator

if TYPE_CHECKING:
    from tests.stubs.conftest import RunningCalcom

NINE, TEN = "2027-03-01T08:00:00Z", "2027-03-01T09:00:00Z"
TRIGGERS = ["BOOKING_CREATED", "BOOKING_CANCELLED", "BOOKING_RESCHEDULED", "BOOKING_REQUESTED", "BOOKING_REJECTED"]
OTHER_KEY = "cal_fischer"


@dataclass
class Receiver:
    """Somebody's webhook endpoint; `hold` keeps its replies back."""

    url: str = ""
    seen: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    status: int = 200

    async def take(self, request: Request) -> Response:
        self.seen.append((dict(request.headers), await request.body()))
        await self.hold.wait()
        return Response(status_code=self.status)

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.seen]


@pytest_asyncio.fixture
async def receiver(serving: Callable[..., Any]) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    receiver.hold.set()
    async with serving([Starlette(routes=[Route("/hook", receiver.take, methods=["POST"])])]) as (url,):
        receiver.url = f"{url}/hook"
        yield receiver


async def _subscribe(calcom: RunningCalcom, receiver: Receiver, **more: Any) -> httpx.Response:
    body = {"active": True, "subscriberUrl": receiver.url, "triggers": TRIGGERS, "secret": "s3cret", **more}
    return await calcom.api.post("/v2/webhooks", json=body)


async def test_what_happens_to_a_booking_is_told_signed_and_before_its_reply(
    served_calcom: RunningCalcom, receiver: Receiver
) -> None:
    assert (await _subscribe(served_calcom, receiver)).status_code == 201
    uid = (await served_calcom.book(NINE, metadata={"request_id": "7"})).json()["data"]["uid"]
    moved = (await served_calcom.reschedule(uid, TEN)).json()["data"]["uid"]
    await served_calcom.cancel(moved, cancellationReason="ill")

    told = receiver.documents
    assert [each["triggerEvent"] for each in told] == ["BOOKING_CREATED", "BOOKING_RESCHEDULED", "BOOKING_CANCELLED"]
    created, rescheduled, cancelled = (each["payload"] for each in told)
    assert (created["uid"], created["startTime"], created["status"]) == (uid, "2027-03-01T08:00:00Z", "ACCEPTED")
    assert created["metadata"] == {"request_id": "7"}
    assert created["organizer"]["utcOffset"] == 60
    assert (rescheduled["uid"], rescheduled["rescheduleUid"]) == (moved, uid)
    assert rescheduled["rescheduleStartTime"] == created["startTime"]
    assert (cancelled["cancellationReason"], cancelled["status"]) == ("ill", "CANCELLED")
    for headers, body in receiver.seen:
        assert headers["x-cal-signature-256"] == hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
        assert headers["x-cal-webhook-version"] == "2021-10-20"
        validator("webhook_body").validate(json.loads(body))


async def test_a_slow_receiver_keeps_the_reply_back(
    served_calcom: RunningCalcom, receiver: Receiver, until: Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
) -> None:
    await _subscribe(served_calcom, receiver)
    receiver.hold.clear()
    booking = asyncio.create_task(served_calcom.book(NINE))

    async def told() -> bool:
        return bool(receiver.seen)

    await until(told)
    assert not booking.done()
    assert (await served_calcom.state())["bookings_live"] == 1  # it is told of before the caller has an answer
    receiver.hold.set()
    assert (await booking).status_code == 201


async def test_what_the_receiver_answers_matters_to_nobody(served_calcom: RunningCalcom, receiver: Receiver) -> None:
    receiver.status = 500
    await _subscribe(served_calcom, receiver)
    assert (await served_calcom.book(NINE)).status_code == 201
    assert len(receiver.seen) == 1  # and is not tried again
    assert [line["status"] for line in served_calcom.trace("webhook_sent")] == [500]


async def test_nobody_at_the_address_is_noted_and_no_error(served_calcom: RunningCalcom, receiver: Receiver) -> None:
    await _subscribe(served_calcom, receiver, subscriberUrl="http://127.0.0.1:9/hook")
    assert (await served_calcom.book(NINE)).status_code == 201
    assert len(served_calcom.trace("webhook_failed")) == 1


async def test_without_a_secret_the_signature_says_so(served_calcom: RunningCalcom, receiver: Receiver) -> None:
    await _subscribe(served_calcom, receiver, secret=None)
    await served_calcom.book(NINE)
    assert receiver.seen[0][0]["x-cal-signature-256"] == "no-secret-provided"


async def test_bookings_made_in_the_calendar_are_told_too(served_calcom: RunningCalcom, receiver: Receiver) -> None:
    await _subscribe(served_calcom, receiver)
    made = await served_calcom.control.post("/control/bookings", json={"event_type_id": 5001, "start": NINE})
    await served_calcom.control.post(f"/control/bookings/{made.json()['uid']}/cancel")
    assert [each["triggerEvent"] for each in receiver.documents] == ["BOOKING_CREATED", "BOOKING_CANCELLED"]
    assert receiver.documents[0]["payload"]["metadata"] == {}


class TestWeather:
    async def _set(self, calcom: RunningCalcom, **weather: float) -> httpx.Response:
        return await calcom.control.put("/control/webhooks", json=weather)

    async def test_lost_ones_never_come(self, served_calcom: RunningCalcom, receiver: Receiver) -> None:
        await _subscribe(served_calcom, receiver)
        assert (await self._set(served_calcom, lost=1)).status_code == 200
        await served_calcom.book(NINE)
        assert not receiver.seen
        assert len(served_calcom.trace("webhook_lost")) == 1

    async def test_duplicated_ones_come_twice_the_same(self, served_calcom: RunningCalcom, receiver: Receiver) -> None:
        await _subscribe(served_calcom, receiver)
        await self._set(served_calcom, duplicated=1)
        await served_calcom.book(NINE)
        first, second = receiver.seen
        assert first[1] == second[1]

    async def test_delayed_ones_come_after_the_reply_and_overtake_each_other(
        self,
        served_calcom: RunningCalcom,
        receiver: Receiver,
        until: Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]],
    ) -> None:
        await _subscribe(served_calcom, receiver)
        await self._set(served_calcom, delayed=1, delay_ms=300)
        for _ in range(12):
            uid = (await served_calcom.book(NINE)).json()["data"]["uid"]
            await served_calcom.cancel(uid)

        async def all_came() -> bool:
            return len(receiver.seen) == 24

        await until(all_came)
        assert (await served_calcom.control.get("/control/webhooks")).json()["on_their_way"] == 0
        kinds = [each["triggerEvent"] for each in receiver.documents]
        assert kinds != ["BOOKING_CREATED", "BOOKING_CANCELLED"] * 12

    @pytest.mark.parametrize("weather", [{"lost": 2}, {"delay_ms": -1}, {"lost": True}, {"rain": 1}])
    async def test_other_weathers_are_refused(self, served_calcom: RunningCalcom, weather: dict[str, Any]) -> None:
        assert (await self._set(served_calcom, **weather)).status_code == 422


class TestRegistration:
    async def test_a_webhook_is_registered_changed_and_removed(
        self, served_calcom: RunningCalcom, receiver: Receiver
    ) -> None:
        made = (await _subscribe(served_calcom, receiver)).json()["data"]
        one = f"/v2/webhooks/{made['id']}"
        assert (await served_calcom.api.get("/v2/webhooks")).json()["data"] == [made]
        changed = await served_calcom.api.patch(one, json={"active": False, "unknown": 3})
        assert changed.json()["data"] == {**made, "active": False}
        await served_calcom.book(NINE)
        assert not receiver.seen
        assert (await served_calcom.api.delete(one)).status_code == 200
        assert (await served_calcom.api.get(one)).status_code == 404

    async def test_one_address_is_registered_once(self, served_calcom: RunningCalcom, receiver: Receiver) -> None:
        await _subscribe(served_calcom, receiver)
        again = await _subscribe(served_calcom, receiver)
        assert again.status_code == 409
        assert again.json()["error"] == {
            "code": "CONFLICT",
            "message": "Invalid Input: Trying to create a record that already exists.",
        }

    async def test_other_keys_neither_see_nor_get_it(self, served_calcom: RunningCalcom, receiver: Receiver) -> None:
        made = (await _subscribe(served_calcom, receiver)).json()["data"]
        headers = {"Authorization": f"Bearer {OTHER_KEY}"}
        for method in ("GET", "PATCH", "DELETE"):
            reply = await served_calcom.api.request(method, f"/v2/webhooks/{made['id']}", headers=headers, json={})
            assert reply.status_code == 404
        await served_calcom.book(NINE, event_type_id=6001)  # the other company's calendar
        assert not receiver.seen

    @pytest.mark.parametrize(
        ("body", "property_"),
        [
            ({"active": True, "triggers": TRIGGERS}, "subscriberUrl"),
            ({"active": True, "subscriberUrl": "http://a", "triggers": ["NOTHING"]}, "triggers"),
            ({"subscriberUrl": "http://a", "triggers": TRIGGERS}, "active"),
        ],
    )
    async def test_what_is_no_webhook_is_a_400(
        self, served_calcom: RunningCalcom, body: dict[str, Any], property_: str
    ) -> None:
        reply = await served_calcom.api.post("/v2/webhooks", json=body)
        assert reply.status_code == 400
        error = reply.json()["error"]
        assert error["message"] == "Bad Request Exception"
        assert [each["property"] for each in error["details"]["errors"]] == [property_]


class TestEventTypes:
    async def test_they_are_listed_by_user_and_slug_and_looked_up(self, calcom: RunningCalcom) -> None:
        headers = {"cal-api-version": "2024-06-14"}
        mine = (await calcom.api.get("/v2/event-types", headers=headers)).json()["data"]
        assert [each["id"] for each in mine] == [5001, 5002, 5003]
        query = {"username": "person-1", "eventSlug": "beard"}
        assert [
            each["lengthInMinutes"]
            for each in (await calcom.api.get("/v2/event-types", params=query, headers=headers)).json()["data"]
        ] == [30]
        assert (await calcom.api.get("/v2/event-types/5001", headers=headers)).json()["data"] == mine[0]
        for other in ("6001", "17", "x"):
            assert (await calcom.api.get(f"/v2/event-types/{other}", headers=headers)).status_code == 404

    async def test_another_version_has_no_such_route_here(self, calcom: RunningCalcom) -> None:
        assert (await calcom.api.get("/v2/event-types")).status_code == 404
