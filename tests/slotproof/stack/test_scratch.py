"""Directories of runs: open to the database's user, gone at the end, swept up after double murder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slotproof.cache import others_may_enter
from slotproof.stack.guardian import Guardian
from slotproof.stack.scratch import make_scratch, remove_scratch, scratch_directory, sweep, temporary_files

_MURDERED = """
import sys
from pathlib import Path
from slotproof.stack.guardian import Guardian
from slotproof.stack.scratch import make_scratch

folder = Path(sys.argv[1])
guardian = Guardian(folder / "log")
print(make_scratch(guardian, "run-", folder), guardian.pid, flush=True)
sys.stdin.read()
"""


def test_a_scratch_directory_is_passable_and_goes(guardian: Guardian) -> None:
    before = os.umask(0o077)
    try:
        with scratch_directory(guardian, "slotproof-test-") as path:
            assert path.parent == temporary_files()
            assert path.stat().st_mode & 0o777 == 0o711
            assert os.geteuid() != 0 or others_may_enter(path)
            (path / "sub").mkdir()
    finally:
        os.umask(before)
    assert not path.exists()


def test_one_that_nobody_removed_goes_with_the_guardian(tmp_path: Path) -> None:
    with Guardian(tmp_path / "log") as guardian:
        path = make_scratch(guardian, "run-", tmp_path)
    assert not path.exists()


def test_a_sweep_takes_only_what_has_no_living_owner(guardian: Guardian, tmp_path: Path) -> None:
    own = make_scratch(guardian, "run-", tmp_path)
    (tmp_path / "strangers").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", _MURDERED, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as harness:
        assert harness.stdout is not None
        left, other_guardian = harness.stdout.readline().split()
        assert sweep(tmp_path) == []
        os.kill(int(other_guardian), signal.SIGKILL)
        harness.kill()
        harness.wait(10)
    end = time.monotonic() + 10
    while sweep(tmp_path) != [Path(left)]:
        assert time.monotonic() < end, "the guardian does not die"
        time.sleep(0.01)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == sorted([own.name, "strangers"])
    remove_scratch(guardian, own)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs a public place")
def test_as_root_a_private_place_for_temporary_files_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert others_may_enter(temporary_files())
