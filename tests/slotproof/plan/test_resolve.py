"""What a user asks for is checked completely before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotproof.errors import InputFileError, UsageError
from slotproof.faults.registry import fault_params
from slotproof.plan.locate import Shelf, names
from slotproof.plan.resolve import Choices, Known, read_experiment, read_scenario, resolve

KNOWN = Known(
    fault_params(),
    frozenset({"no_exclusion_constraint", "redis_required"}),
    {"hardened": frozenset(), "as-reviewed": frozenset({"redis_required"})},
)
SCENARIO = """\
schema: 1
name: tiny
callers: tiny.py
risk: {id: R1, title: Sold twice, likelihood: 4, impact: 5}
target: {kind: reference, profile: hardened}
load: {phases: [{calls_per_s: 1, duration_s: 400}]}
"""
EXPERIMENT = """\
schema: 1
name: slow
faults:
  - {id: stall, fault: calcom_stall, at_s: 10, for_s: 20, delay_s: 35}
"""


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "chaos").mkdir()
    (tmp_path / "scenarios" / "tiny.yaml").write_text(SCENARIO)
    (tmp_path / "scenarios" / "tiny.py").write_text("")
    (tmp_path / "chaos" / "slow.yaml").write_text(EXPERIMENT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_shipped_file_is_valid() -> None:
    assert set(names(Shelf.SCENARIOS)) >= {"rush"}
    for path in names(Shelf.CHAOS).values():
        read_experiment(path, KNOWN)


@pytest.mark.usefixtures("shelf")
def test_a_plan_holds_everything_that_repeats_the_run() -> None:
    choices = Choices("tiny", experiment="slow", flaws=("redis_required",), time_scale=10, seed=7)
    plan = resolve(choices, KNOWN, "run-1")
    assert plan.target.flaws == ("redis_required",)
    assert plan.command == "slotproof run tiny --experiment slow --flaws redis_required --time-scale 10 --seed 7"
    assert plan.title == "tiny under slow"
    assert plan.warnings  # no objective is declared


@pytest.mark.usefixtures("shelf")
def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    plan = resolve(Choices("tiny", experiment="slow", seed=7), KNOWN, "run-1")
    plan.save(tmp_path / "plan.json")
    assert plan.load(tmp_path / "plan.json") == plan


@pytest.mark.usefixtures("shelf")
@pytest.mark.parametrize(
    ("choices", "what", "hint"),
    [
        (Choices("tinny"), "unknown scenario 'tinny'", "did you mean 'tiny'?"),
        (Choices("tiny", experiment="slw"), "unknown experiment 'slw'", "did you mean 'slow'?"),
        (Choices("tiny", flaws=("redis_requird",)), "unknown flaw", "did you mean 'redis_required'?"),
        (Choices("tiny", profile="hard"), "unknown profile", "did you mean 'hardened'?"),
        (Choices("tiny", time_scale=1000), "time scale 1000 is out of range", None),
        (Choices("tiny", profile="hardened", flaws=()), "exclude each other", None),
    ],
)
def test_what_does_not_exist_is_refused_with_a_near_name(choices: Choices, what: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(choices, KNOWN, "run-1")
    assert what in caught.value.what
    assert caught.value.where is not None
    assert hint is None or caught.value.hint == hint


@pytest.mark.parametrize(
    ("replace", "by", "line", "what"),
    [
        ("calcom_stall", "calcom_stal", 4, "unknown fault 'calcom_stal'"),
        ("delay_s: 35", "delay_ms: 35", 4, "unknown key 'delay_ms'"),
        ("delay_s: 35", "delay_s: -1", 4, "greater than or equal to 0"),
        ("for_s: 20", "for_s: -20", 4, "greater than 0"),
    ],
)
def test_a_wrong_experiment_names_its_line(shelf: Path, replace: str, by: str, line: int, what: str) -> None:
    path = shelf / "chaos" / "slow.yaml"
    path.write_text(EXPERIMENT.replace(replace, by))
    with pytest.raises(InputFileError) as caught:
        read_experiment(path, KNOWN)
    assert any(problem.line == line and what in problem.what for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("{kind: external, url: 'http://10.1.2.3:80'}", "not a loopback address"),
        ("{kind: external, url: 'https://api.cal.com'}", "production host"),
        ("{kind: reference, profile: hardend}", "unknown profile"),
        ("{kind: reference, flaws: [redis]}", "unknown flaw"),
    ],
)
def test_a_wrong_target_names_its_line(shelf: Path, target: str, what: str) -> None:
    path = shelf / "scenarios" / "tiny.yaml"
    path.write_text(SCENARIO.replace("{kind: reference, profile: hardened}", target))
    with pytest.raises(InputFileError) as caught:
        read_scenario(path, KNOWN)
    assert [(p.line, what in p.what) for p in caught.value.problems] == [(5, True)]


def test_a_fault_that_outlives_the_load_is_refused(shelf: Path) -> None:
    (shelf / "chaos" / "slow.yaml").write_text(EXPERIMENT.replace("for_s: 20", "for_s: 2000"))
    with pytest.raises(UsageError, match="would end after the load"):
        resolve(Choices("tiny", experiment="slow"), KNOWN, "run-1")
