"""Each flaw is caught, the hardened service stays quiet: whole runs on real servers (the issue's own scenarios)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.runs.whole_runs import CompletedRun, findings, integrity

pytestmark = pytest.mark.runs
Slotproof = Callable[..., CompletedRun]


def test_the_demo_tells_the_two_apart(slotproof: Slotproof) -> None:
    demo = slotproof("demo")
    assert len(demo.folders) == 2, demo.output
    reviewed, hardened = demo.verdict(0), demo.verdict(1)
    assert reviewed["exit_code"] == 11, demo.output
    assert findings(reviewed, "double_booking")
    assert integrity(hardened) == [], demo.output
    _good_or_disturbed(hardened, demo)
    _findings_do_not_depend_on_the_flaw_list(slotproof, demo.folders[0])


_DISTURBANCES = {"generator_lag", "foreign_cpu", "arrivals_achieved"}


def _good_or_disturbed(verdict: dict[str, Any], run: CompletedRun) -> None:
    """GO; on a machine that others keep busy INVALID is allowed, if that alone is what the run says."""
    failed = {item["name"] for item in verdict["validity"] if item["status"] != "valid"}
    if not failed:
        assert verdict["verdict"] == "GO", run.output
    else:
        assert verdict["verdict"] == "INVALID", run.output
        assert failed <= _DISTURBANCES, run.output


def _missed_or_disturbed(run: CompletedRun) -> set[str]:
    """The objectives that were missed; the answer is NO-GO for them, or INVALID on a machine that others keep busy."""
    verdict = run.verdict()
    failed = {item["name"] for item in verdict["validity"] if item["status"] != "valid"}
    assert failed <= _DISTURBANCES, run.output
    assert run.exit_code == (21 if failed else 10), run.output
    return {objective["id"] for objective in verdict["objectives"] if objective["status"] == "missed"}


def _findings_do_not_depend_on_the_flaw_list(slotproof: Slotproof, folder: Path) -> None:
    before = (folder / "verdict.json").read_bytes()
    plan = json.loads((folder / "plan.json").read_text())
    plan["target"].update(profile="hardened", flaws=[])
    (folder / "plan.json").write_text(json.dumps(plan))
    assert slotproof("check", str(folder)).exit_code == 11
    after = (folder / "verdict.json").read_bytes()
    assert json.loads(before)["findings"] == json.loads(after)["findings"]


def test_an_expiring_lock_sells_twice_and_its_trace_says_so(slotproof: Slotproof) -> None:
    run = slotproof(
        "run", "rush", "--experiment", "slow_calcom", "--flaws", "lock_shorter_than_upstream,no_exclusion_constraint"
    )
    assert run.exit_code == 11, run.output
    assert findings(run.verdict(), "double_booking")
    assert re.search(r"lock of caller \d+ expires", (run.folder / "report.html").read_text())


def test_without_the_lock_flaw_nothing_is_sold_twice(slotproof: Slotproof) -> None:
    run = slotproof("run", "rush", "--experiment", "slow_calcom", "--flaws", "no_exclusion_constraint")
    assert integrity(run.verdict()) == [], run.output


def test_a_slow_link_alone_sells_nothing_twice(slotproof: Slotproof) -> None:
    run = slotproof(
        "run", "rush", "--experiment", "slow_link", "--flaws", "lock_shorter_than_upstream,no_exclusion_constraint"
    )
    verdict = run.verdict()
    assert findings(verdict, "double_booking") == [], run.output
    exercised = next(check for check in verdict["checks"] if check["name"] == "double_booking")["exercised"]
    assert exercised["overlapping_attempts_during_link"] >= 20


def test_without_redis_a_hardened_service_keeps_booking(slotproof: Slotproof) -> None:
    run = slotproof("run", "rush", "--experiment", "redis_down")
    assert integrity(run.verdict()) == [], run.output
    _good_or_disturbed(run.verdict(), run)


def test_a_service_that_needs_redis_misses_its_objectives(slotproof: Slotproof) -> None:
    run = slotproof("run", "rush", "--experiment", "redis_down", "--flaws", "redis_required")
    assert "webhook-served" in _missed_or_disturbed(run)


def test_exhausted_connections_are_shed_by_a_hardened_service(slotproof: Slotproof) -> None:
    run = slotproof("run", "rush", "--experiment", "connection_exhaustion")
    assert integrity(run.verdict()) == [], run.output
    _good_or_disturbed(run.verdict(), run)


def test_exhausted_connections_swamp_a_service_without_a_limit(slotproof: Slotproof) -> None:
    run = slotproof("run", "rush", "--experiment", "connection_exhaustion", "--flaws", "unbounded_pool_wait")
    assert {"admitted-latency", "goodput"} & _missed_or_disturbed(run)


def test_a_fault_without_effect_makes_the_run_invalid(slotproof: Slotproof, tmp_path: Path) -> None:
    experiment = tmp_path / "nothing.yaml"
    experiment.write_text(
        "schema: 1\nname: nothing\nfaults:\n"
        "  - {id: link, fault: link_latency, at_s: 60, for_s: 60, link: calcom, latency_ms: 0}\n"
    )
    run = slotproof("run", "rush", "--experiment", str(experiment))
    assert run.exit_code == 21, run.output
    assert run.verdict()["verdict"] == "INVALID"
