"""Replies that come late or never: 202, lookup, confirmation, giving up, compensation (CONTRACTS.md section 5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.booking_service.kit.faulty_link import Damage, FaultyLink
from tests.booking_service.kit.harness import Serve, Service, until
from tests.booking_service.kit.servers import CalcomStub

from booking_service import errors
from booking_service.calcom_wire import CalcomBooking

FAST = 30.0
"""Reply deadline 0.27 s, Cal.com request 2 s, reconcile period 0.5 s, abandon after 3 s."""

FASTER = 90.0
"""Where every reply is lost at once, so that no deadline is involved: abandon after 1 s."""


CALENDAR_HEADERS = {"Authorization": "Bearer cal_weber", "cal-api-version": "2024-08-13"}


async def calendar_rows(calcom: CalcomStub, appointment_id: str) -> list[dict[str, Any]]:
    async with httpx.AsyncClient() as client:
        rows = (await client.get(f"{calcom.control_url}/control/ledger?after=0")).json()["rows"]
    return [row for row in rows if row["metadata"].get("appointment_id") == appointment_id]


async def calendar_status(calcom: CalcomStub, appointment_id: str) -> list[str]:
    """The states that the calendar's booking of an appointment went through."""
    return [row["status"] for row in await calendar_rows(calcom, appointment_id)]


async def until_confirmed(service: Service, appointment_id: str, state: str = "live") -> None:
    async def reached() -> bool:
        return await service.state(appointment_id) == state

    await until(reached)


async def test_a_late_reply_turns_202_into_200(serve: Serve, link: FaultyLink, ten: datetime) -> None:
    async with serve(time_scale=FAST) as service:
        link.damage = Damage.HOLD_REQUEST
        caller = service.caller()
        pending = await caller.book(ten)
        assert (pending.status, pending.code) == (202, "pending")
        assert float(pending.headers["Server-Timing"].split("=")[1]) > 100
        assert (await service.caller().book(ten + timedelta(minutes=30))).code == "busy"
        assert (await service.caller().book(ten + timedelta(hours=2))).code == "pending", "other times need not wait"
        link.let_go.set()
        await until_confirmed(service, pending.booking["id"])
        confirmed = await caller.book(ten)
        assert (confirmed.status, confirmed.code) == (200, "confirmed")
        assert confirmed.booking["id"] == pending.booking["id"]
        await service.until_settled()
        assert len(service.events("lock_released")) == 2


async def test_the_lock_is_renewed_until_the_outcome_is_known(serve: Serve, link: FaultyLink, ten: datetime) -> None:
    async with serve(time_scale=FAST) as service:
        link.damage = Damage.HOLD_REQUEST
        assert (await service.caller().book(ten)).code == "pending"

        async def renewed_twice() -> bool:
            return len(service.events("lock_renewed")) >= 2

        await until(renewed_twice)
        assert not service.events("lock_released")
        assert not service.events("lock_lost")


@pytest.mark.parametrize("damage", [Damage.LOSE_REPLY, Damage.SERVER_ERROR, Damage.MALFORMED])
async def test_a_lost_reply_is_looked_up_and_confirmed(
    serve: Serve, link: FaultyLink, ten: datetime, damage: Damage
) -> None:
    async with serve(time_scale=FAST) as service:
        link.damage = damage
        pending = await service.caller().book(ten)
        assert (pending.status, pending.code) == (202, "pending")
        await service.until_settled()
        assert await service.state(pending.booking["id"]) == "live"
        assert service.events("reconciled")[0]["as"] == "confirmed"
        assert link.count("POST", "/v2/bookings") == 1


async def test_what_never_arrived_is_given_up(
    serve: Serve, link: FaultyLink, calcom: CalcomStub, ten: datetime
) -> None:
    async with serve(time_scale=FASTER) as service:
        link.damage = Damage.LOSE_REQUEST
        caller = service.caller()
        pending = await caller.book(ten, request_id="r")
        assert pending.code == "pending"
        await service.until_settled()
        assert (await service.history(pending.booking["id"]))[-1] == ("cancelled", "service")
        assert await calendar_status(calcom, pending.booking["id"]) == []
        link.damage = Damage.NONE
        repeated = await caller.book(ten, request_id="r")
        assert (repeated.status, repeated.effect) == (503, "none")
        assert (await service.caller().book(ten)).code == "confirmed"


