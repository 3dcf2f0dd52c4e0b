"""The pure parts: time, signatures, keys, budget, coalescing, outcomes."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from booking_service import availability
from booking_service.appointments import Kind, OperationState, decide
from booking_service.budget import RequestBudget
from booking_service.calcom import CalcomClient, utc_text
from booking_service.calls import bounded
from booking_service.errors import ServiceError
from booking_service.metrics import Metrics
from booking_service.outcomes import Accepted, Gone, Outcome, Rejected, Taken, Unknown, confirm_regardless
from booking_service.payloads import BookAppointmentArgs, idempotency_key
from booking_service.routing import Branch, EventType
from booking_service.settings import Durations, Settings, TimeScale
from booking_service.signatures import TOLERANCE_MS, is_genuine, sign
from booking_service.single_flight import SingleFlight
from booking_service.trace import TraceIdFilter, adopt_trace

VECTOR_KEY = "test-api-key"
VECTOR_MS = 1700000000000


@pytest.mark.parametrize(
    ("body", "digest"),
    [
        ('{"event":"call_ended"}', "07024cabe7dd8f6d1c6e4a8324ca92c812e6ad4a7ee506c04f7e462e3321823e"),
        ('{"a":"ü"}', "fc2632331d205bf1bd36bd3f42f56108c830ee00abf47079c7500fc57ecf12b2"),
    ],
)
def test_signature_vectors(body: str, digest: str) -> None:
    """FACTS-calcom-retell.md section 2.4."""
    header = sign(body.encode(), VECTOR_KEY, VECTOR_MS)
    assert header == f"v={VECTOR_MS},d={digest}"
    for offset_ms, genuine in ((0, True), (TOLERANCE_MS, True), (-TOLERANCE_MS - 1, False), (TOLERANCE_MS + 1, False)):
        assert is_genuine(body.encode(), VECTOR_KEY, header, VECTOR_MS + offset_ms) is genuine


@given(st.binary(max_size=50), st.binary(max_size=50), st.text(max_size=80))
def test_only_the_signed_bytes_are_genuine(body: bytes, other: bytes, junk: str) -> None:
    header = sign(body, VECTOR_KEY, VECTOR_MS)
    assert is_genuine(other, VECTOR_KEY, header, VECTOR_MS) is (body == other)
    assert not is_genuine(body, VECTOR_KEY, junk, VECTOR_MS)
    assert not is_genuine(body, VECTOR_KEY, None, VECTOR_MS)


def test_the_three_classes_of_time() -> None:
    scale = TimeScale(10)
    assert scale.wait(30) == 3
    assert scale.guard(0.2) == 0.2
    assert scale.guard(1.0) == 0.25
    assert scale.guard(10.0) == 1.0
    assert scale.per_minute(120) == 1200


@given(st.floats(min_value=1, max_value=100))
def test_scaling_keeps_the_order_of_deadlines(factor: float) -> None:
    times = Durations.at(TimeScale(factor))
    assert times.lock_wait_s < times.reply_deadline_s < times.lock_ttl_s < times.calcom_request_s
    assert times.calcom_request_s < times.synchronous_reply_deadline_s < times.abandon_after_s


def test_settings_come_from_the_environment() -> None:
    environ = {
        "BOOKING_DATABASE_URL": "postgresql://db",
        "BOOKING_REDIS_URL": "redis://r",
        "BOOKING_CALCOM_URL": "http://c",
        "BOOKING_RETELL_URL": "http://t",
        "BOOKING_RETELL_API_KEY": "k",
        "BOOKING_FLAWS": "",
        "BOOKING_TIME_SCALE": "10",
        "BOOKING_DB_POOL_SIZE": "",
        "PATH": "ignored",
    }
    settings = Settings.from_env(environ)
    assert (settings.time_scale, settings.db_pool_size, settings.flaws) == (10.0, 50, frozenset())
    assert settings.trace_path is None
    assert "retell_api_key" not in repr(settings)
    with pytest.raises(ValidationError):
        Settings.from_env({**environ, "BOOKING_TIME_SCALE": "0"})
    with pytest.raises(ValueError, match="unknown flaw"):
        Settings.from_env({**environ, "BOOKING_FLAWS": "misspelt"})


def test_a_repeat_has_the_same_key_however_it_is_spelt() -> None:
    start = datetime(2027, 3, 1, 9, tzinfo=UTC)
    arguments = BookAppointmentArgs(service_id=1, person_id=2, start=start, customer_name=" Mia ")
    shifted = start.astimezone(timezone(timedelta(hours=1))).astimezone(UTC)
    repeat = BookAppointmentArgs(service_id=1, person_id=2, start=shifted, customer_name="Mia")
    key = idempotency_key(1, "call", "book_appointment", arguments)
    assert idempotency_key(1, "call", "book_appointment", repeat) == key
    others = [
        idempotency_key(2, "call", "book_appointment", arguments),
        idempotency_key(1, "call2", "book_appointment", arguments),
        idempotency_key(1, "call", "cancel_appointment", arguments),
        idempotency_key(1, "call", "book_appointment", arguments.model_copy(update={"person_id": 3})),
    ]
    assert key not in others
    assert len(set(others)) == 4


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.floats(min_value=0, max_value=5), min_size=1, max_size=400), st.integers(5, 300))
def test_no_minute_ever_sees_more_requests_than_the_limit(pauses: list[float], limit: int) -> None:
    clock = Clock()
    budget = RequestBudget(limit, clock)
    sent: list[float] = []
    for pause in pauses:
        clock.now += pause
        while budget.take() == 0:
            sent.append(clock.now)
    for first in sent:
        assert sum(first <= at < first + 60 for at in sent) <= limit


async def test_budget_reserves_blocks_and_refuses_at_once() -> None:
    clock = Clock()
    budget = RequestBudget(100, clock)
    taken = 0
    while budget.take(reserve=0.3) == 0:
        taken += 1
    assert taken == 14
    assert budget.take() == 0
    budget.give_back()
    budget.block(60)
    with pytest.raises(ServiceError, match="rate_limited"):
        await budget.acquire(max_wait_s=2)
    clock.now += 60
    await budget.acquire(max_wait_s=2)


async def test_concurrent_callers_share_one_piece_of_work() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    gate = asyncio.Event()
    runs = 0

    async def work() -> int:
        nonlocal runs
        runs += 1
        await gate.wait()
        return runs

    first, second = asyncio.create_task(flights.run("k", work)), asyncio.create_task(flights.run("k", work))
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert await second == 1
    assert await flights.run("k", work) == 2


async def test_all_who_share_a_failure_see_it() -> None:
    flights: SingleFlight[str, int] = SingleFlight()

    async def fail() -> int:
        raise ServiceError(503, "calcom_unavailable", "down")

    results = await asyncio.gather(*(flights.run("k", fail) for _ in range(2)), return_exceptions=True)
    assert [type(result) for result in results] == [ServiceError, ServiceError]


@pytest.mark.parametrize(
    ("outcome", "book", "cancel", "move"),
    [
        (Accepted(), "done", "done", "done"),
        (Taken("x"), "refused", "failed", "refused"),
        (Gone("x"), "done", "done", "refused"),
        (Rejected("x"), "failed", "failed", "failed"),
        (Unknown("x"), "open", "open", "open"),
    ],
)
def test_what_each_outcome_decides(outcome: Outcome, book: str, cancel: str, move: str) -> None:
    if not isinstance(outcome, Gone):  # a create cannot find its booking gone
        assert decide(Kind.BOOK, outcome) is OperationState(book)
    assert decide(Kind.CANCEL, outcome) is OperationState(cancel)
    assert decide(Kind.MOVE, outcome) is OperationState(move)


def test_the_flawed_policy_confirms_failures_but_not_refusals() -> None:
    assert confirm_regardless(Unknown("x")) == Accepted()
    assert confirm_regardless(Rejected("x")) == Accepted()
    assert confirm_regardless(Taken("x")) == Taken("x")


def test_small_things() -> None:
    assert utc_text(datetime(2027, 3, 1, 10, tzinfo=timezone(timedelta(hours=1)))) == "2027-03-01T09:00:00.000Z"
    assert bounded(None, 64 * 1024) is None
    assert len((bounded("ü" * 40_000, 64 * 1024) or "").encode()) == 64 * 1024


class AllDayFree:
    """A Cal.com whose every reply is the start of the range that was asked for."""

    async def slots(self, api_key: str, event_type_id: int, start: datetime, end: datetime) -> tuple[datetime, ...]:
        return (start,)


async def test_a_full_slots_cache_drops_what_is_too_old_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "_ENTRIES_LIMIT", 2)
    durations = replace(Durations.at(TimeScale(1)), slots_usable_s=0.0)
    cache = availability.SlotsCache(cast(CalcomClient, AllDayFree()), durations, Metrics())
    branch = Branch(
        id=1,
        company_id=1,
        calcom_api_key="cal",
        name="",
        phone="",
        time_zone="UTC",
        services=(),
        people=(),
        event_types=(),
    )
    event_type = EventType(id=5, person_id=7, service_id=1, length_min=45)
    day, first = timedelta(days=1), datetime(2027, 3, 1, tzinfo=UTC)
    for n in range(5):
        begin = first + n * day
        assert await cache.read(branch, event_type, begin, begin + day) == (begin,)
    cache.forget(event_type.person_id)
    assert cache.fresh(event_type, first) is None


def test_log_records_carry_the_trace_id_of_their_request() -> None:
    record = logging.LogRecord("n", logging.INFO, "p", 1, "said", None, None)
    assert contextvars.Context().run(TraceIdFilter().filter, record)
    assert vars(record)["trace"] == "-"
    adopt_trace(f"00-{'ab' * 16}-{'cd' * 8}-01")
    assert TraceIdFilter().filter(record)
    assert vars(record)["trace"] == "ab" * 16
