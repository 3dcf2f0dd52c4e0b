"""Each flaw shows its effect, and the mechanisms that are left still protect (FACTS-faults.md section 1.2)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import httpx
import pytest
from tests.booking_service.kit.faulty_link import Damage, FaultyLink
from tests.booking_service.kit.harness import Answer, Serve, Service
from tests.booking_service.kit.servers import CalcomStub

from booking_service.flaws import CATALOGUE, PROFILES, Flaw, parse_flaws

SCALE = 30.0
STALL_S = 35.0 / SCALE
LOCK_LIFE_S = 30.0 / SCALE


@asynccontextmanager
async def stalled(calcom: CalcomStub) -> AsyncIterator[None]:
    """Cal.com works 35 s, life-size, between its check and its insert."""
    path = f"{calcom.control_url}/control/behaviours/stall"
    behaviour = {
        "endpoint": "bookings.create",
        "stage": "before_insert",
        "kind": "delay",
        "delay_ms": round(STALL_S * 1000),
        "lease_s": 30,
    }
    async with httpx.AsyncClient() as client:
        (await client.put(path, json=behaviour)).raise_for_status()
        try:
            yield
        finally:
            await client.delete(path)


async def two_overlapping(service: Service, ten: datetime) -> tuple[Answer, Answer]:
    """A caller, and another one who comes after the first one's lock would have expired, before the insert."""
    began = time.monotonic()
    first = asyncio.create_task(service.caller().book(ten))
    await asyncio.sleep(LOCK_LIFE_S + 0.05 - (time.monotonic() - began))
    second = await service.caller().book(ten + timedelta(minutes=15))
    return await first, second


async def live(service: Service) -> int:
    count: int = await service.database.fetchval("SELECT count(*) FROM appointments WHERE state = 'live'")
    return count


async def test_an_expired_lock_sells_twice_when_the_database_accepts_it(
    serve: Serve, calcom: CalcomStub, ten: datetime
) -> None:
    async with (
        serve(Flaw.LOCK_SHORTER_THAN_UPSTREAM, Flaw.NO_EXCLUSION_CONSTRAINT, time_scale=SCALE) as service,
        stalled(calcom),
    ):
        first, second = await two_overlapping(service, ten)
        assert (first.code, second.code) == ("confirmed", "confirmed")
        assert await live(service) == 2
        assert service.events("lock_lost")[0]["noticed"] == "release"


async def test_an_expired_lock_alone_is_caught_by_the_database(serve: Serve, calcom: CalcomStub, ten: datetime) -> None:
    async with serve(Flaw.LOCK_SHORTER_THAN_UPSTREAM, time_scale=SCALE) as service, stalled(calcom):
        first, second = await two_overlapping(service, ten)
        assert (first.code, second.code) == ("confirmed", "slot_taken")


async def test_the_renewed_lock_protects_without_the_constraint(
    serve: Serve, calcom: CalcomStub, ten: datetime
) -> None:
    async with serve(Flaw.NO_EXCLUSION_CONSTRAINT, time_scale=SCALE) as service, stalled(calcom):
        first, second = await two_overlapping(service, ten)
        assert first.code == "pending"
        assert second.code in ("busy", "slot_taken")  # taken, when the first one ended while the second one waited
        await service.until_settled()
        assert await live(service) == 1
        assert (await service.caller().book(ten + timedelta(minutes=15))).code == "slot_taken"


async def test_without_constraint_and_redis_the_time_is_sold_twice(
    serve: Serve, calcom: CalcomStub, ten: datetime, closed_redis_url: str
) -> None:
    async with (
        serve(Flaw.NO_EXCLUSION_CONSTRAINT, time_scale=SCALE, redis_url=closed_redis_url) as service,
        stalled(calcom),
    ):
        first, second = await two_overlapping(service, ten)
        assert {first.code, second.code} <= {"pending", "confirmed"}
        await service.until_settled()
        assert await live(service) == 2


async def test_the_constraint_is_switched_at_the_start(serve: Serve) -> None:
    query = "SELECT count(*) FROM pg_constraint WHERE contype = 'x'"
    async with serve(Flaw.NO_EXCLUSION_CONSTRAINT) as service:
        assert await service.database.fetchval(query) == 0
    async with serve() as service:
        assert await service.database.fetchval(query) == 1


@pytest.mark.parametrize("damage", [Damage.LOSE_REQUEST, Damage.SERVER_ERROR, Damage.RATE_LIMITED])
async def test_a_failed_call_is_confirmed_all_the_same(
    serve: Serve, link: FaultyLink, ten: datetime, damage: Damage
) -> None:
    async with serve(Flaw.COMMIT_BEFORE_CALCOM, Flaw.NO_RECONCILER) as service:
        link.damage = damage
        answer = await service.caller().book(ten)
        assert (answer.code, answer.booking["calcom_uid"]) == ("confirmed", None)
        assert await service.gauge("booking_outbox_length") == 0


async def test_a_definite_refusal_is_believed_even_then(serve: Serve, ten: datetime) -> None:
    async with serve(Flaw.COMMIT_BEFORE_CALCOM, Flaw.NO_EXCLUSION_CONSTRAINT) as service:
        await service.caller().book(ten)
        assert (await service.caller().book(ten + timedelta(minutes=15))).code == "slot_taken"


async def test_without_reconciler_an_unknown_outcome_stays(serve: Serve, link: FaultyLink, ten: datetime) -> None:
    async with serve(Flaw.NO_RECONCILER, time_scale=SCALE) as service:
        for damage, start in ((Damage.LOSE_REPLY, ten), (Damage.HOLD_REQUEST, ten + timedelta(hours=1))):
            link.damage = damage
            answer = await service.caller().book(start)
            assert (answer.status, answer.code, answer.effect) == (503, "calcom_unavailable", "unknown")
        link.let_go.set()
        await asyncio.sleep(1.0)  # two periods of the reconciler that is not there
        assert await service.gauge("booking_pending") == 2
        assert not service.events("reconciled")


def test_the_catalogue_explains_every_flaw() -> None:
    assert set(CATALOGUE) == set(Flaw)
    assert PROFILES["hardened"] == frozenset()
    assert PROFILES["as-reviewed"] == frozenset(Flaw) - {Flaw.NO_READ_BACK, Flaw.NO_SAGA_COMPOUND}
    assert all(flaw not in facts.enablers for flaw, facts in CATALOGUE.items())


def test_flaws_are_parsed_by_name() -> None:
    assert parse_flaws(["no_reconciler", " ", " redis_required"]) == {Flaw.NO_RECONCILER, Flaw.REDIS_REQUIRED}
    with pytest.raises(ValueError, match="unknown flaw no_such_thing; known: commit_before_calcom"):
        parse_flaws(["no_such_thing"])
