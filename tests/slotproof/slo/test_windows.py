"""Windows of a run of 100 s: 10 s warm-up, a fault from 30 to 50 s, 10 s allowed for recovery."""

from __future__ import annotations

from collections.abc import Callable

from slotproof.plan.plan import Plan
from slotproof.record.builder import RecordBuilder, at_ns
from slotproof.record.events import Phase
from slotproof.record.journal import Stage
from slotproof.slo.windows import Windows, duration_s, find_windows

STALL = {"id": "stall", "fault": "calcom_stall", "at_s": 30, "for_s": 20}


def _spans(windows: Windows) -> dict[str, list[tuple[float, float]]]:
    """Seconds from the load's start."""

    def seconds(spans: object) -> list[tuple[float, float]]:
        assert isinstance(spans, (list, tuple))
        return [((start - at_ns(0)) / 1e9, (to - at_ns(0)) / 1e9) for start, to in spans]

    return {
        "all": seconds(windows.all),
        "steady": seconds(windows.steady),
        "during": seconds(list(windows.during.values())),
        "after": seconds(list(windows.after.values())),
    }


def test_a_run_with_a_fault(make_plan: Callable[..., Plan]) -> None:
    record = RecordBuilder().fault("stall", at=(30_000, 50_000)).phase(Phase.LOAD_ENDED, at=100_000).build()
    windows = find_windows(make_plan(faults=(STALL,)), record)
    assert _spans(windows) == {
        "all": [(10, 100)],
        "steady": [(10, 30), (60, 100)],
        "during": [(30, 50)],
        "after": [(60, 100)],
    }
    assert duration_s(windows.steady) == 60


def test_waits_are_divided_by_the_time_scale(make_plan: Callable[..., Plan]) -> None:
    record = RecordBuilder(time_scale=10).fault("stall", at=(3_000, 5_000)).phase(Phase.LOAD_ENDED, at=10_000).build()
    windows = find_windows(make_plan(faults=(STALL,), time_scale=10), record)
    assert _spans(windows)["steady"] == [(1, 3), (6, 10)]


def test_overlapping_faults_leave_one_hole(make_plan: Callable[..., Plan]) -> None:
    link = {**STALL, "id": "link"}
    record = RecordBuilder().fault("stall", at=(30_000, 50_000)).fault("link", at=(31_000, 52_000))
    record.phase(Phase.LOAD_ENDED, at=100_000)
    assert _spans(find_windows(make_plan(faults=(STALL, link)), record.build()))["steady"] == [(10, 30), (62, 100)]


def test_a_fault_that_was_never_healed_lasts_until_the_end(make_plan: Callable[..., Plan]) -> None:
    record = RecordBuilder().journal("stall", Stage.INJECTED, at=30_000).phase(Phase.ABORTED, at=40_000, signal=2)
    record.phase(Phase.LOAD_ENDED, at=40_000)
    spans = _spans(find_windows(make_plan(faults=(STALL,)), record.build()))
    assert spans == {"all": [(10, 40)], "steady": [(10, 30)], "during": [(30, 40)], "after": []}


def test_a_fault_that_was_never_injected_has_no_window(make_plan: Callable[..., Plan]) -> None:
    record = RecordBuilder().journal("stall", Stage.PLANNED, at=0).phase(Phase.LOAD_ENDED, at=100_000).build()
    assert _spans(find_windows(make_plan(faults=(STALL,)), record))["during"] == []


def test_a_load_shorter_than_its_warm_up_has_no_steady_state(make_plan: Callable[..., Plan]) -> None:
    record = RecordBuilder().phase(Phase.LOAD_ENDED, at=5_000).build()
    assert _spans(find_windows(make_plan(), record)) == {"all": [], "steady": [], "during": [], "after": []}
