"""Other people book directly in the calendar, webhooks go astray, replies come too late: whole runs on real servers.

What issue C asks of `hardened`: an external booking that slips into Cal.com's gap (FACTS-calcom-retell.md section 1.11)
is compensated before anybody is told, calendar and database agree at the end, the Cal.com budget is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.runs.whole_runs import CompletedRun, findings, integrity

pytestmark = pytest.mark.runs
Slotproof = Callable[..., CompletedRun]

SCENARIO = """\
schema: 1
name: busy_day
callers: callers.py
risk: {id: R2, title: The calendar is not ours alone, likelihood: 3, impact: 4}
time_scale: 20
load: {warm_up_s: 60, phases: [{calls_per_s: 0.25, duration_s: 720}], drain_s: 240}
calcom: {webhooks: true}
retell: {inbound_webhook: true, duplicate_share: 0.1, late_share: 0.1, transcripts: {long_share: 0.05}}
options: {people: 4, days: 3, cancel_share: 0.15, move_share: 0.15}
objectives:
  - {id: calcom-budget, title: Cal.com requests in any minute, kind: any, measure: calcom_requests_per_min,
     statistic: max, below: 121, window: all, waits_on: delays}
"""

EXPERIMENT = """\
schema: 1
name: busy
faults:
  - {id: walk_ins, fault: calcom_reply, at_s: 60, for_s: 600, kind: overtaken, stage: before_insert, share: 0.3}
  - {id: webhooks, fault: calcom_webhooks, at_s: 60, for_s: 600, lost: 0.2, duplicated: 0.3, delayed: 0.3, delay_s: 20}
  - {id: late, fault: calcom_stall, at_s: 60, for_s: 600, stage: before_reply, delay_s: 70, share: 0.1}
"""


@pytest.fixture
def busy_day(slotproof: Slotproof, tmp_path: Path) -> Slotproof:
    """`slotproof run` of a day in a calendar that others write into, too."""
    callers = Path(__file__).parents[2] / "scenarios" / "baseline.py"
    (tmp_path / "callers.py").write_text(callers.read_text())
    scenario, experiment = tmp_path / "busy_day.yaml", tmp_path / "busy.yaml"
    scenario.write_text(SCENARIO)
    experiment.write_text(EXPERIMENT)

    def run(*words: str) -> CompletedRun:
        return slotproof("run", str(scenario), "--experiment", str(experiment), "--seed", "7", *words)

    return run


def test_a_hardened_service_gives_up_what_others_took(busy_day: Slotproof) -> None:
    run = busy_day()
    verdict = run.verdict()
    assert integrity(verdict) == [], run.output
    assert {fault["status"] for fault in verdict["faults"]} == {"proven"}, run.output
    budget = next(objective for objective in verdict["objectives"] if objective["id"] == "calcom-budget")
    assert budget["status"] == "met", run.output


def test_without_the_read_back_both_bookings_stand(busy_day: Slotproof) -> None:
    run = busy_day("--flaws", "no_read_back")
    assert run.exit_code == 11, run.output
    assert findings(run.verdict(), "double_booking"), run.output
