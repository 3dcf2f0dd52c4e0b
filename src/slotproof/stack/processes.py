"""Starting, watching and ending the servers of a stack as child processes.

Each child leads its own session, so a Ctrl-C in the terminal reaches only the harness, which decides. It dies with the
harness in two ways: the guardian, and on Linux a parent-death signal. The kernel ties the latter to the *thread* that
started the child (CONTRACTS.md section 7), so it is set only from the main thread; and after the change of user, which
would clear it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slotproof.errors import StackError
from slotproof.stack.guardian import Guardian

_PR_SET_PDEATHSIG = 1
_TAIL_BYTES = 4000
_POLL_S = 0.01
WANTED_OPEN_FILES = 65_536


@dataclass(frozen=True)
class Command:
    """What to start.

    `log` receives stdout and stderr; `env` is the whole environment but for the guardian's mark; `user` None = our own;
    `stop_signal` asks for an orderly end; `death_signal` is sent when the harness has died.
    """

    name: str
    argv: Sequence[str]
    log: Path
    env: Mapping[str, str]
    pass_fds: Sequence[int] = ()
    stdin: int = subprocess.DEVNULL
    user: pwd.struct_passwd | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL


@dataclass
class Child:
    """A started command."""

    command: Command
    popen: subprocess.Popen[bytes] = field(repr=False)

    @property
    def name(self) -> str:
        return self.command.name

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code (negative: the signal), or None when it still runs after the time."""
        try:
            return self.popen.wait(max(0.0, timeout_s))
        except subprocess.TimeoutExpired:
            return None

    def tail(self) -> list[str]:
        """The last lines of its log."""
        return log_tail(self.command.log)

    def failure(self, what: str) -> StackError:
        """An error about this child that shows the end of its log."""
        tail = self.tail()[-3:]
        return StackError(
            f"{self.name} {what}",
            where=str(self.command.log),
            hint=f"its log ends: {' | '.join(tail)}" if tail else "its log is empty",
        )

    def died(self) -> StackError:
        code = self.popen.poll()
        if code is not None and code < 0:
            return self.failure(f"was killed by {signal.Signals(-code).name}")
        return self.failure(f"ended with code {code}")


def spawn(command: Command, guardian: Guardian) -> Child:
    """Start a command under the guardian's watch. Raises StackError when it cannot be started at all."""
    user = command.user
    try:
        with command.log.open("ab") as log:
            popen = subprocess.Popen(
                list(command.argv),
                stdin=command.stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**command.env, **guardian.mark},
                pass_fds=command.pass_fds,
                start_new_session=True,
                cwd="/",
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
                # Two system calls, no locks, nothing imported: safe after a fork beside other threads.
                preexec_fn=_dies_with_parent(command.death_signal),
            )
    except OSError as failure:
        raise StackError(f"{command.name} could not be started: {failure}", where=command.argv[0]) from failure
    guardian.watch(popen.pid, command.death_signal)
    return Child(command, popen)


def run_to_end(command: Command, guardian: Guardian, until: float) -> Child:
    """Start a command and wait for its end. Raises StackError unless it ends with code 0 before `until`."""
    child = spawn(command, guardian)
    expect_success(child, guardian, until)
    return child


def expect_success(child: Child, guardian: Guardian, until: float) -> None:
    """Wait for a child's end. Raises StackError unless it ends with code 0 before `until` (monotonic seconds)."""
    code = child.wait(until - time.monotonic())
    if code is None:
        end_children([child], guardian, grace_s=0)
        raise child.failure("did not finish in time")
    guardian.forget(child.pid)
    if code != 0:
        raise child.died()


def await_ready(child: Child, probe: Callable[[], bool], until: float) -> None:
    """Ask `probe` until it says yes. Raises StackError when the child dies first or `until` passes."""
    while not probe():
        if not child.alive:
            raise child.died()
        if time.monotonic() >= until:
            raise child.failure("was not ready in time")
        time.sleep(_POLL_S)


def end_children(children: Iterable[Child], guardian: Guardian, grace_s: float) -> None:
    """Ask all to stop, wait at most `grace_s` for all together, kill the rest with their groups."""
    ours = list(children)
    # The id of one that has been reaped before may belong to a stranger by now.
    running = [child for child in ours if child.alive]
    for child in running:
        child.popen.send_signal(child.command.stop_signal)
    end = time.monotonic() + grace_s
    for child in running:
        child.wait(end - time.monotonic())
    for child in running:
        # Also when the child itself has just gone: what it left in its group goes too.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.popen.wait()
    for child in ours:
        guardian.forget(child.pid)


def log_tail(log: Path, lines: int = 6) -> list[str]:
    """The last non-empty lines of a log file; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()][-lines:]


def raise_open_files_limit() -> int:
    """Raise this process's soft limit, which children inherit, as far as allowed; the limit now in force.

    A thousand calls hold several connections each; a hard limit cannot be raised even by root in a container
    (FACTS-stack.md section 5).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_OPEN_FILES if hard == resource.RLIM_INFINITY else min(WANTED_OPEN_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def _dies_with_parent(signum: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    # Looked up before the fork: the child must not load libraries.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def set_parent_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return set_parent_death_signal
