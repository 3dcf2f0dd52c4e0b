"""Starting, awaiting and ending children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from slotproof.errors import StackError
from slotproof.stack.guardian import Guardian
from slotproof.stack.processes import (
    Child,
    Command,
    await_ready,
    end_children,
    expect_success,
    log_tail,
    raise_open_files_limit,
    run_to_end,
    spawn,
)

Start = Callable[[Command], Child]


def _python(script: str, log: Path, **options: object) -> Command:
    return Command("child", [sys.executable, "-c", script], log, dict(os.environ), **options)  # type: ignore[arg-type]


def test_output_goes_to_the_log_and_the_environment_is_what_was_given(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = start(Command("env", ["env"], log, {"PATH": os.environ["PATH"], "ONLY": "this"}))
    assert child.wait(10) == 0
    names = {line.partition("=")[0] for line in log.read_text().splitlines()}
    assert names == {"PATH", "ONLY", "SLOTPROOF_GUARDIAN"}


def test_a_child_leads_its_own_session(start: Start, tmp_path: Path) -> None:
    child = start(_python("import time; time.sleep(600)", tmp_path / "log"))
    assert os.getsid(child.pid) == child.pid != os.getsid(0)


def test_a_program_that_is_not_there_is_an_error(guardian: Guardian, tmp_path: Path) -> None:
    with pytest.raises(StackError, match="ghost could not be started"):
        spawn(Command("ghost", ["/nonexistent/ghost"], tmp_path / "log", {}), guardian)


def test_waiting_for_a_child_that_dies_shows_the_end_of_its_log(start: Start, tmp_path: Path) -> None:
    child = start(_python("print('first'); raise SystemExit('no port for me')", tmp_path / "log"))
    with pytest.raises(StackError, match="child ended with code 1") as died:
        await_ready(child, lambda: False, time.monotonic() + 10)
    assert died.value.where == str(tmp_path / "log")
    assert "no port for me" in (died.value.hint or "")


def test_waiting_ends_at_the_deadline(start: Start, tmp_path: Path) -> None:
    child = start(_python("import time; time.sleep(600)", tmp_path / "log"))
    with pytest.raises(StackError, match="not ready in time"):
        await_ready(child, lambda: False, time.monotonic() + 0.1)


def test_a_killed_child_names_the_signal(start: Start, tmp_path: Path) -> None:
    child = start(_python("import time; time.sleep(600)", tmp_path / "log"))
    os.kill(child.pid, signal.SIGKILL)
    child.wait(10)
    assert "SIGKILL" in child.died().what


def test_a_command_that_takes_too_long_is_ended(guardian: Guardian, tmp_path: Path) -> None:
    child = spawn(_python("import time; time.sleep(600)", tmp_path / "log"), guardian)
    with pytest.raises(StackError, match="did not finish in time"):
        expect_success(child, guardian, time.monotonic() + 0.1)
    assert not child.alive
    run_to_end(_python("pass", tmp_path / "log"), guardian, time.monotonic() + 10)


def test_stopping_is_orderly_where_possible_and_forced_where_not(guardian: Guardian, tmp_path: Path) -> None:
    wait = "print('up', flush=True)\ntime.sleep(600)"
    orderly = f"import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *a: sys.exit(0))\n{wait}"
    deaf = f"import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{wait}"
    children = [spawn(_python(script, tmp_path / str(n)), guardian) for n, script in enumerate((orderly, deaf))]
    for child in children:
        await_ready(child, lambda child=child: child.tail() == ["up"], time.monotonic() + 10)  # type: ignore[misc]
    end_children(children, guardian, grace_s=1.0)
    assert [child.popen.returncode for child in children] == [0, -signal.SIGKILL]
    end_children(children, guardian, grace_s=1.0)


def test_standard_input_can_be_written(guardian: Guardian, tmp_path: Path) -> None:
    child = spawn(_python("print(input())", tmp_path / "log", stdin=subprocess.PIPE), guardian)
    child.popen.communicate(b"hello\n", timeout=10)
    expect_success(child, guardian, time.monotonic() + 10)
    assert child.tail() == ["hello"]


def test_the_tail_of_a_log_is_short_and_without_blanks(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert log_tail(log) == []
    log.write_text("\n".join(f"line {number}\n" for number in range(5000)))
    assert log_tail(log, 2) == ["line 4998", "line 4999"]


def test_the_open_files_limit_is_raised_as_far_as_allowed() -> None:
    import resource

    assert raise_open_files_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
