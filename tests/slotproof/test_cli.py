"""The command line: what it lists, refuses, and makes of a folder."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.slotproof.report.sample_run import make_sample_run

from slotproof.cli import group, main
from slotproof.demo import DemoPart
from slotproof.evaluate import Evaluation
from slotproof.judgement import Verdict
from slotproof.pipeline import Interruption
from slotproof.stack import doctor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run with slots sold twice, as a real run leaves it."""
    path = make_sample_run(tmp_path / "run").folder.path
    world = {
        "anchor_date": "2027-03-01",
        "companies": [
            {
                "id": 1,
                "name": "Salon Weber",
                "calcom_api_key": "cal_1",
                "branches": [
                    {
                        "id": 1,
                        "name": "Mitte",
                        "phone": "+49",
                        "time_zone": "Europe/Berlin",
                        "services": [],
                        "people": [],
                    }
                ],
            }
        ],
    }
    (path / "world.json").write_text(json.dumps(world))
    (path / "logs").mkdir(exist_ok=True)
    return path


def test_list_names_everything_that_can_be_asked_for() -> None:
    result = CliRunner().invoke(group, ["list"])
    assert result.exit_code == 0, result.output
    for name in ("rush", "baseline", "slow_calcom", "calcom_stall", "as-reviewed", "lock_shorter_than_upstream"):
        assert name in result.output


def test_doctor_says_what_is_missing_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = doctor.Finding("toxiproxy", doctor.Status.MISSING, "not found", "install Go")
    monkeypatch.setattr("slotproof.commands.examine", lambda: [missing])
    result = CliRunner().invoke(group, ["doctor"])
    assert result.exit_code == 2
    assert "install Go" in result.output


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["run"], "Missing argument"),
        (["run", "rush", "--time-scale", "fast"], "Invalid value"),
        (["run", "rush", "--experiment", "slow_calcon"], "did you mean 'slow_calcom'?"),
        (["run", "rush", "--flaws", "redis_requird"], "did you mean 'redis_required'?"),
        (["run", "rush", "--time-scale", "nan"], "out of range"),
        (["run", "rush", "--out", "/proc/nowhere"], "no run folder can be made"),
        (["check", "/nowhere"], "does not exist"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    words: list[str], what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["slotproof", *words])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert what in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_check_judges_a_folder_again(folder: Path) -> None:
    result = CliRunner().invoke(group, ["check", str(folder)])
    assert result.exit_code == 11, result.output
    assert "NO-GO" in result.output
    assert json.loads((folder / "verdict.json").read_text())["exit_code"] == 11


def test_report_writes_every_report_and_names_it(folder: Path) -> None:
    result = CliRunner().invoke(group, ["report", str(folder)])
    assert result.exit_code == 0, result.output
    assert result.output.strip().endswith("report.html")
    assert {"report.html", "verdict.json", "junit.xml", "summary.md"} <= {path.name for path in folder.iterdir()}


def test_a_folder_whose_run_never_began_can_be_judged(folder: Path) -> None:
    for name in ("record", "ledger", "trace"):
        shutil.rmtree(folder / name)
        (folder / name).mkdir()
    for name in ("phases.jsonl", "faults.jsonl", "samples.arrow"):
        (folder / name).unlink(missing_ok=True)
    result = CliRunner().invoke(group, ["check", str(folder)])
    assert result.exit_code == 21, result.output
    assert CliRunner().invoke(group, ["report", str(folder)]).exit_code == 0


def test_a_folder_that_is_no_run_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["slotproof", "check", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1


@pytest.mark.parametrize(
    ("run_as", "presented_as", "expected", "exit_code"),
    [
        ("as-reviewed", "as-reviewed", True, 0),
        ("hardened", "hardened", True, 0),
        ("hardened", "as-reviewed", False, 10),  # the flaws were not caught
        ("as-reviewed", "hardened", False, 11),
    ],
)
def test_the_demo_expects_one_to_be_caught_and_the_other_to_pass(
    tmp_path: Path, run_as: str, presented_as: str, expected: bool, exit_code: int
) -> None:
    sample = make_sample_run(tmp_path / "run", profile=run_as)
    part = DemoPart(presented_as, Evaluation(sample.plan, sample.record, sample.judgement))
    assert part.as_expected is expected
    assert part.exit_code == exit_code
    assert sample.judgement.verdict is (Verdict.GO if run_as == "hardened" else Verdict.NO_GO)


def test_the_first_signal_asks_and_the_second_ends() -> None:
    interruption = Interruption()
    interruption.interrupt(signal.SIGTERM)
    assert interruption.asked
    with pytest.raises(KeyboardInterrupt):
        interruption.interrupt(signal.SIGINT)
    assert interruption.why == "stopped by SIGTERM"
