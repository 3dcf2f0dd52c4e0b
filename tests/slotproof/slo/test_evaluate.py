"""Objectives judged by their intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slotproof.plan.plan import Plan
from slotproof.record.builder import RecordBuilder
from slotproof.record.events import Phase
from slotproof.slo.evaluate import evaluate_objectives
from slotproof.slo.results import ObjectiveResult, ObjectiveStatus

MakePlan = Callable[..., Plan]

LATENCY = {
    "id": "fast",
    "kind": "webhook",
    "measure": "latency_ms",
    "statistic": "p95",
    "below": 50,
    "window": "all",
    "waits_on": "computing",
}
ANSWERED = {
    "id": "answered",
    "kind": "book",
    "measure": "answered_within_s",
    "statistic": "share",
    "above": 0.95,
    "limit_s": 10,
    "window": "all",
    "waits_on": "delays",
}
SERVED = {**ANSWERED, "id": "served", "measure": "served", "limit_s": None}
GOODPUT = {**SERVED, "id": "goodput", "measure": "goodput_per_s", "statistic": "rate", "above": 1.0}
HONOURED = {**SERVED, "id": "honoured", "measure": "honoured", "above": 0.5}
BUDGET = {
    **SERVED,
    "id": "budget",
    "kind": "any",
    "measure": "calcom_requests_per_min",
    "statistic": "max",
    "above": None,
    "below": 600,
}


def load(*, time_scale: float = 1, ended_s: float = 100) -> RecordBuilder:
    return RecordBuilder(time_scale=time_scale).phase(Phase.LOAD_ENDED, at=ended_s * 1000)


def webhooks(builder: RecordBuilder, *latencies_ms: float, outcome: str = "ok") -> RecordBuilder:
    for number, latency_ms in enumerate(latencies_ms):
        begins = 10_000 + number
        builder.op("webhook", at=(begins, begins + latency_ms), actor="platform", outcome=outcome)
    return builder


def books(builder: RecordBuilder, n: int, *, outcome: str = "ok", took_ms: float = 10) -> RecordBuilder:
    for number in range(n):
        begins = 10_000 + number
        builder.book(person=str(builder.last_request), start="9:00", at=(begins, begins + took_ms), outcome=outcome)
    return builder


def one(plan: Plan, builder: RecordBuilder) -> ObjectiveResult:
    (result,) = evaluate_objectives(plan, builder.build())
    return result


class TestLatency:
    def test_met_by_the_upper_bound(self, make_plan: MakePlan) -> None:
        """Of 59 values the only upper bound of the p95 is the largest."""
        result = one(make_plan({**LATENCY, "below": 58}), webhooks(load(), *range(1, 60)))
        assert result.status is ObjectiveStatus.INCONCLUSIVE
        result = one(make_plan({**LATENCY, "below": 60}), webhooks(load(), *range(1, 60)))
        assert result.status is ObjectiveStatus.MET
        assert (result.observed, result.n) == (57, 59)

    def test_missed_by_the_lower_bound(self, make_plan: MakePlan) -> None:
        result = one(make_plan(LATENCY), webhooks(load(), *[80.0] * 30))
        assert result.status is ObjectiveStatus.MISSED
        assert result.ci_high is None  # too few for an upper bound, enough to be sure that it is missed

    def test_undecided_says_what_would_decide(self, make_plan: MakePlan) -> None:
        result = one(make_plan(LATENCY), webhooks(load(), *[10.0] * 40))
        assert result.status is ObjectiveStatus.INCONCLUSIVE
        assert "s life-size all would decide, this run had 90 s" in result.reason

    def test_counts_from_the_intended_start(self, make_plan: MakePlan) -> None:
        builder = load()
        for number in range(60):
            builder.op("webhook", at=(10_100 + number, 10_110 + number), intended=10_000 + number, actor="platform")
        assert one(make_plan(LATENCY), builder).observed == 110

    def test_no_answer_is_slower_than_any_limit(self, make_plan: MakePlan) -> None:
        result = one(make_plan(LATENCY), webhooks(load(), *[10.0] * 60, outcome="unknown"))
        assert result.status is ObjectiveStatus.MISSED
        assert result.observed is None
        assert "more than 5 % of the requests got no answer" in result.reason

    def test_waits_on_delays_is_reported_life_size(self, make_plan: MakePlan) -> None:
        plan = make_plan({**LATENCY, "waits_on": "delays", "below": 200}, time_scale=10)
        result = one(plan, webhooks(load(time_scale=10, ended_s=20), *[15.0] * 60))
        assert result.observed == 150
        assert result.status is ObjectiveStatus.MET

    def test_outcomes_choose_the_requests(self, make_plan: MakePlan) -> None:
        builder = webhooks(load(), *[10.0] * 60)
        webhooks(builder, *[500.0] * 60, outcome="none")
        assert one(make_plan({**LATENCY, "outcomes": ["ok"]}), builder).observed == 10

    def test_net_of_the_calendar(self, make_plan: MakePlan) -> None:
        builder = load()
        for _ in range(60):
            builder.op("webhook", at=(10_000, 10_100), actor="platform", upstream_ns=70_000_000)
        assert one(make_plan({**LATENCY, "measure": "latency_net_ms"}), builder).observed == 30


class TestShares:
    @pytest.mark.parametrize(
        ("late", "status"),
        [(6, ObjectiveStatus.MET), (7, ObjectiveStatus.INCONCLUSIVE), (40, ObjectiveStatus.MISSED)],
    )
    def test_answered_in_time(self, make_plan: MakePlan, late: int, status: ObjectiveStatus) -> None:
        """CONTRACTS.md section 6: at n = 270 a share above 0.95 tolerates six late answers."""
        builder = books(books(load(), 270 - late, outcome="none"), late, took_ms=10_001)
        result = one(make_plan(ANSWERED), builder)
        assert result.status is status
        assert result.n == 270
        assert result.observed == pytest.approx(1 - late / 270)

    def test_the_limit_is_life_size(self, make_plan: MakePlan) -> None:
        builder = books(load(time_scale=10, ended_s=20), 100, took_ms=999)
        assert one(make_plan(ANSWERED, time_scale=10), builder).observed == 1
        builder = books(load(time_scale=10, ended_s=20), 100, took_ms=1001)
        assert one(make_plan(ANSWERED, time_scale=10), builder).observed == 0

    def test_served_wants_an_answer_of_use(self, make_plan: MakePlan) -> None:
        builder = books(books(books(load(), 50, outcome="taken"), 50, outcome="none"), 100, outcome="unknown")
        assert one(make_plan(SERVED), builder).observed == 0.25

    def test_a_failing_share_may_be_limited_from_below(self, make_plan: MakePlan) -> None:
        plan = make_plan({**SERVED, "above": None, "below": 0.5})
        assert one(plan, books(load(), 100, outcome="none")).status is ObjectiveStatus.MET

    def test_exactly_at_the_limit_no_length_would_decide(self, make_plan: MakePlan) -> None:
        builder = books(books(load(), 95), 5, outcome="none")
        assert "no length of the run would decide" in one(make_plan(SERVED), builder).reason


class TestGoodput:
    def test_is_a_life_size_rate(self, make_plan: MakePlan) -> None:
        plan = make_plan(GOODPUT, time_scale=10)
        result = one(plan, books(load(time_scale=10, ended_s=11), 200))  # 10 s wall after the warm-up
        assert result.observed == pytest.approx(2.0)
        assert result.status is ObjectiveStatus.MET

    def test_nothing_served_misses(self, make_plan: MakePlan) -> None:
        assert one(make_plan(GOODPUT), books(load(), 90, outcome="none")).status is ObjectiveStatus.MISSED


class TestHonoured:
    def test_counts_pendings_that_stand_in_both(self, make_plan: MakePlan) -> None:
        builder = books(load(), 4, outcome="pending").book(start="9:00", at=(10_000, 10_010))
        builder.stands(1, at=11_000).stands(2, at=11_000).stands(3, at=11_000)
        builder.stands(3, at=12_000, state="cancelled").calendar_row("u4", at=11_000, start="9:00", request=4)
        result = one(make_plan(HONOURED), builder)
        assert (result.observed, result.n) == (0.5, 4)

    def test_joins_by_call_where_no_request_is_stored(self, make_plan: MakePlan) -> None:
        builder = load().book(start="9:00", at=(10_000, 10_010), outcome="pending", call_ref="c")
        builder.database_row("a1", at=11_000, start="9:00", call_ref="c")
        builder.calendar_row("u1", at=11_000, start="9:00", call_ref="c")
        assert one(make_plan(HONOURED), builder).observed == 1

    def test_what_its_caller_cancelled_is_left_out(self, make_plan: MakePlan) -> None:
        builder = books(load(), 1, outcome="pending").cancel(1, at=(20_000, 20_010))
        assert one(make_plan(HONOURED), builder).status is ObjectiveStatus.NO_DATA

    def test_needs_both_ledgers(self, make_plan: MakePlan) -> None:
        builder = books(load(), 1, outcome="pending").without_ledger("calendar")
        result = one(make_plan(HONOURED), builder)
        assert result.status is ObjectiveStatus.NO_DATA
        assert result.reason == "a ledger was not read"


class TestCalendarBudget:
    def test_the_largest_figure_counts_also_after_the_load(self, make_plan: MakePlan) -> None:
        builder = load(time_scale=10, ended_s=20)
        builder.sample("calcom", "requests_last_min", at=15_000, value=4000)
        builder.sample("calcom", "requests_last_min", at=25_000, value=5000)
        result = one(make_plan(BUDGET, time_scale=10), builder)
        assert (result.observed, result.status, result.n) == (500, ObjectiveStatus.MET, 2)

    def test_at_the_limit_is_not_below_it(self, make_plan: MakePlan) -> None:
        builder = load().sample("calcom", "requests_last_min", at=15_000, value=600)
        assert one(make_plan(BUDGET), builder).status is ObjectiveStatus.MISSED

    def test_no_sample_is_no_pass(self, make_plan: MakePlan) -> None:
        assert one(make_plan(BUDGET), load()).status is ObjectiveStatus.NO_DATA


class TestWindows:
    def _during(self, fault: str = "stall") -> dict[str, Any]:
        return {**SERVED, "window": {"during": fault}}

    def test_only_requests_that_were_due_in_it_count(self, make_plan: MakePlan) -> None:
        stall = {"id": "stall", "fault": "calcom_stall", "at_s": 30, "for_s": 20}
        plan = make_plan(self._during(), {**SERVED, "id": "steady", "window": "steady"}, faults=(stall,))
        builder = load().fault("stall", at=(30_000, 50_000))
        builder.book(start="9:00", at=(5_000, 5_010))  # warm-up
        builder.book(start="9:00", at=(20_000, 20_010))
        builder.book(start="9:00", at=(52_000, 52_010), outcome="none", intended=49_999)  # held up by the fault
        builder.book(start="9:00", at=(55_000, 55_010))  # recovery
        during, steady = evaluate_objectives(plan, builder.build())[:2]
        assert (during.n, during.observed) == (1, 0)
        assert (steady.n, steady.observed) == (1, 1)

    def test_an_absent_fault_is_not_applicable(self, make_plan: MakePlan) -> None:
        result = one(make_plan(self._during()), load())
        assert result.status is ObjectiveStatus.NOT_APPLICABLE

    def test_a_fault_that_was_never_injected_has_no_data(self, make_plan: MakePlan) -> None:
        stall = {"id": "stall", "fault": "calcom_stall", "at_s": 30, "for_s": 20}
        result = one(make_plan(self._during(), faults=(stall,)), books(load(), 5))
        assert result.status is ObjectiveStatus.NO_DATA
        assert "during stall" in result.reason

    def test_no_request_is_no_pass(self, make_plan: MakePlan) -> None:
        assert one(make_plan(SERVED), webhooks(load(), 1.0)).status is ObjectiveStatus.NO_DATA
