"""The hardened flow: confirm, refuse, repeat, race, cancel, move."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from tests.booking_service.kit.faulty_link import FaultyLink
from tests.booking_service.kit.harness import Serve
from tests.booking_service.kit.world import CLEO, OTHER_PHONE, SERVICE


async def test_a_booking_is_confirmed_in_both_places(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        answer = await service.caller().book(ten, request_id="request-1")
        assert (answer.status, answer.code) == (200, "confirmed")
        assert "calcom;dur=" in answer.headers["Server-Timing"]
        assert answer.booking["calcom_uid"]
        assert await service.history(answer.booking["id"]) == [("pending", "caller"), ("live", "caller")]
        row = await service.database.fetchrow("SELECT * FROM appointment_history ORDER BY seq DESC LIMIT 1")
        assert row is not None
        assert row["request_ref"] == "request-1"
        assert row["calcom_uid"] == answer.booking["calcom_uid"]
        assert await service.gauge("booking_outbox_length") == 0
        assert [len(service.events(name)) for name in ("lock_acquired", "row_live", "lock_released")] == [1, 1, 1]


async def test_a_time_that_is_held_is_refused_without_asking_cal_com(
    serve: Serve, link: FaultyLink, ten: datetime
) -> None:
    async with serve() as service:
        await service.caller().book(ten)
        refused = await service.caller().book(ten + timedelta(minutes=15))
        assert (refused.status, refused.code, refused.effect) == (409, "slot_taken", "none")
        assert link.count("POST", "/v2/bookings") == 1
        assert service.events("row_refused")[0]["by"] == "overlap_query"
        adjacent = await service.caller().book(ten + timedelta(minutes=45))
        assert adjacent.code == "confirmed"


async def test_what_cal_com_refuses_leaves_a_cancelled_row(serve: Serve, ten: datetime) -> None:
    async with serve() as ours:
        blocked = await ours.caller().book(ten)
        await ours.database.execute("DELETE FROM operations")
        await ours.database.execute("DELETE FROM appointments")  # as if somebody had booked in the calendar
        refused = await ours.caller().book(ten + timedelta(minutes=15))
        assert (refused.status, refused.code) == (409, "slot_taken")
        row = await ours.database.fetchrow("SELECT id::text, state, actor FROM appointments")
        assert row is not None
        assert (row["state"], row["actor"]) == ("cancelled", "service")
        assert row["id"] != blocked.booking["id"]


async def test_of_many_overlapping_callers_exactly_one_gets_the_time(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        starts = [ten + timedelta(minutes=15 * (n % 3)) for n in range(12)]
        answers = await asyncio.gather(*(service.caller().book(start) for start in starts))
        codes = sorted(answer.code for answer in answers)
        assert codes.count("confirmed") == 1
        assert set(codes) <= {"confirmed", "slot_taken", "busy"}
        assert await service.database.fetchval("SELECT count(*) FROM appointments WHERE state <> 'cancelled'") == 1


async def test_a_repeated_function_call_books_once(serve: Serve, link: FaultyLink, ten: datetime) -> None:
    async with serve() as service:
        caller = service.caller()
        first, joined = await asyncio.gather(caller.book(ten, request_id="r"), caller.book(ten, request_id="r"))
        later = await caller.book(ten, request_id="r")
        assert {answer.booking["id"] for answer in (first, joined, later)} == {first.booking["id"]}
        assert {answer.code for answer in (first, joined, later)} == {"confirmed"}
        assert link.count("POST", "/v2/bookings") == 1


async def test_a_refused_call_may_be_tried_again_as_a_new_request(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        holder, other = service.caller(), service.caller()
        booking = (await holder.book(ten)).booking
        assert (await other.book(ten, request_id="first")).code == "slot_taken"
        await holder.cancel(booking["id"])
        assert (await other.book(ten, request_id="second")).code == "confirmed"


async def test_cancel_frees_the_time_and_is_idempotent(serve: Serve, link: FaultyLink, ten: datetime) -> None:
    async with serve() as service:
        caller = service.caller()
        booking = (await caller.book(ten)).booking
        first = await caller.cancel(booking["id"], request_id="c")
        repeated = await caller.cancel(booking["id"], request_id="c")
        again = await caller.cancel(booking["id"], request_id="another")
        assert [first.code, repeated.code, again.code] == ["cancelled", "cancelled", "not_held"]
        assert link.count("POST", "/cancel") == 1
        assert (await service.history(booking["id"]))[-1] == ("cancelled", "caller")
        assert (await service.caller().book(ten)).code == "confirmed"


async def test_only_the_holder_may_cancel_or_move(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        booking = (await service.caller().book(ten)).booking
        for stranger in (service.caller(), service.caller(OTHER_PHONE)):
            assert (await stranger.cancel(booking["id"])).code == "not_held"
            assert (await stranger.move(booking["id"], ten + timedelta(hours=2))).code == "not_held"
        assert (await service.caller().cancel("no-uuid")).code == "not_held"
        assert await service.state(booking["id"]) == "live"


async def test_a_booking_moves_onto_its_own_old_range(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        caller = service.caller()
        booking = (await caller.book(ten)).booking
        moved = await caller.move(booking["id"], ten + timedelta(minutes=15))
        assert moved.code == "confirmed"
        assert moved.booking["id"] == booking["id"]
        row = await service.database.fetchrow("SELECT * FROM appointment_history ORDER BY seq DESC LIMIT 1")
        assert row is not None
        assert (row["replaces_uid"], row["calcom_uid"]) == (booking["calcom_uid"], moved.booking["calcom_uid"])
        assert row["starts_at"] == ten + timedelta(minutes=15)
        repeated = await caller.move(booking["id"], ten + timedelta(minutes=15))
        assert repeated.booking == moved.booking


async def test_a_move_onto_somebody_elses_time_changes_nothing(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        caller = service.caller()
        booking = (await caller.book(ten)).booking
        await service.caller().book(ten + timedelta(hours=1))
        assert (await caller.move(booking["id"], ten + timedelta(minutes=45))).code == "slot_taken"
        held = await service.database.fetchval("SELECT moving_to FROM appointments WHERE id = $1", booking["id"])
        assert held is None
        assert (await service.caller().book(ten)).code == "slot_taken"


async def test_availability_leaves_out_what_is_held(serve: Serve, link: FaultyLink, ten: datetime) -> None:
    async with serve() as service:
        caller = service.caller()
        before, coalesced = await asyncio.gather(caller.free_starts(ten), caller.free_starts(ten))
        assert before == coalesced
        assert link.count("GET", "/v2/slots") == 1
        booking = (await caller.book(ten)).booking
        after = await caller.free_starts(ten)
        assert booking["start"] in before
        lost = set(before) - set(after)
        assert lost == {
            (ten + timedelta(minutes=m)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for m in (-30, -15, 0, 15, 30)
        }


async def test_availability_of_a_service_names_everybody_who_offers_it(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        answer = await service.caller().function("check_availability", service_id=SERVICE, date=ten.date().isoformat())
        assert {slot["person"] for slot in answer.body["slots"]} == {"Anna", "Bea"}


async def test_availability_outlives_a_short_outage_of_cal_com(serve: Serve, link: FaultyLink, ten: datetime) -> None:
    async with serve() as service:
        caller = service.caller()
        before = await caller.free_starts(ten)
        await caller.book(ten)
        link.reads_fail = True
        assert set(await caller.free_starts(ten)) < set(before)
        unknown = await caller.function(
            "check_availability", service_id=SERVICE, date=(ten + timedelta(days=1)).date().isoformat()
        )
        assert (unknown.status, unknown.code, unknown.effect) == (503, "calcom_unavailable", "none")
        assert unknown.headers["Retry-After"] == "1"


async def test_another_companys_people_are_not_sold_here(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        assert (await service.caller().book(ten, person=CLEO)).status == 404
        assert (await service.caller(OTHER_PHONE).book(ten, person=CLEO)).code == "confirmed"


async def test_a_start_off_the_grid_or_outside_the_hours_is_invalid(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        for start in (ten + timedelta(minutes=5), ten.replace(hour=8), ten.replace(hour=17, minute=30)):
            answer = await service.caller().book(start)
            assert (answer.status, answer.code, answer.effect) == (422, "invalid", "none")
