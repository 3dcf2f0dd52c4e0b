"""A service of two parts while others are quicker: whole runs on real servers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.runs.whole_runs import CompletedRun, findings, integrity

pytestmark = pytest.mark.runs
Slotproof = Callable[..., CompletedRun]


@pytest.fixture
def short_day(slotproof: Slotproof, tmp_path: Path) -> Slotproof:
    """The shipped scenario and experiment at twice their pace."""
    ships = Path(__file__).parents[2] / "scenarios"
    (tmp_path / "baseline.py").write_text((ships / "baseline.py").read_text())
    scenario = tmp_path / "several_parts.yaml"
    text = (ships / "several_parts.yaml").read_text()
    assert "time_scale: 10" in text
    scenario.write_text(text.replace("time_scale: 10", "time_scale: 20"))

    def run(*words: str) -> CompletedRun:
        return slotproof("run", str(scenario), "--seed", "7", *words)

    return run


def test_a_hardened_service_gives_half_a_booking_back(short_day: Slotproof) -> None:
    run = short_day()
    assert integrity(run.verdict()) == [], run.output
    assert {fault["status"] for fault in run.verdict()["faults"]} == {"proven"}, run.output


def test_without_the_saga_half_a_service_stays_booked(short_day: Slotproof) -> None:
    run = short_day("--flaws", "no_saga_compound")
    assert run.exit_code == 11, run.output
    assert findings(run.verdict(), "phantom_booking"), run.output