async def test_an_abandoned_booking_is_cancelled_on_sight(
    serve: Serve, link: FaultyLink, calcom: CalcomStub, ten: datetime
) -> None:
    async with serve(time_scale=FAST) as service:
        link.damage = Damage.HOLD_REQUEST
        pending = (await service.caller().book(ten)).booking
        await until_confirmed(service, pending["id"], "cancelled")
        assert await calendar_status(calcom, pending["id"]) == []
        link.damage = Damage.NONE
        link.let_go.set()

        async def compensated() -> bool:
            return await calendar_status(calcom, pending["id"]) == ["accepted", "cancelled"]

        await until(compensated)
        await service.until_settled()
        assert await service.state(pending["id"]) == "cancelled"


async def test_holds_survive_a_restart(serve: Serve, link: FaultyLink, ten: datetime) -> None:
    async with serve(time_scale=FAST) as service:
        link.damage, link.reads_fail = Damage.LOSE_REPLY, True
        pending = (await service.caller().book(ten)).booking
    link.damage = Damage.NONE
    async with serve(time_scale=FAST) as service:
        assert len(service.events("lock_acquired")) == 1
        assert (await service.caller().book(ten + timedelta(minutes=15))).code in ("busy", "slot_taken")
        link.reads_fail = False
        await service.until_settled()
        assert await service.state(pending["id"]) == "live"


async def test_a_lost_cancel_is_finished(serve: Serve, link: FaultyLink, ten: datetime) -> None:
    async with serve(time_scale=FAST) as service:
        caller = service.caller()
        for damage in (Damage.LOSE_REPLY, Damage.LOSE_REQUEST):
            link.damage = Damage.NONE
            booking = (await caller.book(ten)).booking
            link.damage = damage
            pending = await caller.cancel(booking["id"])
            assert (pending.status, pending.code) == (202, "pending")
            link.damage = Damage.NONE
            await service.until_settled()
            assert (await service.history(booking["id"]))[-1] == ("cancelled", "caller")
            ten += timedelta(hours=1)


async def test_a_lost_move_holds_both_ranges_until_it_is_looked_up(
    serve: Serve, link: FaultyLink, ten: datetime
) -> None:
    async with serve(time_scale=FAST) as service:
        caller = service.caller()
        booking = (await caller.book(ten)).booking
        link.damage, link.reads_fail = Damage.LOSE_REPLY, True
        target = ten + timedelta(hours=2)
        assert (await caller.move(booking["id"], target)).code == "pending"
        held = await service.database.fetch("SELECT lower(part) AS start FROM appointments, unnest(held) AS part")
        assert sorted(row["start"] for row in held) == [ten, target]
        link.damage, link.reads_fail = Damage.NONE, False
        await service.until_settled()
        moved = await caller.move(booking["id"], target)
        assert (moved.code, moved.booking["id"]) == ("confirmed", booking["id"])
        assert moved.booking["calcom_uid"] != booking["calcom_uid"]
        assert (await service.caller().book(ten)).code == "confirmed"


async def test_a_move_that_never_arrived_keeps_the_old_time(serve: Serve, link: FaultyLink, ten: datetime) -> None:
    async with serve(time_scale=FASTER) as service:
        caller = service.caller()
        booking = (await caller.book(ten)).booking
        link.damage = Damage.LOSE_REQUEST
        target = ten + timedelta(hours=2)
        assert (await caller.move(booking["id"], target)).code == "pending"
        await service.until_settled()
        link.damage = Damage.NONE
        assert await service.state(booking["id"]) == "live"
        assert (await service.caller().book(ten)).code == "slot_taken"
        assert (await service.caller().book(target)).code == "confirmed"


async def test_a_rate_limit_means_nothing_happened(serve: Serve, link: FaultyLink, ten: datetime) -> None:
    async with serve() as service:
        link.damage = Damage.RATE_LIMITED
        caller = service.caller()
        refused = await caller.book(ten)
        assert (refused.status, refused.code, refused.effect) == (503, "rate_limited", "none")
        link.damage = Damage.NONE
        blocked = await caller.book(ten)
        assert blocked.code == "rate_limited"
        assert link.count("POST", "/v2/bookings") == 1


async def test_cal_com_down_means_nothing_happened(serve: Serve, ten: datetime, closed_redis_url: str) -> None:
    async with serve(calcom_url=closed_redis_url.replace("redis", "http").removesuffix("/0")) as service:
        refused = await service.caller().book(ten)
        assert (refused.status, refused.code, refused.effect) == (503, "calcom_unavailable", "none")
        assert await service.gauge("booking_pending") == 0


