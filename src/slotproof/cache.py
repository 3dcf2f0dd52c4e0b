"""Where slotproof keeps what is made once and used by many runs: servers' binaries, a prepared database.

Order (CONTRACTS.md section 6): `$SLOTPROOF_CACHE`, else the XDG cache directory, else inside the Python environment;
last, a private directory among the temporary files, for a user with neither a home nor a writable environment.
Everything in a cache may be deleted at any time between runs; it is made again.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from slotproof.errors import MissingPartError, StackError

_SYSTEM_CACHE = Path("/var/cache/slotproof")


def cache_dir() -> Path:
    """The cache directory of this user, made if need be. Raises MissingPartError when no place is writable."""
    named = os.environ.get("SLOTPROOF_CACHE")
    if named:
        chosen = Path(named).expanduser().absolute()
        if not _usable(chosen):
            raise MissingPartError(
                f"the cache directory {chosen} cannot be written",
                where="SLOTPROOF_CACHE",
                hint="name a directory of your own, or unset SLOTPROOF_CACHE",
            )
        return chosen
    return _first_usable([*_defaults(), _private_temp()], lambda path: True)


def cache_dir_for_others() -> Path:
    """A cache directory whose files another user can read and execute.

    As root, PostgreSQL runs as an ordinary user, who cannot enter a home directory of mode 700 (FACTS-stack.md
    section 1). So a directory below such a one is passed over, also when `$SLOTPROOF_CACHE` names it.
    """
    named = os.environ.get("SLOTPROOF_CACHE")
    first = [Path(named).expanduser().absolute()] if named else []
    return _first_usable([*first, *_defaults(), _SYSTEM_CACHE], others_may_enter)


def others_may_enter(path: Path) -> bool:
    """Every directory from the root down to `path` lets everybody pass; parts that do not exist yet count as open."""
    return all(
        parent.stat().st_mode & stat.S_IXOTH for parent in (path.resolve(), *path.resolve().parents) if parent.exists()
    )


@contextmanager
def locked(path: Path, *, timeout_s: float, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold an exclusive lock on `<path>.lock`; `on_wait` is called once when another process holds it.

    The system frees the lock when its holder dies. Raises StackError after `timeout_s`.
    """
    lock_file = path.with_name(f"{path.name}.lock")
    end = time.monotonic() + timeout_s
    with lock_file.open("a") as lock:
        told = False
        while not _try_lock(lock.fileno()):
            if not told:
                on_wait()
                told = True
            if time.monotonic() >= end:
                raise StackError(
                    f"another process has held {lock_file} for more than {timeout_s:g} s",
                    hint="wait for it to finish, or end it, then start again",
                )
            # flock has no form with a timeout, and a signal would not reach a thread.
            time.sleep(0.05)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _defaults() -> list[Path]:
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says that a relative path is to be ignored.
    xdg = Path(base) if Path(base).is_absolute() else _home_cache()
    return [*([xdg / "slotproof"] if xdg else []), Path(sys.prefix) / "var" / "cache" / "slotproof"]


def _home_cache() -> Path | None:
    try:
        home = Path.home()
    except RuntimeError:
        return None
    # A missing home is not ours to make.
    return home / ".cache" if home.is_dir() else None


def _private_temp() -> Path:
    return Path(tempfile.gettempdir()) / f"slotproof-cache-{os.getuid()}"


def _first_usable(candidates: list[Path], suits: Callable[[Path], bool]) -> Path:
    for candidate in candidates:
        if suits(candidate) and _usable(candidate):
            return candidate
    raise MissingPartError(
        f"no directory for the cache is usable (tried {', '.join(map(str, candidates))})",
        hint="set SLOTPROOF_CACHE to a writable directory that every user may enter, such as /var/tmp/slotproof",
    )


def _usable(path: Path) -> bool:
    """Exists or can be made, and is writable; among the temporary files also ours, so that nobody planted it."""
    private = path == _private_temp()
    try:
        for missing in reversed([part for part in (path, *path.parents) if not part.exists()]):
            missing.mkdir(exist_ok=True)
            # Whatever the umask: another user may have to enter (`cache_dir_for_others`).
            missing.chmod(0o700 if private else 0o755)
        owner = path.stat().st_uid
    except OSError:
        return False
    return os.access(path, os.W_OK | os.X_OK) and (owner == os.getuid() or not private)
