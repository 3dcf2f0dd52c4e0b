"""Whose CPU it was: sessions that come and go stay ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from slotproof.collect.sampler import CpuMeter

_SPIN = "import time\nwhile time.process_time() < {seconds}: pass\n"
_PARENT = """
import subprocess, sys
sys.stdin.readline()
{work}
print("done", flush=True)
sys.stdin.readline()
"""


@contextmanager
def _process(work: str) -> Iterator[subprocess.Popen[str]]:
    """A process that works when it gets a line, and ends when it gets another."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PARENT.format(work=work)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.communicate("\n")


def _work(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"


def test_a_busy_process_is_ours() -> None:
    with _process(_SPIN.format(seconds=0.4)) as process:
        meter = CpuMeter(lambda: {"server": process.pid})
        _work(process)
        figures = meter.read()
    assert figures["server", "cpu_cores"] > 0.1
    assert figures["server", "rss_bytes"] > 1e6
    assert figures["machine", "own_cpu_cores"] == figures["server", "cpu_cores"]


def test_a_child_that_came_and_went_between_two_readings_is_ours() -> None:
    spin = _SPIN.format(seconds=0.4)
    with _process(f"subprocess.run([sys.executable, '-c', {spin!r}], check=True)") as process:
        meter = CpuMeter(lambda: {"server": process.pid})
        _work(process)
        busy = meter.read()
        idle = meter.read()
    assert busy["server", "cpu_cores"] > 0.1
    assert idle["server", "cpu_cores"] < 0.1 + busy["server", "cpu_cores"] / 2


def test_a_root_that_has_ended_spends_nothing() -> None:
    with _process("") as process:
        pid = process.pid
        meter = CpuMeter(lambda: {"server": pid})
    figures = meter.read()
    assert ("server", "cpu_cores") not in figures
    assert figures["machine", "own_cpu_cores"] == 0.0
