"""Nothing outlives a harness, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from slotproof.errors import StackError
from slotproof.stack.guardian import Guardian
from slotproof.stack.guardian_process import Watched, kill_marked, marked, obey, remove_directory, start_time

_DEADLINE_S = 10.0

# A harness: starts one child that ignores requests to stop and has a child of its own in another session, makes a
# directory, tells their ids, and then works on for ever.
_HARNESS = """
import os, signal, sys, threading, time
from pathlib import Path
from slotproof.stack.guardian import Guardian
from slotproof.stack.processes import Command, spawn
from slotproof.stack.scratch import make_scratch

signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
folder = Path(sys.argv[1])
CHILD = '''
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(other.pid, flush=True)
time.sleep(600)
'''
def work():
    guardian = Guardian(folder / "guardian.log")
    scratch = make_scratch(guardian, "slotproof-test-", folder)
    (scratch / "data").write_text("x")
    child = spawn(Command("child", [sys.executable, "-c", CHILD], folder / "child.log", dict(os.environ)), guardian)
    while not (folder / "child.log").read_text().endswith("\\n"):
        time.sleep(0.01)
    print(child.pid, guardian.pid, scratch, flush=True)
    return guardian

if sys.argv[2] == "thread":
    kept = []
    thread = threading.Thread(target=lambda: kept.append(work()))
    thread.start()
    thread.join()
else:
    kept = work()
time.sleep(600)
"""


@pytest.mark.parametrize("where", ["main", "thread"])
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_everything_dies_with_the_harness(tmp_path: Path, ending: signal.Signals, where: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HARNESS, str(tmp_path), where],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as harness:
        assert harness.stdout is not None
        child, guardian, scratch = harness.stdout.readline().split()
        grandchild = (tmp_path / "child.log").read_text().strip()
        pids = [int(pid) for pid in (child, grandchild, guardian)]
        assert all(_runs(pid) for pid in pids)
        assert Path(scratch).is_dir()
        # The whole group, as a terminal's Ctrl-C does: servers and guardian are in sessions of their own.
        os.killpg(harness.pid, ending)
        try:
            harness.wait(_DEADLINE_S)
        finally:
            harness.kill()
        _await(lambda: not any(_runs(pid) for pid in pids) and not Path(scratch).exists())


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals are Linux's")
def test_a_child_dies_even_when_the_guardian_was_killed_first(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HARNESS, str(tmp_path), "main"], stdout=subprocess.PIPE, text=True
    ) as harness:
        assert harness.stdout is not None
        child, guardian, _ = harness.stdout.readline().split()
        grandchild = int((tmp_path / "child.log").read_text())
        os.kill(int(guardian), signal.SIGKILL)
        harness.kill()
        harness.wait(_DEADLINE_S)
        _await(lambda: not _runs(int(child)))
        os.kill(grandchild, signal.SIGKILL)


def test_a_server_may_clean_up_before_it_is_killed(tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = (
        "import signal, sys, time\n"
        f"signal.signal(signal.SIGQUIT, lambda *a: (open({str(said)!r}, 'w').write('bye'), sys.exit()))\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True) as server:
        assert server.stdout is not None
        server.stdout.readline()
        with Guardian(tmp_path / "log") as guardian:
            guardian.watch(server.pid, signal.SIGQUIT)
        assert server.wait(_DEADLINE_S) == 0
        assert said.read_text() == "bye"


def test_what_was_forgotten_lives_on(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as survivor:
        with Guardian(tmp_path / "log") as guardian:
            guardian.watch(survivor.pid)
            guardian.remove_at_end(kept)
            guardian.forget(survivor.pid)
            guardian.keep(kept)
        assert survivor.poll() is None
        assert kept.is_dir()
        survivor.kill()


def test_a_later_process_of_the_same_id_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as stranger:
        script = (
            "import sys, signal\n"
            "from slotproof.stack.guardian_process import Watched, end_processes\n"
            "end_processes([Watched(int(sys.argv[1]), signal.SIGKILL, 1)])\n"
        )
        subprocess.run([sys.executable, "-c", script, str(stranger.pid)], check=True, timeout=_DEADLINE_S)
        assert stranger.poll() is None
        stranger.kill()


def test_a_dead_guardian_is_noticed_when_a_process_is_to_be_watched(tmp_path: Path) -> None:
    guardian = Guardian(tmp_path / "log")
    psutil.Process(guardian.pid).kill()
    _await(lambda: not _runs(guardian.pid))
    with pytest.raises(StackError, match="guardian"):
        guardian.watch(os.getpid())
    guardian.forget(1)
    guardian.close()
    guardian.close()


def test_commands_from_many_threads_do_not_mix(tmp_path: Path) -> None:
    folders = [tmp_path / f"{'x' * 200}-{number}" for number in range(40)]
    for folder in folders:
        folder.mkdir()
    with Guardian(tmp_path / "log") as guardian:
        threads = [threading.Thread(target=guardian.remove_at_end, args=(folder,)) for folder in folders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not any(folder.exists() for folder in folders)
    assert (tmp_path / "log").read_text() == ""


def test_an_unknown_command_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown command"):
        obey({"kill": "everything"}, {}, set())


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_marked_processes_are_found_and_killed() -> None:
    mark = f"SLOTPROOF_TEST={os.getpid()}"
    environment = {**os.environ, "SLOTPROOF_TEST": str(os.getpid())}
    with subprocess.Popen(["sleep", "600"], env=environment) as sleeper, subprocess.Popen(["sleep", "600"]) as other:
        _await(lambda: marked(mark) == [sleeper.pid])
        kill_marked(mark)
        assert sleeper.wait(_DEADLINE_S) == -signal.SIGKILL
        assert other.poll() is None
        other.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_start_times_tell_processes_apart() -> None:
    watched: dict[int, Watched] = {}
    obey({"watch": os.getpid(), "signal": 9}, watched, set())
    assert watched[os.getpid()].started == start_time(os.getpid()) is not None
    with subprocess.Popen(["true"]) as gone:
        gone.wait(_DEADLINE_S)
    assert start_time(gone.pid) is None


def test_a_directory_goes_although_files_still_appear_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "busy"
    folder.mkdir()
    stop = threading.Event()

    def write_on() -> None:
        for number in range(20):
            if folder.exists():
                try:
                    (folder / str(number)).write_text("x")
                except FileNotFoundError:
                    return
            stop.wait(0.002)

    writer = threading.Thread(target=write_on)
    writer.start()
    remove_directory(folder)
    stop.set()
    writer.join()
    assert not folder.exists()


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _await(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.01)
