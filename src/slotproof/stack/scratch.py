"""Directories that live as long as a run: made so that the database's user can enter, removed even after SIGKILL.

The guardian removes them. Should it be killed together with the harness, the next start does (`sweep`): each directory
says whose it is.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from slotproof.cache import others_may_enter
from slotproof.errors import StackError
from slotproof.stack.guardian import Guardian
from slotproof.stack.guardian_process import remove_directory, start_time
from slotproof.stack.processes import Command

_OWNERS = ".slotproof-owners.json"
"""Process id -> start time (kernel ticks, null without /proc) of those who remove the directory."""


def make_scratch(guardian: Guardian, prefix: str, parent: Path | None = None) -> Path:
    """A new directory below `parent` (default: the system's temporary files), which the guardian removes at the end."""
    path = (parent or temporary_files()) / f"{prefix}{secrets.token_hex(4)}"
    guardian.remove_at_end(path)
    # Others may pass through but not list: the database's user needs to reach its own directory in it.
    path.mkdir(mode=0o711)
    path.chmod(0o711)
    owners = {str(pid): start_time(pid) for pid in (os.getpid(), guardian.pid)}
    (path / _OWNERS).write_text(json.dumps(owners))
    return path


def sweep(parent: Path | None = None) -> list[Path]:
    """Remove what runs of this user left below `parent` when both they and their guardians were killed; its paths."""
    left = [file.parent for file in (parent or temporary_files()).glob(f"*/{_OWNERS}") if _is_left(file)]
    for path in left:
        remove_directory(path)
    return left


def _is_left(file: Path) -> bool:
    try:
        if file.stat().st_uid != os.geteuid():
            return False
        owners: dict[str, int | None] = json.loads(file.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        # Its run is just making or removing it.
        return False
    return not any(psutil.pid_exists(int(pid)) and at in (None, start_time(int(pid))) for pid, at in owners.items())


def remove_scratch(guardian: Guardian, path: Path) -> None:
    """Remove it now. Raises StackError when it cannot be removed."""
    remove_directory(path)
    if path.exists():
        raise StackError("a temporary directory could not be removed", where=str(path), hint="remove it by hand")
    guardian.keep(path)


@contextmanager
def scratch_directory(guardian: Guardian, prefix: str, parent: Path | None = None) -> Iterator[Path]:
    path = make_scratch(guardian, prefix, parent)
    try:
        yield path
    finally:
        remove_scratch(guardian, path)


def copy_command(source: Path, target: Path, log: Path) -> Command:
    """`cp -a`: owners, modes and times stay; `target` must not exist."""
    return Command("cp", ["cp", "-a", str(source), str(target)], log, {"PATH": os.environ.get("PATH", os.defpath)})


def temporary_files() -> Path:
    """The system's directory for temporary files; as root one that the database's user can enter."""
    chosen = Path(tempfile.gettempdir())
    if os.geteuid() != 0:
        return chosen
    public = [path for path in (chosen, Path("/tmp"), Path("/var/tmp")) if path.is_dir() and others_may_enter(path)]
    if not public:
        raise StackError(
            f"the database's user cannot enter {chosen}", hint="set TMPDIR to a directory that everybody may enter"
        )
    return public[0]
