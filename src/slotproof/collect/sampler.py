"""Once a second: how busy the machine is, with whom, and what the parts say of themselves (CONTRACTS.md section 2)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil

from slotproof.collect.sources import SourceUnreachableError, calcom_state, service_metrics
from slotproof.record.arrow_files import ArrowWriter
from slotproof.record.schemas import SAMPLES
from slotproof.system import System

_PERIOD_S = 1.0


class CpuMeter:
    """CPU seconds spent between two readings: by the machine, by our own processes, by others, stolen."""

    def __init__(self, roots: Callable[[], Mapping[str, int]]) -> None:
        self._roots = roots
        self._machine = psutil.cpu_times()
        self._own: dict[str, float] = {}
        self._at = time.monotonic()
        self._read_own()

    def read(self) -> dict[tuple[str, str], float]:
        """(source, metric) -> cores used, or bytes of resident memory, since the last reading."""
        before, own_before = self._machine, self._own
        self._machine = psutil.cpu_times()
        now = time.monotonic()
        elapsed, self._at = max(now - self._at, 1e-3), now
        memory = self._read_own()
        figures: dict[tuple[str, str], float] = {}
        own_total = 0.0
        for name, spent in self._own.items():
            used = max(0.0, spent - own_before.get(name, 0.0)) / elapsed
            figures[name, "cpu_cores"] = used
            own_total += used
        for name, resident in memory.items():
            figures[name, "rss_bytes"] = resident
        busy = _busy(self._machine) - _busy(before)
        steal = getattr(self._machine, "steal", 0.0) - getattr(before, "steal", 0.0)
        figures["machine", "busy_cores"] = busy / elapsed
        figures["machine", "own_cpu_cores"] = own_total
        figures["machine", "foreign_cpu_cores"] = max(0.0, busy / elapsed - own_total)
        figures["machine", "steal_cores"] = steal / elapsed
        return figures

    def _read_own(self) -> dict[str, float]:
        """Take the CPU seconds of each root's tree; returns its memory.

        What a child has spent stays in the sum when its parent waits for it: a database's sessions come and go.
        """
        memory: dict[str, float] = {}
        seen: dict[str, float] = {}
        for name, root in self._roots().items():
            for process in _tree(root):
                try:
                    times = process.cpu_times()
                    memory[name] = memory.get(name, 0.0) + process.memory_info().rss
                except psutil.Error:
                    continue  # ended between listing and reading
                # The harness's children are roots of their own, or watched over by others.
                waited_for = 0.0 if root == os.getpid() else times.children_user + times.children_system
                seen[name] = seen.get(name, 0.0) + times.user + times.system + waited_for
        self._own = seen
        return memory


def _tree(root: int) -> Iterable[psutil.Process]:
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)] if root != os.getpid() else [process]
    except psutil.Error:
        return []


def _busy(times: Any) -> float:
    """Busy CPU seconds of the machine; guest time is part of user time already, steal is counted apart."""
    return float(times.user + times.nice + times.system + getattr(times, "irq", 0) + getattr(times, "softirq", 0))


class Sampler:
    """A thread that alone writes samples.arrow; `put` adds figures that others have measured."""

    def __init__(self, path: Path, system: System, roots: Callable[[], Mapping[str, int]]) -> None:
        self._writer = ArrowWriter(path, SAMPLES, "samples")
        self._system = system
        self._meter = CpuMeter(roots)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, source: str, figures: Mapping[str, float], t_ns: int | None = None) -> None:
        """Add figures of one source, written with the next batch."""
        at = time.monotonic_ns() if t_ns is None else t_ns
        with self._lock:
            self._waiting.extend(
                {"t_ns": at, "source": source, "metric": metric, "value": float(value)}
                for metric, value in figures.items()
            )

    def stop(self) -> None:
        """One last sample, end marker, closed file."""
        self._stopping.set()
        self._thread.join()
        self._sample()
        self._writer.close()

    def _run(self) -> None:
        due = time.monotonic() + _PERIOD_S
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            self._sample()
            due += _PERIOD_S

    def _sample(self) -> None:
        grouped: dict[str, dict[str, float]] = {}
        for (source, metric), value in self._meter.read().items():
            grouped.setdefault(source, {})[metric] = value
        for source, figures in grouped.items():
            self.put(source, figures)
        try:
            self.put("service", service_metrics(self._system))
        except SourceUnreachableError:
            self.put("service", {"unreachable": 1.0})
        try:
            self.put("calcom", calcom_state(self._system))
        except SourceUnreachableError:
            self.put("calcom", {"unreachable": 1.0})
        with self._lock:
            rows, self._waiting = self._waiting, []
        self._writer.write(rows)
