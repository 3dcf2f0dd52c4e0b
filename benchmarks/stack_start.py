"""How long from nothing to a system that answers, warm: the embedded stack started and stopped N times.

    python benchmarks/stack_start.py [N]         default 5

The first start on a machine builds Toxiproxy and prepares the database; it is shown apart.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from slotproof.plan.scenario import Options
from slotproof.plan.world import default_anchor, make_world
from slotproof.stack.embedded import EmbeddedStack, StackSettings


def start_and_stop() -> tuple[float, float]:
    """(seconds to start, seconds to stop)"""
    with tempfile.TemporaryDirectory() as scratch:
        run_dir = Path(scratch)
        world = run_dir / "world.json"
        make_world(Options(), 7, default_anchor(datetime.now(UTC).date())).save(world)
        settings = StackSettings(run_dir, world, flaws=frozenset(), time_scale=10, seed=7)
        began = time.perf_counter()
        stack = EmbeddedStack(settings)
        try:
            stack.start()
            started = time.perf_counter()
        finally:
            stack.stop()
        return started - began, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("times", type=int, nargs="?", default=5)
    times = parser.parse_args().times
    first, _ = start_and_stop()
    starts, stops = zip(*(start_and_stop() for _ in range(times)), strict=True)
    print(f"first start {first:.2f} s")  # noqa: T201
    for name, seconds in (("start", starts), ("stop", stops)):
        print(f"{name:<6} min {min(seconds):.2f}  median {statistics.median(seconds):.2f}  max {max(seconds):.2f} s")  # noqa: T201


if __name__ == "__main__":
    main()
