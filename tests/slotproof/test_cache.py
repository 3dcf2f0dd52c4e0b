"""Where the cache lies, for users with and without a home, and its lock."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from slotproof import cache
from slotproof.errors import MissingPartError, StackError


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache is named; home, environment and temporary files lie in the test's folder."""
    for name in ("SLOTPROOF_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for part in ("home", "venv", "temp"):
        (tmp_path / part).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temp"))


def _block(path: Path) -> None:
    """Make a directory impossible below `path`, for root too."""
    path.write_text("a file")


def test_the_named_directory_wins_and_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTPROOF_CACHE", str(tmp_path / "a" / "b"))
    assert cache.cache_dir() == tmp_path / "a" / "b"
    assert cache.cache_dir().is_dir()


def test_a_named_directory_that_cannot_be_had_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _block(tmp_path / "file")
    monkeypatch.setenv("SLOTPROOF_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(MissingPartError) as refused:
        cache.cache_dir()
    assert refused.value.hint


def test_then_xdg_then_home_then_environment_then_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert cache.cache_dir() == tmp_path / "home" / ".cache" / "slotproof"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_dir() == tmp_path / "xdg" / "slotproof"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "nonexistent"))
    assert cache.cache_dir() == tmp_path / "venv" / "var" / "cache" / "slotproof"
    assert not (tmp_path / "nonexistent").exists()
    (tmp_path / "readonly").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "readonly"))
    private = cache.cache_dir()
    assert private == tmp_path / "temp" / f"slotproof-cache-{os.getuid()}"
    assert private.stat().st_mode & 0o777 == 0o700


def test_others_may_enter_what_is_open_all_the_way() -> None:
    assert cache.others_may_enter(Path("/usr/bin"))
    assert cache.others_may_enter(Path("/usr/not/there"))


def test_a_private_parent_is_passed_over_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setenv("SLOTPROOF_CACHE", str(closed / "cache"))
    assert not cache.others_may_enter(closed / "cache")
    monkeypatch.setattr(cache, "_SYSTEM_CACHE", tmp_path / "system")
    monkeypatch.setattr(cache, "others_may_enter", lambda path: path == tmp_path / "system")
    assert cache.cache_dir_for_others() == tmp_path / "system"
    assert cache.cache_dir() == closed / "cache"


def test_directories_are_open_whatever_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTPROOF_CACHE", str(tmp_path / "a" / "b"))
    before = os.umask(0o077)
    try:
        made = cache.cache_dir()
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (made, made.parent)] == [0o755, 0o755]


def test_a_lock_is_waited_for_and_free_when_its_holder_died(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom slotproof.cache import locked\n"
        "with locked(Path(sys.argv[1]), timeout_s=5):\n    print('held', flush=True)\n    time.sleep(600)\n"
    )
    place = tmp_path / "thing"
    told: list[str] = []
    with subprocess.Popen([sys.executable, "-c", script, str(place)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with (
            pytest.raises(StackError, match="held"),
            cache.locked(place, timeout_s=0.1, on_wait=lambda: told.append("waiting")),
        ):
            pytest.fail("two hold the lock")
        assert told == ["waiting"]
        holder.kill()
        holder.wait(10)
    with cache.locked(place, timeout_s=5):
        pass
