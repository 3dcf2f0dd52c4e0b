"""Services of several parts: booked as a whole, or what was booked of them is given back (a saga)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from tests.booking_service.kit.faulty_link import Damage, FaultyLink
from tests.booking_service.kit.harness import Answer, Caller, Serve, Service, until
from tests.booking_service.kit.servers import CalcomStub
from tests.booking_service.kit.world import ANNA, BEA, COLOUR

from booking_service.flaws import Flaw

FAST = 30.0
"""Reconcile period 0.5 s, abandon after 3 s."""
PAUSE, SECOND = timedelta(minutes=45), timedelta(minutes=90)


async def colour(caller: Caller, start: datetime) -> Answer:
    return await caller.book(start, service=COLOUR)


async def standing(service: Service) -> list[tuple[datetime, str]]:
    """Start and state of every appointment that is not cancelled."""
    rows = await service.database.fetch(
        "SELECT starts_at, state FROM appointments WHERE state <> 'cancelled' ORDER BY starts_at"
    )
    return [(row["starts_at"], row["state"]) for row in rows]


async def in_calendar(calcom: CalcomStub, day: datetime) -> list[datetime]:
    """When the live bookings of that day begin."""
    query = {"afterStart": text(day - timedelta(hours=6)), "beforeEnd": text(day + timedelta(hours=9))}
    headers = {"Authorization": "Bearer cal_weber", "cal-api-version": "2024-08-13"}
    async with httpx.AsyncClient() as client:
        reply = await client.get(f"{calcom.url}/v2/bookings", params=query, headers=headers)
    return sorted(datetime.fromisoformat(row["start"]) for row in reply.json()["data"] if row["status"] == "accepted")


def text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def book_directly(calcom: CalcomStub, start: datetime, service: Service) -> None:
    """Somebody books Anna for 45 minutes in the calendar itself, just after the service has looked there."""

    async def looked() -> bool:
        return any(event["what"] == "list" for event in service.events("calcom_replied"))

    await until(looked)
    async with httpx.AsyncClient() as client:
        booking = {"event_type_id": 5000 + ANNA, "start": text(start)}
        (await client.post(f"{calcom.control_url}/control/bookings", json=booking)).raise_for_status()


async def test_all_parts_are_booked_and_the_pause_is_sold_to_others(
    serve: Serve, calcom: CalcomStub, ten: datetime
) -> None:
    async with serve() as service:
        answer = await colour(service.caller(), ten)
        assert (answer.status, answer.code) == (200, "confirmed")
        assert answer.booking["end"] == text(ten + SECOND + timedelta(minutes=30))
        assert answer.booking["parts"] == [
            {"start": text(ten), "end": text(ten + PAUSE)},
            {"start": text(ten + SECOND), "end": text(ten + SECOND + timedelta(minutes=30))},
        ]
        between = await service.caller().book(ten + PAUSE)
        assert between.status == 200
        assert "parts" not in between.booking
        assert await standing(service) == [(ten, "live"), (ten + PAUSE, "live"), (ten + SECOND, "live")]
        assert await in_calendar(calcom, ten) == [ten, ten + PAUSE, ten + SECOND]


async def test_no_part_can_be_sold_again(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        assert (await colour(service.caller(), ten)).status == 200
        for start in (ten, ten + SECOND, ten + SECOND - timedelta(minutes=30)):
            assert (await service.caller().book(start)).code == "slot_taken"
        assert (await colour(service.caller(), ten + SECOND)).code == "slot_taken"
        assert (await colour(service.caller(), ten + PAUSE)).status == 200, "its parts fit beside the other's"


async def test_it_is_offered_where_every_part_finds_its_time_free(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        free = await service.caller().free_starts(ten, service=COLOUR)
        assert {text(ten), text(ten + SECOND), text(ten - PAUSE)} <= set(free)
        assert (await service.caller().book(ten + SECOND)).status == 200
        left = await service.caller().free_starts(ten, service=COLOUR)
        assert text(ten) not in left
        assert text(ten + SECOND) not in left
        assert text(ten + PAUSE) in left, "the other booking lies in its pause"
        last = max(datetime.fromisoformat(start) for start in free)
        assert last == ten + timedelta(hours=6), "16:00, since it must be over at 18:00"


async def test_only_who_offers_it_can_be_booked_for_it(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        assert (await service.caller().book(ten, person=BEA, service=COLOUR)).code == "not_found"
        late = ten + timedelta(hours=6, minutes=15)
        assert (await colour(service.caller(), late)).code == "invalid", "the second part would end after closing"


async def test_a_repeat_books_nothing_more(serve: Serve, calcom: CalcomStub, ten: datetime) -> None:
    async with serve() as service:
        caller = service.caller()
        first, again = await colour(caller, ten), await colour(caller, ten)
        assert first.body == again.body
        assert len(await in_calendar(calcom, ten)) == 2


async def test_when_a_later_part_is_refused_the_earlier_ones_are_given_back(
    serve: Serve, calcom: CalcomStub, ten: datetime
) -> None:
    async with serve() as service:
        await book_directly(calcom, ten + SECOND, service)
        assert (await colour(service.caller(), ten)).code == "slot_taken"
        assert await standing(service) == []

        async def given_back() -> bool:
            return await in_calendar(calcom, ten) == [ten + SECOND]

        await until(given_back)
        await service.until_settled()
        assert (await service.caller().book(ten)).status == 200


async def test_without_the_saga_the_earlier_parts_stay(serve: Serve, calcom: CalcomStub, ten: datetime) -> None:
    async with serve(Flaw.NO_SAGA_COMPOUND) as service:
        await book_directly(calcom, ten + SECOND, service)
        assert (await colour(service.caller(), ten)).code == "slot_taken"
        assert await standing(service) == [(ten, "live")]
        await service.parts.reconciler.round()  # type: ignore[union-attr]
        assert await in_calendar(calcom, ten) == [ten, ten + SECOND]


@pytest.mark.parametrize("spared", [0, 1])
async def test_a_part_whose_reply_was_lost_is_looked_up(
    serve: Serve, calcom: CalcomStub, link: FaultyLink, ten: datetime, spared: int
) -> None:
    async with serve(time_scale=FAST) as service:
        link.damage, link.spared = Damage.LOSE_REPLY, spared
        caller = service.caller()
        pending = await colour(caller, ten)
        assert (pending.status, pending.code) == (202, "pending")
        link.damage = Damage.NONE
        await service.until_settled()
        assert (await colour(caller, ten)).code == "confirmed"
        assert await standing(service) == [(ten, "live"), (ten + SECOND, "live")]
        assert await in_calendar(calcom, ten) == [ten, ten + SECOND]


@pytest.mark.parametrize("spared", [0, 1])
async def test_when_a_part_was_never_made_the_other_is_given_back(
    serve: Serve, calcom: CalcomStub, link: FaultyLink, ten: datetime, spared: int
) -> None:
    async with serve(time_scale=FAST) as service:
        link.damage, link.spared = Damage.LOSE_REQUEST, spared
        caller = service.caller()
        assert (await colour(caller, ten)).status == 202
        link.damage = Damage.NONE
        await service.until_settled()
        assert (await colour(caller, ten)).code == "calcom_unavailable"
        assert await standing(service) == []

        async def given_back() -> bool:
            return await in_calendar(calcom, ten) == []

        await until(given_back)


async def test_a_cancel_frees_every_part(serve: Serve, calcom: CalcomStub, ten: datetime) -> None:
    async with serve() as service:
        caller = service.caller()
        booked = await colour(caller, ten)
        assert (await caller.cancel(booked.booking["id"])).code == "cancelled"
        assert await standing(service) == []
        assert await in_calendar(calcom, ten) == []


async def test_a_cancel_that_is_lost_half_way_is_finished_later(
    serve: Serve, calcom: CalcomStub, link: FaultyLink, ten: datetime
) -> None:
    async with serve(time_scale=FAST) as service:
        caller = service.caller()
        booked = await colour(caller, ten)
        link.damage, link.spared = Damage.LOSE_REQUEST, 1
        assert (await caller.cancel(booked.booking["id"])).code == "pending"
        link.damage = Damage.NONE
        await service.until_settled()
        assert await standing(service) == []
        assert await in_calendar(calcom, ten) == []


async def test_it_cannot_be_moved(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        caller = service.caller()
        booked = await colour(caller, ten)
        moved = await caller.move(booked.booking["id"], ten + timedelta(hours=2))
        assert (moved.status, moved.code) == (422, "invalid")


async def test_a_part_alone_is_nobodys_booking(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        caller = service.caller()
        await colour(caller, ten)
        part = await service.database.fetchval("SELECT id FROM appointments WHERE part_of IS NOT NULL")
        assert (await caller.cancel(str(part))).code == "not_held"
