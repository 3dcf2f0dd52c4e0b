"""A run that is cut off leaves what it saw, and no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.runs.whole_runs import finish, processes_of, start, wait_for

pytestmark = pytest.mark.runs


def _start_and_wait_for_load(out: Path) -> tuple[subprocess.Popen[str], Path]:
    process = start(out, "run", "rush", "--experiment", "slow_calcom", "--profile", "as-reviewed", "--seed", "7")

    def bitten() -> bool:
        journals = list(out.glob("*/faults.jsonl"))
        assert process.poll() is None, process.communicate()[0]
        return bool(journals) and '"bitten"' in journals[0].read_text()

    wait_for(bitten, "the fault")
    return process, next(out.glob("*/"))


def test_ctrl_c_leaves_a_report_marked_aborted(tmp_path: Path) -> None:
    process, folder = _start_and_wait_for_load(tmp_path / "reports")
    os.kill(process.pid, signal.SIGINT)
    run = finish(process, tmp_path / "reports")
    assert run.exit_code == 130, run.output
    assert "aborted" in (folder / "report.html").read_text()
    assert run.verdict()["exit_code"] == 130
    wait_for(lambda: processes_of(folder) == [], "the end of every child")


def test_a_killed_harness_leaves_no_process_and_a_readable_folder(tmp_path: Path) -> None:
    process, folder = _start_and_wait_for_load(tmp_path / "reports")
    assert processes_of(folder) != []
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for(lambda: processes_of(folder) == [], "the end of every child", timeout_s=10)
    checked = finish(start(tmp_path, "check", str(folder)), tmp_path)
    assert checked.exit_code in (11, 20, 21), checked.output
    reported = finish(start(tmp_path, "report", str(folder)), tmp_path)
    assert reported.exit_code == 0, reported.output
    assert (folder / "report.html").stat().st_size > 10_000


def test_ctrl_c_while_the_stack_comes_up_ends_at_once_and_says_so(tmp_path: Path) -> None:
    out = tmp_path / "reports"
    process = start(out, "run", "rush", "--seed", "7")
    wait_for(lambda: bool(list(out.glob("*/phases.jsonl"))), "the stack's start")
    os.kill(process.pid, signal.SIGINT)
    run = finish(process, out)
    assert run.exit_code == 130, run.output
    assert "stopped by SIGINT" in run.output
    assert "load_started" not in (run.folder / "phases.jsonl").read_text()
    assert (run.folder / "report.html").exists()
    wait_for(lambda: processes_of(run.folder) == [], "the end of every child")


def test_a_server_that_dies_ends_the_run_with_its_last_words_and_a_report(tmp_path: Path) -> None:
    process, folder = _start_and_wait_for_load(tmp_path / "reports")
    (service,) = (child for child in processes_of(folder) if "booking_service" in " ".join(child.cmdline()))
    service.kill()
    run = finish(process, tmp_path / "reports")
    assert run.exit_code == 1, run.output
    assert "service died, its log" in run.output
    assert run.verdict()["verdict"] in ("INVALID", "NO-GO")
    assert "service died" in (folder / "report.html").read_text()
    wait_for(lambda: processes_of(folder) == [], "the end of every child")
