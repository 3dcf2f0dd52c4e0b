"""What every request passes: signature, limits, error shape, traces, metrics, health; and the webhooks."""

from __future__ import annotations

import json
import time
from datetime import datetime

import asyncpg
import pytest
from tests.booking_service.kit.harness import API_KEY, Serve
from tests.booking_service.kit.world import SERVICE

from booking_service import signatures
from booking_service.app import BODY_LIMIT_BYTES, WEBHOOK_LIMIT_BYTES
from booking_service.flaws import Flaw

FUNCTIONS = ("check_availability", "book_appointment", "cancel_appointment", "reschedule_appointment")


async def test_unsigned_forged_and_stale_requests_are_refused(serve: Serve) -> None:
    async with serve() as service:
        now_ms = time.time_ns() // 1_000_000
        body = b'{"event":"call_started"}'
        good = signatures.sign(body, API_KEY, now_ms)
        for headers in (
            {},
            {"X-Retell-Signature": signatures.sign(body, "other key", now_ms)},
            {"X-Retell-Signature": signatures.sign(body, API_KEY, now_ms - signatures.TOLERANCE_MS - 5_000)},
            {"X-Retell-Signature": good.upper()},
        ):
            for path in ("/webhooks/retell", *(f"/functions/{name}" for name in FUNCTIONS)):
                answer = await service.caller().raw(path, body, headers)
                assert (answer.status, answer.code, answer.effect) == (401, "bad_signature", "none")


async def test_bodies_beyond_the_limit_are_refused(serve: Serve) -> None:
    async with serve() as service:
        for path, limit in (
            ("/webhooks/retell", WEBHOOK_LIMIT_BYTES),
            ("/functions/book_appointment", BODY_LIMIT_BYTES),
        ):
            answer = await service.caller().raw(path, b"x" * (limit + 1), {})
            assert (answer.status, answer.code) == (413, "too_large")


@pytest.mark.parametrize(
    "content",
    [[], {}, {"call": {}}, {"call": {"call_id": "c", "from_number": "5", "to_number": "+493012345001"}, "args": {}}],
)
async def test_what_does_not_have_the_shape_is_invalid(serve: Serve, content: object) -> None:
    async with serve() as service:
        for name in FUNCTIONS:
            answer = await service.caller().post(f"/functions/{name}", content)
            assert (answer.status, answer.code, answer.effect) == (422, "invalid", "none")


async def test_the_ends_of_the_calendar_are_invalid(serve: Serve) -> None:
    async with serve() as service:
        caller = service.caller()
        for answer in (
            await caller.function("check_availability", service_id=SERVICE, date="9999-12-31"),
            await caller.book(datetime(1, 1, 1)),
        ):
            assert (answer.status, answer.code, answer.effect) == (422, "invalid", "none")


async def test_unknown_numbers_and_paths_are_not_found_in_the_same_shape(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        answer = await service.caller("+4930999999").book(ten)
        assert (answer.status, answer.code) == (404, "not_found")
        assert (await service.client.get("/nowhere")).json()["error"]["code"] == "not_found"
        assert (await service.client.get("/webhooks/retell")).status_code == 405


async def test_health_tells_how_it_was_built(serve: Serve) -> None:
    async with serve(Flaw.REDIS_REQUIRED, Flaw.NO_RECONCILER, time_scale=8) as service:
        assert (await service.client.get("/healthz")).json() == {
            "status": "ok",
            "flaws": ["no_reconciler", "redis_required"],
            "time_scale": 8.0,
            "reconcile_period_s": 15.0,
            "abandon_after_s": 90.0,
        }


async def test_the_callers_trace_reaches_trace_lines(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        trace = "0123456789abcdef0123456789abcdef"
        service.client.headers["traceparent"] = f"00-{trace}-0123456789abcdef-01"
        await service.caller().book(ten)
        for event in ("lock_acquired", "row_pending", "calcom_sent", "calcom_replied", "row_live", "lock_released"):
            lines = [line for line in service.events(event) if line.get("what") not in ("list", "read_back")]
            assert [line["trace"] for line in lines] == [trace]
        assert [line["trace"] for line in service.events("calcom_sent") if line["what"] == "read_back"] == [trace]


async def test_metrics_name_what_the_harness_reads(serve: Serve) -> None:
    async with serve() as service:
        await service.caller().function("check_availability", service_id=SERVICE, date="2027-01-01")
        for gauge in ("pending", "outbox_length", "requests_in_progress", "pool_waiting"):
            assert await service.gauge(f"booking_{gauge}") == 0
        assert await service.gauge("booking_pool_connections") >= 1


async def test_webhooks_are_stored_once_and_never_go_back(serve: Serve) -> None:
    async with serve() as service:
        caller = service.caller()
        for event in ("call_ended", "call_started", "call_ended", "call_analyzed", "transcript_updated"):
            answer = await caller.webhook(event, transcript=f"said in {event}", unknown_field=[1])
            assert answer.status == 204
        late = await caller.webhook("call_ended", transcript="a replay")
        assert late.status == 204
        call = await service.database.fetchrow("SELECT * FROM calls WHERE call_id = $1", caller.call_id)
        assert call is not None
        assert (call["stage"], call["transcript"], call["phone"]) == (3, "said in call_analyzed", caller.phone)
        events = await service.database.fetchval("SELECT count(*) FROM webhook_events")
        assert events == 3


@pytest.mark.parametrize(("changes", "kept"), [({}, 64 * 1024), ({"transcript_max_bytes": 101}, 100)])
async def test_transcripts_are_bounded(serve: Serve, changes: dict[str, object], kept: int) -> None:
    """Megabytes are taken, and cut between characters."""
    async with serve(**changes) as service:
        caller = service.caller()
        assert (await caller.webhook("call_ended", transcript="ü\x00" * 500_000)).status == 204
        stored = await service.database.fetchval("SELECT transcript FROM calls")
        assert len(stored.encode()) == kept


async def test_a_call_that_comes_in_is_told_whose_branch_it_reached(serve: Serve) -> None:
    async with serve() as service:
        caller = service.caller()
        call = {"from_number": caller.phone, "to_number": caller.to_number, "agent_id": "a"}
        answer = await caller.post("/webhooks/retell/inbound", {"event": "call_inbound", "call_inbound": call})
        assert answer.status == 200
        told = answer.body["call_inbound"]
        assert told["metadata"].keys() == {"company_id", "branch_id"}
        assert told["dynamic_variables"]["time_zone"] == "Europe/Berlin"
        unknown = {"event": "call_inbound", "call_inbound": {**call, "to_number": "+4999999999"}}
        assert (await caller.post("/webhooks/retell/inbound", unknown)).code == "not_found"
        assert (await caller.post("/webhooks/retell/inbound", {"event": "call_ended"})).code == "invalid"


async def test_an_analysis_is_stored_whatever_characters_it_has(serve: Serve) -> None:
    async with serve() as service:
        analysis = {"call_summary": "said \x00 and \ud800"}
        assert (await service.caller().webhook("call_analyzed", call_analysis=analysis)).status == 204
        assert json.loads(await service.database.fetchval("SELECT analysis FROM calls")) == analysis


async def test_history_cannot_be_rewritten_and_a_delete_shows(serve: Serve, ten: datetime) -> None:
    async with serve() as service:
        booking = (await service.caller().book(ten)).booking
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await service.database.execute("UPDATE appointment_history SET state = 'live'")
        await service.database.execute("DELETE FROM operations")
        await service.database.execute("DELETE FROM appointments")
        assert (await service.history(booking["id"]))[-1][0] == "cancelled"
