"""The conditions of a trustworthy run, each met and unmet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from slotproof.plan.plan import Plan
from slotproof.record.builder import RecordBuilder
from slotproof.record.events import Phase
from slotproof.record.journal import Stage
from slotproof.slo.results import ValidityItem, ValidityStatus
from slotproof.slo.validity import RECORD_COMPLETE, judge_validity

MakePlan = Callable[..., Plan]

STALL = {"id": "stall", "fault": "calcom_stall", "at_s": 60, "for_s": 20}
WEBHOOK = {
    "id": "webhook-p95",
    "kind": "webhook",
    "measure": "latency_ms",
    "statistic": "p95",
    "below": 400,
    "window": "all",
    "waits_on": "computing",
}


def good_run(*, calls: int = 100, lag_ms: float = 1, foreign: float = 0.1) -> RecordBuilder:
    """100 s at one call a second, in the middle of each second."""
    builder = RecordBuilder().phase(Phase.LOAD_ENDED, at=100_000)
    for number in range(calls):
        due = 500 + 1000 * number
        builder.book(start="9:00", person=str(number), at=(due + lag_ms, due + lag_ms + 10), intended=due)
    for second in range(100):
        builder.sample("machine", "foreign_cpu_cores", at=second * 1000, value=foreign)
        builder.sample("machine", "steal_cores", at=second * 1000, value=0.02)
    return builder


def items(plan: Plan, builder: RecordBuilder) -> dict[str, ValidityItem]:
    return {item.name: item for item in judge_validity(plan, builder.build())}


def test_a_good_run_meets_every_condition(make_plan: MakePlan) -> None:
    seen = items(make_plan(faults=(STALL,)), good_run().fault("stall", at=(60_000, 80_000)))
    assert {item.status for item in seen.values()} == {ValidityStatus.VALID}
    assert seen["arrivals_achieved"].observed == "100.0 % (60 of 60)"
    assert seen["foreign_cpu"].observed == "0.10 cores, 0.02 stolen by the hypervisor"


@pytest.mark.parametrize(("calls", "status"), [(98, ValidityStatus.VALID), (97, ValidityStatus.INVALID)])
def test_calls_that_never_began(make_plan: MakePlan, calls: int, status: ValidityStatus) -> None:
    assert items(make_plan(), good_run(calls=calls))["arrivals_achieved"].status is status


def test_calls_missing_after_the_fault_began_are_its_effect(make_plan: MakePlan) -> None:
    run = good_run(calls=62).fault("stall", at=(60_000, 80_000))
    assert items(make_plan(faults=(STALL,)), run)["arrivals_achieved"].status is ValidityStatus.VALID


@pytest.mark.parametrize(
    ("lag_ms", "below", "status"),
    [
        (4, 40, ValidityStatus.VALID),
        (6, 40, ValidityStatus.INVALID),
        (19, 400, ValidityStatus.VALID),
        (21, 400, ValidityStatus.INVALID),
    ],
)
def test_a_late_generator(make_plan: MakePlan, lag_ms: float, below: float, status: ValidityStatus) -> None:
    """5 ms, or 5 % of the tightest latency objective."""
    plan = make_plan({**WEBHOOK, "below": below})
    assert items(plan, good_run(lag_ms=lag_ms))["generator_lag"].status is status


def test_the_tightest_objective_is_compared_in_wall_time(make_plan: MakePlan) -> None:
    plan = make_plan({**WEBHOOK, "waits_on": "delays", "below": 4000}, time_scale=10)
    assert items(plan, good_run())["generator_lag"].required == "p99 at most 20 ms"


def test_a_busy_machine(make_plan: MakePlan) -> None:
    assert items(make_plan(), good_run(foreign=0.6))["foreign_cpu"].status is ValidityStatus.INVALID


def test_a_lost_worker(make_plan: MakePlan) -> None:
    run = good_run().phase(Phase.WORKER_LOST, at=50_000)
    assert items(make_plan(), run)["load_workers"].status is ValidityStatus.INVALID


class TestFaults:
    def test_never_seen_to_bite(self, make_plan: MakePlan) -> None:
        seen = items(make_plan(faults=(STALL,)), good_run().fault("stall", at=(60_000, 80_000), bitten=False))
        assert seen["fault_stall"].status is ValidityStatus.INVALID
        assert seen["fault_stall"].observed == "not seen at its dependency"

    def test_never_healed(self, make_plan: MakePlan) -> None:
        run = good_run().journal("stall", Stage.INJECTED, at=60_000).journal("stall", Stage.BITTEN, at=61_000)
        seen = items(make_plan(faults=(STALL,)), run)["fault_stall"]
        assert seen.observed == "not healed, not seen to be healed"

    def test_never_injected(self, make_plan: MakePlan) -> None:
        assert items(make_plan(faults=(STALL,)), good_run())["fault_stall"].status is ValidityStatus.INVALID


class TestRecord:
    def test_an_op_file_cut_short(self, make_plan: MakePlan) -> None:
        assert items(make_plan(), good_run().cut_short())[RECORD_COMPLETE].status is ValidityStatus.INVALID

    def test_no_op_at_all(self, make_plan: MakePlan) -> None:
        seen = items(make_plan(), RecordBuilder())
        assert seen[RECORD_COMPLETE].status is ValidityStatus.INVALID
        assert ValidityStatus.VALID not in {seen[name].status for name in ("generator_lag", "foreign_cpu")}

    def test_a_load_that_was_killed(self, make_plan: MakePlan) -> None:
        record = good_run().build()
        killed = [event for event in record.phases if event.phase is Phase.LOAD_STARTED]
        seen = {item.name: item for item in judge_validity(make_plan(), replace(record, phases=killed))}
        assert seen["load_completed"].status is ValidityStatus.INVALID
        assert seen["came_to_rest"].status is ValidityStatus.UNKNOWN

    def test_a_ledger_that_was_not_read(self, make_plan: MakePlan) -> None:
        seen = items(make_plan(), good_run().without_ledger("calendar"))["ledgers_read"]
        assert (seen.status, seen.observed) == (ValidityStatus.UNKNOWN, "not read: calendar")

    def test_rows_in_motion(self, make_plan: MakePlan) -> None:
        run = good_run().phase(Phase.QUIESCENT, at=110_000, quiet=False, why="the outbox holds 3")
        seen = items(make_plan(), run)["came_to_rest"]
        assert (seen.status, seen.observed) == (ValidityStatus.UNKNOWN, "not in time: the outbox holds 3")


def test_a_smoke_run_is_too_short(make_plan: MakePlan) -> None:
    run = RecordBuilder().book(start="9:00", at=(0, 10)).phase(Phase.LOAD_ENDED, at=69_000)
    seen = items(make_plan(), run)["steady_duration"]
    assert (seen.status, seen.observed) == (ValidityStatus.TOO_SHORT, "59 s life-size")
