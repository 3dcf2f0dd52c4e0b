"""Plans for judging objectives: small, and only what the judgement reads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from slotproof.plan.experiment import Experiment
from slotproof.plan.plan import Clock, Machine, Plan, TargetPlan
from slotproof.plan.scenario import Scenario

MakePlan = Callable[..., Plan]


@pytest.fixture
def make_plan() -> MakePlan:
    return _make_plan


def _make_plan(
    *objectives: dict[str, Any],
    faults: tuple[dict[str, Any], ...] = (),
    recovery_s: float = 10,
    warm_up_s: float = 10,
    duration_s: float = 90,
    calls_per_s: float = 1.0,
    time_scale: float = 1,
) -> Plan:
    """Fixed arrivals; the objectives are the scenario's."""
    load = {
        "warm_up_s": warm_up_s,
        "phases": [{"arrivals": "fixed", "calls_per_s": calls_per_s, "duration_s": duration_s}],
    }
    scenario = Scenario.model_validate(
        {
            "schema": 1,
            "name": "rush",
            "callers": "rush.py",
            "risk": {"id": "R1", "title": "A slot is sold twice", "likelihood": 4, "impact": 5},
            "time_scale": time_scale,
            "load": load,
            "objectives": list(objectives),
        }
    )
    experiment = (
        Experiment.model_validate({"schema": 1, "name": "broken", "faults": list(faults), "recovery_s": recovery_s})
        if faults
        else None
    )
    return Plan(
        schema="plan/1",
        run_id="run",
        slotproof_version="0",
        git_commit=None,
        machine=Machine(cpus=2, memory_bytes=1, system="Linux", python="3.11"),
        clock=Clock(monotonic_ns=0, utc_ns=0),
        seed=1,
        time_scale=time_scale,
        anchor_date=date(2027, 3, 1),
        scenario=scenario,
        experiment=experiment,
        target=TargetPlan(kind="reference", profile="hardened", flaws=()),
        callers_file="rush.py",
        command="slotproof run rush",
    )
