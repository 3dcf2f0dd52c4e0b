"""Every wrong key or value is reported with its line and what would be right, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotproof.errors import InputFileError
from slotproof.plan.scenario import Scenario
from slotproof.plan.yaml_file import parse, read_yaml

GOOD = """\
schema: 1
name: tiny
callers: tiny.py
risk: {id: R1, title: Sold twice, likelihood: 4, impact: 5}
load:
  warm_up_s: 30
  phases:
    - {calls_per_s: 1.5, duration_s: 60}
objectives:
  - id: webhook
    kind: webhook
    measure: latency_ms
    statistic: p95
    below: 50
    window: {during: stall}
    waits_on: computing
"""


def problems(tmp_path: Path, text: str) -> list[tuple[int, str, str | None]]:
    path = tmp_path / "tiny.yaml"
    path.write_text(text)
    with pytest.raises(InputFileError) as caught:
        parse(read_yaml(path), Scenario)
    assert caught.value.exit_code == 2
    return [(problem.line, problem.what, problem.right) for problem in caught.value.problems]


def test_a_correct_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(GOOD)
    assert parse(read_yaml(path), Scenario).load.duration_s == 90


@pytest.mark.parametrize(
    ("wrong", "right", "line", "what", "hint"),
    [
        ("callers:", "caller:", 3, "unknown key 'caller'", "did you mean 'callers'?"),
        ("warm_up_s: 30", "warmup_s: 30", 6, "unknown key 'warmup_s'", "did you mean 'warm_up_s'?"),
        ("duration_s: 60", "duration_s: -60", 8, "greater than 0", "got -60"),
        ("duration_s: 60", "duration_s: sixty", 8, "valid number", "got 'sixty'"),
        ("calls_per_s: 1.5", "calls_per_s: 1.5, rate: 2", 8, "unknown key 'rate'", None),
        ("statistic: p95", "statistic: share", 10, "statistic share does not fit", None),
        ("{during: stall}", "{durin: stall}", 15, "unknown key 'durin'", "did you mean 'during'?"),
    ],
)
def test_each_problem_names_its_line_and_what_is_right(
    tmp_path: Path, wrong: str, right: str, line: int, what: str, hint: str | None
) -> None:
    found = problems(tmp_path, GOOD.replace(wrong, right))
    assert any(at == line and what in text and (hint is None or hint == fix) for at, text, fix in found), found


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD.replace("warm_up_s", "warmup_s").replace("below: 50", "belw: 50"))
    assert {line for line, _, _ in found} >= {6, 14}


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("schema: 1\nname: a\nname: b\n", 3, "stands twice"),
        ("schema: 1\nname: [a\n", 3, "not YAML"),
        ("- a\n- b\n", 1, "not a YAML mapping"),
        ("", 1, "not a YAML mapping"),
    ],
)
def test_files_that_are_not_a_scenario_at_all(tmp_path: Path, text: str, line: int, what: str) -> None:
    found = problems(tmp_path, text)
    assert found[0][0] == line
    assert what in found[0][1]


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="cannot be read"):
        read_yaml(tmp_path / "absent.yaml")
