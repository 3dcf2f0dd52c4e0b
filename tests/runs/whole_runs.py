"""Whole runs through the command line, on real servers. They take their time; `make test` runs them all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

COMMAND = (sys.executable, "-m", "slotproof.cli")


@dataclass(frozen=True)
class CompletedRun:
    """One ended command, with the run folders that it left, oldest first."""

    exit_code: int
    output: str
    folders: tuple[Path, ...]

    @property
    def folder(self) -> Path:
        assert len(self.folders) == 1, self.output
        return self.folders[0]

    def verdict(self, index: int = 0) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folders[index] / "verdict.json").read_text())
        return document


def start(out: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    """Start a command whose run folders land in `out`."""
    return subprocess.Popen(
        [*COMMAND, *words, *(("--out", str(out)) if words[0] in ("run", "demo") else ())],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "NO_COLOR": "1", **environment},
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], out: Path, timeout_s: float = 240) -> CompletedRun:
    output, _ = process.communicate(timeout=timeout_s)
    return CompletedRun(process.returncode, output, tuple(sorted(out.glob("*/"))) if out.exists() else ())


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {timeout_s} s"
        time.sleep(0.05)


def processes_of(folder: Path) -> list[psutil.Process]:
    """Every process that names the folder on its command line or in its environment."""
    needle = str(folder)
    found = []
    for process in psutil.process_iter():
        try:
            words: Sequence[str] = process.cmdline()
            if any(needle in word for word in words) or any(needle in v for v in process.environ().values()):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.pid != os.getpid()]


def findings(verdict: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [finding for finding in verdict["findings"] if finding["kind"] == kind]


def integrity(verdict: dict[str, Any]) -> list[dict[str, Any]]:
    return [finding for finding in verdict["findings"] if finding["class"] == "integrity"]
