"""The harness's end of the guardian: starts `guardian_process.py` and tells it what to end and remove."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from slotproof.errors import StackError
from slotproof.stack import guardian_process


class Guardian:
    """Ends the watched processes and removes the named directories when this process dies, even by SIGKILL.

    One process, started by `__init__`; `close` ends it, which carries out what it still knows. Commands may be given
    from any thread. A process must lead its own process group (`start_new_session=True`) and have `mark` in its
    environment, by which its offspring is found.
    """

    def __init__(self, log: Path) -> None:
        self.mark = {"SLOTPROOF_GUARDIAN": secrets.token_hex(16)}
        """One environment variable."""
        mark = "=".join(*self.mark.items())
        with log.open("ab") as errors:
            # Isolated and without site-packages: it starts in milliseconds and nothing can be injected.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian_process.__file__, mark],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                cwd="/",
            )
        assert self._process.stdin is not None
        self._commands = self._process.stdin.fileno()

    @property
    def pid(self) -> int:
        return self._process.pid

    def watch(self, pid: int, signum: signal.Signals = signal.SIGKILL) -> None:
        """From now on this process group dies with the harness; `signum` comes first, SIGKILL after a second."""
        self._tell({"watch": pid, "signal": int(signum)})

    def forget(self, pid: int) -> None:
        """The process has ended and its id may be used again."""
        # A guardian that has died has nothing to forget.
        with contextlib.suppress(StackError):
            self._tell({"forget": pid})

    def remove_at_end(self, directory: Path) -> None:
        self._tell({"remove": str(directory)})

    def keep(self, directory: Path) -> None:
        """The directory has been removed."""
        with contextlib.suppress(StackError):
            self._tell({"keep": str(directory)})

    def close(self, timeout_s: float = 10.0) -> None:
        """Let it carry out what it still knows, and wait for its end. Idempotent."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _tell(self, command: dict[str, int | str]) -> None:
        try:
            # One write below PIPE_BUF is atomic: commands of several threads do not mix.
            os.write(self._commands, json.dumps(command).encode() + b"\n")
        except BrokenPipeError:
            raise StackError(
                "the guardian process has died",
                hint="something outside slotproof killed it; servers would survive the harness: start again",
            ) from None
