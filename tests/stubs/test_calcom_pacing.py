"""The latency profile: ranges, scale, seed, and where a booking's time goes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from calcom_stub.behaviours import Behaviours, Endpoint, Stage
from calcom_stub.pacing import LatencyProfile, Pacing
from calcom_stub.trace import RequestTrace, Tracer, trace_id_of

NO_TRACE = RequestTrace(Tracer(None, time.monotonic_ns), None)


def _pacing(profile: LatencyProfile = LatencyProfile.REAL, time_scale: float = 1.0, seed: int = 1) -> Pacing:
    return Pacing(profile, time_scale, seed, Behaviours(time.monotonic_ns))


def _latencies(pacing: Pacing, endpoint: Endpoint) -> Sequence[float]:
    return [pacing.begin(endpoint, NO_TRACE).latency_s for _ in range(200)]


@pytest.mark.parametrize(
    ("endpoint", "shortest_s", "longest_s"),
    [
        (Endpoint.SLOTS_GET, 0.3, 0.8),
        (Endpoint.BOOKINGS_CREATE, 1.5, 5.0),
        (Endpoint.BOOKINGS_RESCHEDULE, 1.5, 5.0),
        (Endpoint.BOOKINGS_CANCEL, 0.15, 0.4),
        (Endpoint.BOOKINGS_LIST, 0.15, 0.4),
    ],
)
def test_latencies_fill_their_range_divided_by_the_scale(
    endpoint: Endpoint, shortest_s: float, longest_s: float
) -> None:
    latencies = _latencies(_pacing(time_scale=10.0), endpoint)
    spread_s = (longest_s - shortest_s) / 10
    assert shortest_s / 10 <= min(latencies) < shortest_s / 10 + spread_s / 5
    assert longest_s / 10 - spread_s / 5 < max(latencies) <= longest_s / 10


def test_the_seed_fixes_the_latencies_of_each_endpoint_by_itself() -> None:
    undisturbed, other_seed, interleaved = _pacing(), _pacing(seed=2), _pacing()
    _latencies(interleaved, Endpoint.SLOTS_GET)
    expected = _latencies(undisturbed, Endpoint.BOOKINGS_CREATE)
    assert _latencies(interleaved, Endpoint.BOOKINGS_CREATE) == expected
    assert _latencies(other_seed, Endpoint.BOOKINGS_CREATE) != expected


def test_without_a_profile_there_is_no_latency() -> None:
    assert set(_latencies(_pacing(LatencyProfile.NONE), Endpoint.BOOKINGS_CREATE)) == {0.0}


async def test_most_of_a_booking_lies_between_check_and_insert(monkeypatch: pytest.MonkeyPatch) -> None:
    slept_s: list[float] = []

    async def note(delay_s: float) -> None:
        slept_s.append(delay_s)

    monkeypatch.setattr("calcom_stub.pacing.asyncio.sleep", note)
    pace = _pacing().begin(Endpoint.BOOKINGS_CREATE, NO_TRACE)
    for stage in Stage:
        await pace.reach(stage)
    assert slept_s == pytest.approx([pace.latency_s * share for share in (0.2, 0.6, 0.2)])


@pytest.mark.parametrize(
    ("header", "trace_id"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "0af7651916cd43dd8448eb211c80319c"),
        ("00-0af7651916cd43dd8448eb211c80319c", None),
        ("", None),
        (None, None),
    ],
)
def test_the_trace_id_comes_from_the_traceparent(header: str | None, trace_id: str | None) -> None:
    assert trace_id_of(header) == trace_id


def test_a_tracer_without_a_path_writes_nothing(tmp_path: Path) -> None:
    NO_TRACE.emit("checked", free=True)
    assert list(tmp_path.iterdir()) == []
