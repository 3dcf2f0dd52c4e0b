"""The guardian: a tiny process that outlives the harness by moments, to end what the harness started.

Run by path with the interpreter's isolated mode, so it imports the standard library only. Its one argument is a mark,
`NAME=VALUE`, that every process it cares for has in its environment. It reads commands from standard input, JSON, one
a line:

    {"watch": PID, "signal": N}    end this process group when the harness dies: signal N first, SIGKILL soon after
    {"forget": PID}                it has ended
    {"remove": PATH}               remove this directory when the harness dies
    {"keep": PATH}                 it has been removed

The end of input means that the harness is gone, however it went: the kernel closes the pipe even after SIGKILL
(DESIGN.md section 6). Then the guardian ends and removes everything it knows, and exits. The mark finds what a server
started in a session of its own and left to the init process by dying first (Linux only).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

GRACE_S = 1.0
"""For processes that must clean up themselves, such as PostgreSQL with its shared memory."""
REMOVAL_S = 5.0
_POLL_S = 0.01


@dataclass(frozen=True)
class Watched:
    """`started` (kernel ticks since boot, None without /proc) tells a process from a later one of the same id."""

    pid: int
    signal: int
    started: int | None


def main() -> None:
    # The harness alone decides when the end has come; a Ctrl-C for the terminal's whole group does not.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    watched: dict[int, Watched] = {}
    directories: set[str] = set()
    for line in sys.stdin:
        obey(json.loads(line), watched, directories)
    end_processes(watched.values())
    kill_marked(sys.argv[1])
    for directory in directories:
        remove_directory(Path(directory))


def obey(command: dict[str, int | str], watched: dict[int, Watched], directories: set[str]) -> None:
    match command:
        case {"watch": int(pid), "signal": int(signum)}:
            watched[pid] = Watched(pid, signum, start_time(pid))
        case {"forget": int(pid)}:
            watched.pop(pid, None)
        case {"remove": str(path)}:
            directories.add(path)
        case {"keep": str(path)}:
            directories.discard(path)
        case _:
            raise ValueError(f"unknown command {command}")


def end_processes(watched: Iterable[Watched]) -> None:
    """Send each process group its signal, and SIGKILL to those that are not gone after a moment."""
    doomed = [process for process in watched if _is_ours(process)]
    for process in doomed:
        _signal_group(process.pid, process.signal)
    end = time.monotonic() + GRACE_S
    while any(_is_alive(process) for process in doomed) and time.monotonic() < end:
        time.sleep(_POLL_S)
    for process in doomed:
        _signal_group(process.pid, signal.SIGKILL)


def kill_marked(mark: str) -> None:
    """SIGKILL to every process that was started with `mark` in its environment, until there is none."""
    end = time.monotonic() + GRACE_S
    while (pids := marked(mark)) and time.monotonic() < end:
        for pid in pids:
            _signal(pid, signal.SIGKILL)
        time.sleep(_POLL_S)


def marked(mark: str) -> list[int]:
    """Ids of living processes that were started with `mark` in their environment, from /proc; else empty."""
    return [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if mark.encode() in _read(entry / "environ").split(b"\0")
    ]


def remove_directory(path: Path) -> None:
    """Remove a tree in which dying processes may still create files."""
    end = time.monotonic() + REMOVAL_S
    while path.exists() and time.monotonic() < end:
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():
            time.sleep(_POLL_S)


def start_time(pid: int) -> int | None:
    """When the process was started, in the kernel's ticks since boot; None when it or /proc is missing."""
    fields = _stat_fields(pid)
    return int(fields[19]) if fields else None


def _stat_fields(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the third (state) on; empty when the process or /proc is missing."""
    # The second field, the command in parentheses, may hold anything.
    return _read(Path(f"/proc/{pid}/stat")).rpartition(b")")[2].decode().split()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _is_ours(process: Watched) -> bool:
    """False only when the id is known to belong to another process by now; its group may outlive a process."""
    now = start_time(process.pid)
    return now is None or process.started is None or now == process.started


def _is_alive(process: Watched) -> bool:
    fields = _stat_fields(process.pid)
    if fields:
        return fields[0] not in "ZX" and int(fields[19]) == process.started
    try:
        os.kill(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _signal_group(pid: int, signum: int) -> None:
    try:
        os.killpg(pid, signum)
    except (ProcessLookupError, PermissionError):
        return


def _signal(pid: int, signum: int) -> None:
    try:
        os.kill(pid, signum)
    except (ProcessLookupError, PermissionError):
        return


if __name__ == "__main__":
    main()
