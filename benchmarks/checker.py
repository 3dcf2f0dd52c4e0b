"""How long the exact checker takes: `python -m benchmarks.checker [--largest 100000]`.

Correct histories over operations x slots x clients x share of unknown outcomes. Each cell runs in a process of its own,
so that its peak of memory is its own. Making the history is not counted; reading it from a file is not, either.
"""

from __future__ import annotations

import argparse
import itertools
import math
import multiprocessing
import random
import resource
import sys
import time
from typing import NamedTuple

from tests.slotproof.checks.exact.traffic import Load, true_history

from slotproof.checks.exact import check_history

SLOTS = (1, 100)
CLIENTS = (4, 16, 64)
UNKNOWN = (0.0, 0.05)
_MIB = 1024


class Cell(NamedTuple):
    seconds: float
    peak_mib: float
    verdict: str
    undecided: int


def measure(load: Load) -> Cell:
    """One history in this process. Memory is the whole process's, history included."""
    history = true_history(random.Random(str(load)), load)
    began = time.perf_counter()
    result = check_history(history)
    seconds = time.perf_counter() - began
    return Cell(
        seconds,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MIB,
        str(result.verdict),
        len({each.resource for each in result.not_decided}),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=100_000, help="operations of the largest histories")
    largest = parser.parse_args().largest
    sizes = [10**power for power in range(4, math.floor(math.log10(largest)) + 1)]
    sys.stdout.write("operations  slots  clients  unknown  seconds     ops/s  peak MiB  verdict (slots not decided)\n")
    for slots, clients, unknown in itertools.product(SLOTS, CLIENTS, UNKNOWN):
        times = []
        for size in sizes:
            cell = _apart(Load(ops=size // slots, clients=clients, slots=slots, unknown=unknown))
            times.append(cell.seconds)
            sys.stdout.write(
                f"{size:10}  {slots:5}  {clients:7}  {unknown:7.0%}  {cell.seconds:7.2f}  {size / cell.seconds:8.0f}"
                f"  {cell.peak_mib:8.0f}  {cell.verdict} ({cell.undecided})\n"
            )
            sys.stdout.flush()
        if len(times) > 1:
            exponent = math.log10(times[-1] / times[0]) / (len(times) - 1)
            sys.stdout.write(f"{'growth exponent':>16} {exponent:.2f}\n")


def _apart(load: Load) -> Cell:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (load,))


if __name__ == "__main__":
    main()
