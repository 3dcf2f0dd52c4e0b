"""The harness's side of the load: starts the workers, gives the go, reads what they say, stops them.

No gevent in here: the harness is plain Python with a few threads (DESIGN.md section 4).
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, Protocol, Self

from slotproof.errors import StackError
from slotproof.load import messages
from slotproof.load.messages import Done, Go, Stats
from slotproof.run_folder import RunFolder
from slotproof.system import System

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0


class Spawn(Protocol):
    """Starts a child in a session of its own, that does not outlive the harness; a text-mode Popen."""

    def __call__(self, name: str, args: Sequence[str], **popen_kwargs: Any) -> subprocess.Popen[str]: ...


def spawn_plainly(name: str, args: Sequence[str], **popen_kwargs: Any) -> subprocess.Popen[str]:
    """The default: what a worker that loses its harness does by itself (its stdin ends) is all the protection."""
    return subprocess.Popen(list(args), start_new_session=True, **popen_kwargs)


@dataclass(frozen=True)
class LostWorker:
    """A worker that ended otherwise than it should; its share of the load is missing or not to be trusted."""

    worker: int
    exit_code: int
    why: str


@dataclass(frozen=True)
class _Said:
    """One line of a worker; None when its stdout ended."""

    worker: int
    line: str | None


@dataclass
class _Process:
    popen: subprocess.Popen[str]
    reader: threading.Thread
    ready: bool = False
    ended: bool = False
    done: Done | None = None
    latest: Stats | None = None


class LoadSupervisor:
    """Use: `start`, `wait_ready`, `go`, then `poll` about once a second until `finished`; `close` in any case.

    `start` belongs in the main thread: a child that dies with its parent dies with the thread that started it.
    """

    def __init__(
        self,
        folder: RunFolder,
        workers: int,
        spawn: Spawn = spawn_plainly,
    ) -> None:
        self._folder = folder
        self._workers = workers
        self._spawn = spawn
        self._processes: dict[int, _Process] = {}
        self._said: queue.Queue[_Said] = queue.Queue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start all workers. Their stderr goes to `logs/load-NN.log`."""
        for worker in range(self._workers):
            self._processes[worker] = self._start_one(worker)

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Raises StackError when a worker is not ready in time or ends before it is."""
        deadline_s = time.monotonic() + timeout_s
        while not all(process.ready for process in self._processes.values()):
            said = self._next(deadline_s - time.monotonic())
            if said is None:
                missing = ", ".join(str(worker) for worker, process in self._processes.items() if not process.ready)
                raise StackError(f"load worker {missing} was not ready within {timeout_s:g} s", hint=self._log_hint())
            self._take(said)
            if self._processes[said.worker].ended:
                raise StackError(
                    f"load worker {said.worker} ended before it was ready: {self._last_words(said.worker)}",
                    hint=self._log_hint(),
                )

    def go(self, t0_ns: int, system: System) -> None:
        """Begin: the first call's arrival counts from this monotonic instant, best a little in the future."""
        control = system.retell_control.url if system.retell_control else None
        self._tell(messages.go_line(Go(t0_ns, system.service.url, system.retell_api_key, control)))

    def poll(self, timeout_s: float) -> list[tuple[int, Stats]]:
        """What the workers said since the last poll, as (worker, stats); waits at most that long for the first."""
        news: list[tuple[int, Stats]] = []
        said = self._next(timeout_s)
        while said is not None:
            stats = self._take(said)
            if stats is not None:
                news.append((said.worker, stats))
            said = self._next(0)
        return news

    def stop(self) -> None:
        """Ask all workers to end; they write their records to the end first. Does not wait."""
        self._tell(messages.stop_line())

    def hang_up(self) -> None:
        """Close the pipes to the workers: they stop at once, as when the harness had died. Does not wait."""
        for process in self._processes.values():
            if process.popen.stdin is not None:
                _close(process.popen.stdin)

    def wait_finished(self, timeout_s: float) -> bool:
        """Whether all workers ended within the time; their last stats are taken on the way."""
        deadline_s = time.monotonic() + timeout_s
        while not self.finished and (remaining_s := deadline_s - time.monotonic()) > 0:
            self.poll(remaining_s)
        return self.finished

    def close(self) -> None:
        """End whatever still runs, the hard way if it must be. Safe to call twice."""
        if not self.finished:
            self.stop()
            self.wait_finished(STOP_TIMEOUT_S)
        for process in self._processes.values():
            if process.popen.poll() is None:
                process.popen.kill()
            process.popen.wait()
            process.reader.join()
            for pipe in (process.popen.stdin, process.popen.stdout):
                if pipe is not None:
                    _close(pipe)

    @property
    def finished(self) -> bool:
        return all(process.ended for process in self._processes.values())

    @property
    def latest(self) -> Mapping[int, Stats]:
        """Each worker's last stats; absent before its first."""
        return {worker: process.latest for worker, process in self._processes.items() if process.latest is not None}

    def totals(self) -> Mapping[str, float]:
        """The latest stats of all workers together: sums of counts, the worst of lags; zeros before the first."""
        return Stats.total(self.latest.values())

    @property
    def done(self) -> Mapping[int, Done]:
        """What each worker that came to its end has counted."""
        return {worker: process.done for worker, process in self._processes.items() if process.done is not None}

    @property
    def lost(self) -> tuple[LostWorker, ...]:
        """Workers that ended with an error, or without having said that they were done."""
        return tuple(
            LostWorker(worker, process.popen.wait(), self._last_words(worker))
            for worker, process in self._processes.items()
            if process.ended and (process.done is None or process.popen.wait() != 0)
        )

    @property
    def pids(self) -> Mapping[int, int]:
        return {worker: process.popen.pid for worker, process in self._processes.items()}

    def _start_one(self, worker: int) -> _Process:
        args = [sys.executable, "-m", "slotproof.load.worker", str(self._folder.path), str(worker)]
        with self._log_path(worker).open("ab") as log:
            popen = self._spawn(
                f"load-{worker:02d}",
                args,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        reader = threading.Thread(target=self._read, args=(worker, popen), name=f"load-{worker:02d}", daemon=True)
        reader.start()
        return _Process(popen, reader)

    def _read(self, worker: int, popen: subprocess.Popen[str]) -> None:
        for line in popen.stdout or ():
            self._said.put(_Said(worker, line))
        self._said.put(_Said(worker, None))

    def _next(self, timeout_s: float) -> _Said | None:
        try:
            return self._said.get(timeout=timeout_s) if timeout_s > 0 else self._said.get_nowait()
        except queue.Empty:
            return None

    def _take(self, said: _Said) -> Stats | None:
        process = self._processes[said.worker]
        if said.line is None:
            process.ended = True
            return None
        message = messages.parse(said.line)
        event = message.get("event")
        if event == messages.READY:
            process.ready = True
        elif event == messages.DONE:
            process.done = Done(**_known(Done, message))
        elif event == messages.STATS:
            process.latest = Stats(**_known(Stats, message))
            return process.latest
        return None

    def _tell(self, line: str) -> None:
        """To every worker that still listens; one that does not is found by `lost`."""
        for process in self._processes.values():
            if process.popen.stdin is None or process.popen.stdin.closed:
                continue
            try:
                process.popen.stdin.write(line)
                process.popen.stdin.flush()
            except BrokenPipeError:
                _close(process.popen.stdin)

    def _log_path(self, worker: int) -> Path:
        return self._folder.logs / f"load-{worker:02d}.log"

    def _log_hint(self) -> str:
        return f"see {self._folder.logs / 'load-*.log'}"

    def _last_words(self, worker: int) -> str:
        lines = self._log_path(worker).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _known(model: type[Any], message: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: message[field.name] for field in fields(model)}


def _close(pipe: IO[str]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        return  # what was still buffered has no reader any more; the descriptor is closed all the same
