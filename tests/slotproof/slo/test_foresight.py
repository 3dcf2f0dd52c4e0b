"""The plan says beforehand which objectives it cannot decide (CONTRACTS.md section 4)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.slotproof.slo.conftest import MakePlan

from slotproof.slo.foresight import expected_n, foresee, least_n

SHARE: dict[str, Any] = {
    "id": "answered",
    "kind": "book",
    "measure": "served",
    "statistic": "share",
    "above": 0.98,
    "window": "all",
    "waits_on": "delays",
}
P95: dict[str, Any] = {**SHARE, "id": "p95", "measure": "latency_ms", "statistic": "p95", "above": None, "below": 50}
FAULT = {"id": "stall", "fault": "calcom_stall", "at_s": 30, "for_s": 40}


@pytest.mark.parametrize(
    ("fields", "least"),
    [
        ({}, 189),  # "< 2 %" of failures
        ({"above": 0.99}, 381),
        ({"above": None, "below": 0.02}, 189),
        ({"above": 1.0}, None),  # no number of good answers proves certainty
    ],
)
def test_shares_need_as_many_as_the_contract_says(make_plan: MakePlan, fields: dict[str, Any], least: int) -> None:
    (objective,) = make_plan({**SHARE, **fields}).objectives
    assert least_n(objective) == least


def test_a_quantile_needs_enough_values_to_bound_it(make_plan: MakePlan) -> None:
    (objective,) = make_plan(P95).objectives
    assert least_n(objective) == 59


@pytest.mark.parametrize(
    ("window", "n"),
    [("all", 90), ("steady", 40), ({"during": "stall"}, 40), ({"after": "stall"}, 20)],
)
def test_n_is_expected_from_the_calls_planned_in_the_window(make_plan: MakePlan, window: Any, n: int) -> None:
    plan = make_plan({**SHARE, "window": window}, faults=(FAULT,), time_scale=10)
    (objective,) = plan.objectives
    assert expected_n(plan, objective) == n


def test_each_call_sends_three_webhooks_and_few_cancel(make_plan: MakePlan) -> None:
    plan = make_plan({**SHARE, "kind": "webhook"}, {**SHARE, "id": "cancels", "kind": "cancel"})
    assert [expected_n(plan, objective) for objective in plan.objectives] == [270, 0]


def test_an_objective_that_cannot_be_decided_is_named(make_plan: MakePlan) -> None:
    plan = make_plan(SHARE, {**SHARE, "id": "absent", "window": {"during": "nothing"}})
    assert foresee(plan) == [
        "objective answered cannot be decided: about 90 requests are expected in the whole load, at least 189 are "
        "needed even if all of them are good"
    ]


def test_a_plan_that_can_decide_is_not_warned(make_plan: MakePlan) -> None:
    assert foresee(make_plan(SHARE, P95, duration_s=300)) == []


def test_a_steady_state_that_is_too_short_is_named(make_plan: MakePlan) -> None:
    assert foresee(make_plan(duration_s=50)) == [
        "the steady state will last 50 s life-size; below 60 s the answer cannot be GO"
    ]
