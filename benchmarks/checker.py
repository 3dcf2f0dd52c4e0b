"""How long the exact checker takes, from run folder to verdict: `python -m benchmarks.checker [--ops 1e6 ...]`.

Correct histories over operations x slots x clients x share of unknown outcomes. Each cell is a fresh process that runs
`slotproof check-history RUN`: its whole time and its peak of memory are measured, imports included. Making the folder
is not. The growth exponent is that of the time net of start-up (the same command on a folder of ten ops).
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

OPS = (10**4, 10**5, 10**6, 10**7)
SLOTS = (1, 100, 10_000)
CLIENTS = (4, 16, 64, 256)
UNKNOWN = (0.0, 0.01, 0.05)
TARGETS = {10**6: (1.0, 250.0), 10**7: (10.0, 1100.0)}
"""Operations -> seconds and MB (10^6 bytes) that a cell may take."""
LIMIT_S = 300.0
_GROWTH = (10**5, 10**7)
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Compiled once, as on any user's machine: where a container forbids that, every start-up compiles all modules."""
_COMMAND = (sys.executable, "-m", "slotproof.cli", "check-history", "--json")


class Load(NamedTuple):
    """As in `traffic`, which is made in a process of its own: a child's peak counts its parent's from before."""

    ops: int
    slots: int
    clients: int
    unknown: float


_SMALL = Load(10, 1, 2, 0.0)


@dataclass(frozen=True)
class Cell:
    """One process. `peak_mb`: resident, whole process, in 10^6 bytes. `verdict`: "given up" beyond the limit."""

    seconds: float
    peak_mb: float
    verdict: str
    not_decided: int


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="slotproof-bench-") as scratch:
        started = _measure(_SMALL, Path(scratch), 5, options.limit_s)
        print_line(f"start-up: {started.seconds:.2f} s, {started.peak_mb:.0f} MB\n")
        print_line(
            "| operations | slots | clients | unknown | seconds | ops/s | peak MB | verdict | not decided | target |"
        )
        print_line("|---:|---:|---:|---:|---:|---:|---:|---|---:|---|")
        for slots, clients, unknown in itertools.product(options.slots, options.clients, options.unknown):
            seconds: dict[int, float] = {}
            for ops in options.ops:
                if slots * 10 <= ops:
                    cell = _measure(Load(ops, slots, clients, unknown), Path(scratch), options.repeat, options.limit_s)
                    seconds[ops] = cell.seconds - started.seconds
                    print_line(_row(ops, slots, clients, unknown, cell))
            if set(_GROWTH) <= seconds.keys():
                print_line(
                    f"| growth exponent | {slots} | {clients} | {unknown:.0%} | {_exponent(seconds):.2f} | | | | | |"
                )


def _exponent(net_s: dict[int, float]) -> float:
    low, high = _GROWTH
    return math.log(net_s[high] / max(net_s[low], 1e-3)) / math.log(high / low)


def _row(ops: int, slots: int, clients: int, unknown: float, cell: Cell) -> str:
    limits = TARGETS.get(ops)
    met = "" if limits is None else "met" if cell.seconds <= limits[0] and cell.peak_mb <= limits[1] else "missed"
    return (
        f"| {ops} | {slots} | {clients} | {unknown:.0%} | {cell.seconds:.2f} | {ops / cell.seconds:.0f} "
        f"| {cell.peak_mb:.0f} | {cell.verdict} | {cell.not_decided} of {slots} | {met} |"
    )


def _measure(load: Load, scratch: Path, repeat: int, limit_s: float) -> Cell:
    folder = scratch / "run"
    subprocess.run((sys.executable, "-m", "benchmarks.run_folders", *map(str, load), str(folder)), check=True)
    try:
        cells = (measure_command((*_COMMAND, str(folder)), limit_s) for _ in range(repeat))
        return min(cells, key=lambda cell: cell.seconds)
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)


def measure_command(command: Sequence[str], limit_s: float = LIMIT_S) -> Cell:
    """Run it to its end, or to the limit; what it printed is JSON of `check-history`."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=_ENVIRONMENT)
    given_up = threading.Timer(limit_s, process.kill)
    given_up.start()
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    given_up.cancel()
    peak_mb = usage.ru_maxrss * 1024 / 1e6
    if os.waitstatus_to_exitcode(status) == -signal.SIGKILL:
        return Cell(seconds, peak_mb, "given up", 0)
    answer = json.loads(printed)
    resources = {each["resource"] for each in answer["not_decided"] if each["resource"] not in ("ledger", "exercised")}
    return Cell(seconds, peak_mb, answer["verdict"], len(resources))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ops", type=_counts, default=OPS, help="comma list, 1e6 allowed")
    parser.add_argument("--slots", type=_counts, default=SLOTS)
    parser.add_argument("--clients", type=_counts, default=CLIENTS)
    parser.add_argument("--unknown", type=_shares, default=UNKNOWN)
    parser.add_argument("--repeat", type=int, default=1, help="runs of each cell; the fastest counts")
    parser.add_argument("--limit-s", type=float, default=LIMIT_S, help="a cell that takes longer is given up")
    return parser.parse_args()


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(float(part)) for part in text.split(","))


def _shares(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
