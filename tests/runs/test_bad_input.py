"""Bad input is refused before anything starts: exit 2, file and line, and no run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.runs.whole_runs import CompletedRun, finish, start

import slotproof.plan.locate as locate

pytestmark = pytest.mark.runs


@pytest.fixture
def rush(tmp_path: Path) -> Path:
    """A copy of the shipped scenario to spoil."""
    shipped = locate.packaged(locate.Shelf.SCENARIOS)
    (tmp_path / "rush.py").write_text((shipped / "rush.py").read_text())
    path = tmp_path / "rush.yaml"
    path.write_text((shipped / "rush.yaml").read_text())
    return path


@pytest.mark.parametrize(
    ("right", "wrong", "what"),
    [
        ("time_scale: 10", "time_scal: 10", "unknown key 'time_scal'"),
        ("experiment: null", "experiment: slow_calcm", "unknown experiment 'slow_calcm'"),
        ("warm_up_s: 30", "warm_up_s: -30", "greater than or equal to 0"),
        ("kind: reference, profile: hardened", "kind: external, url: http://10.0.0.7", "not a loopback address"),
    ],
)
def test_it_names_the_line(
    rush: Path, slotproof: Callable[..., CompletedRun], right: str, wrong: str, what: str
) -> None:
    text = rush.read_text()
    assert right in text
    rush.write_text(text.replace(right, wrong))
    line = next(number for number, row in enumerate(text.splitlines(), 1) if right in row)
    run = slotproof("run", str(rush))
    assert run.exit_code == 2, run.output
    assert what in run.output
    assert f"{rush}:{line}" in run.output
    assert run.folders == ()


def test_an_unknown_experiment_on_the_command_line(slotproof: Callable[..., CompletedRun]) -> None:
    run = slotproof("run", "rush", "--experiment", "slow_calcm")
    assert run.exit_code == 2
    assert "command line: --experiment" in run.output
    assert "did you mean 'slow_calcom'?" in run.output
    assert run.folders == ()


def test_a_machine_without_the_parts_is_told_the_ways_to_get_them(tmp_path: Path) -> None:
    out = tmp_path / "reports"
    nowhere = {"PATH": "", "SLOTPROOF_CACHE": str(tmp_path / "cache")}
    run = finish(start(out, "run", "rush", **nowhere), out)
    assert run.exit_code == 2, run.output
    assert "no toxiproxy-server" in run.output
    assert "hint:" in run.output
    assert run.folders == ()