async def test_changes_made_in_the_calendar_are_followed(
    serve: Serve, link: FaultyLink, calcom: CalcomStub, ten: datetime
) -> None:
    async with serve(time_scale=FAST) as service:
        booking = (await service.caller().book(ten)).booking
        async with httpx.AsyncClient(base_url=calcom.url, headers=CALENDAR_HEADERS) as calendar:
            target = (ten + timedelta(hours=3)).isoformat()
            uid = booking["calcom_uid"]
            moved = await calendar.post(f"/v2/bookings/{uid}/reschedule", json={"start": target})
            new_uid = moved.json()["data"]["uid"]

            async def followed() -> bool:
                row = await service.database.fetchrow("SELECT calcom_uid, replaces_uid FROM appointments")
                return row is not None and (row["calcom_uid"], row["replaces_uid"]) == (new_uid, uid)

            await until(followed)
            await calendar.post(f"/v2/bookings/{new_uid}/cancel", json={"cancellationReason": "by the salon"})
            await until_confirmed(service, booking["id"], "cancelled")
        assert (await service.history(booking["id"]))[-1] == ("cancelled", "external")


async def test_a_lost_move_that_the_calendar_cancelled_is_followed_to_its_end(
    serve: Serve, link: FaultyLink, calcom: CalcomStub, ten: datetime
) -> None:
    async with serve(time_scale=FAST) as service:
        caller = service.caller()
        booking = (await caller.book(ten)).booking
        link.damage, link.reads_fail = Damage.LOSE_REPLY, True
        assert (await caller.move(booking["id"], ten + timedelta(hours=2))).code == "pending"
        moved = (await calendar_rows(calcom, booking["id"]))[-1]
        assert moved["replaces"] == booking["calcom_uid"]
        async with httpx.AsyncClient(base_url=calcom.url, headers=CALENDAR_HEADERS) as calendar:
            cancelled = await calendar.post(f"/v2/bookings/{moved['uid']}/cancel", json={"cancellationReason": "salon"})
            assert cancelled.status_code == 200
        link.damage, link.reads_fail = Damage.NONE, False
        await until_confirmed(service, booking["id"], "cancelled")
        assert (await service.history(booking["id"]))[-1] == ("cancelled", "external")


async def test_a_move_made_while_the_calendar_is_listed_is_not_compensated(
    serve: Serve, ten: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve() as service:
        caller, calcom, reconciler = service.caller(), service.parts.calcom, service.parts.reconciler
        assert reconciler is not None
        booking = (await caller.book(ten)).booking
        listed, moved = calcom.bookings, False

        async def listed_before_the_move(api_key: str, after: datetime) -> AsyncIterator[CalcomBooking]:
            nonlocal moved
            async for seen in listed(api_key, after):
                yield seen
                if not moved and seen.uid == booking["calcom_uid"]:
                    moved = True
                    assert (await caller.move(booking["id"], ten + timedelta(hours=2))).code == "confirmed"

        monkeypatch.setattr(calcom, "bookings", listed_before_the_move)
        while not moved:
            await reconciler.round()
        kinds = await service.database.fetch("SELECT kind FROM operations ORDER BY asked_at")
        assert [row["kind"] for row in kinds] == ["book", "move"]


async def test_a_cancel_without_budget_does_not_hold_up_lookups(
    serve: Serve, link: FaultyLink, ten: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def spent(_: str) -> None:
        raise errors.rate_limited()

    async with serve(time_scale=FAST) as service:
        caller = service.caller()
        booking = (await caller.book(ten)).booking
        link.damage, link.reads_fail = Damage.LOSE_REQUEST, True
        assert (await caller.cancel(booking["id"])).code == "pending"
        listed = link.count("GET", "/v2/bookings")

        async def earlier_round_is_over() -> bool:
            """It may have been at its cancels: that one must not reach Cal.com."""
            return link.count("GET", "/v2/bookings") > listed

        await until(earlier_round_is_over)
        link.damage = Damage.LOSE_REPLY
        later = await service.caller().book(ten + timedelta(hours=2))
        assert later.code == "pending"
        monkeypatch.setattr(service.parts.calcom, "admit", spent)
        link.damage, link.reads_fail = Damage.NONE, False
        await until_confirmed(service, later.booking["id"])
        assert await service.state(booking["id"]) == "live"
