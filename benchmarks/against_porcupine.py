"""The exact checker against porcupine on the same histories, in one run: `python -m benchmarks.against_porcupine`.

Porcupine (a Go module, general for any model) gets the ops without the ledger, since it has none: an unknown outcome
may have happened or not. Each side is a fresh process; porcupine gives up after `--timeout`. Needs Go.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from benchmarks.checker import Cell, measure_command, print_line
from benchmarks.plants import with_double_booking
from benchmarks.run_folders import write_run_folder
from benchmarks.traffic import CANCEL, Load, Traffic, true_traffic

_LOADS = (
    Load(1_000, 1, 4),
    Load(1_000, 1, 16),
    Load(10_000, 1, 4),
    Load(10_000, 1, 64),
    Load(100_000, 100, 16),
    Load(1_000_000, 10_000, 4),
    Load(1_000_000, 10_000, 16),
    Load(1_000_000, 1, 4),
)
_GO = Path(__file__).parent / "porcupine"
_MEMORY_BYTES = 6 * 10**9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--timeout", type=int, default=20, help="seconds after which porcupine gives up")
    timeout_s = parser.parse_args().timeout
    with tempfile.TemporaryDirectory(prefix="slotproof-bench-") as scratch:
        program = Path(scratch) / "porcupine"
        subprocess.run(("go", "build", "-o", str(program), "."), cwd=_GO, check=True)
        print_line(
            "| operations | slots | clients | double booking | porcupine | seconds | slotproof | seconds | ratio |"
        )
        print_line("|---:|---:|---:|---|---|---:|---|---:|---:|")
        for load in _LOADS:
            for planted in (False, True):
                traffic = true_traffic(load)
                traffic = with_double_booking(traffic) if planted else traffic
                print_line(_row(traffic, planted, program, Path(scratch), timeout_s))


def _row(traffic: Traffic, planted: bool, program: Path, scratch: Path, timeout_s: int) -> str:
    load = traffic.load
    verdict, seconds = _porcupine(traffic, program, scratch, timeout_s)
    ours = _slotproof(traffic, scratch)
    ratio = seconds / ours.seconds
    theirs = f"{seconds:.2f}" if verdict in ("Ok", "Illegal") else f"> {seconds:.0f}"
    more = "" if verdict in ("Ok", "Illegal") else "> "
    return (
        f"| {load.ops} | {load.slots} | {load.clients} | {'planted' if planted else 'none'} | {verdict} | {theirs} "
        f"| {ours.verdict} | {ours.seconds:.2f} | {more}{ratio:.1f} |"
    )


def _porcupine(traffic: Traffic, program: Path, scratch: Path, timeout_s: int) -> tuple[str, float]:
    """Its verdict and its own time: reading the history is not counted."""
    ops = traffic.ops
    booking = np.where(ops.kind == CANCEL, ops.booking, ops.request)
    columns = (ops.slot, ops.kind, ops.reply, booking, ops.invoke_ns, ops.complete_ns)
    path = scratch / "history.bin"
    np.column_stack([column.astype("<i8") for column in columns]).tofile(path)
    done = subprocess.run(
        (str(program), "-timeout", f"{timeout_s}s", str(path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=60 + 6 * timeout_s,
        env={**os.environ, "GOMEMLIMIT": f"{_MEMORY_BYTES}B"},
        preexec_fn=_limit_memory,
    )
    if done.returncode:
        return "out of memory", float(timeout_s)
    answer = json.loads(done.stdout)
    return str(answer["verdict"]), float(answer["seconds"])


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))


def _slotproof(traffic: Traffic, scratch: Path) -> Cell:
    """The whole process, from run folder to verdict."""
    folder = scratch / "run"
    write_run_folder(traffic, folder)
    try:
        return measure_command((sys.executable, "-m", "slotproof.cli", "check-history", "--json", str(folder)))
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)


if __name__ == "__main__":
    main()
