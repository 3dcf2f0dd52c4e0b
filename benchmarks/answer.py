"""How long from the end of a run to its reports: check, judge and report over a run folder of N recorded ops.

    python benchmarks/answer.py [OPS ...]        default 10000 100000

Copies of a real run's ops, shifted in time and numbers, make a folder of the wanted size; then `slotproof report` runs
on it as a fresh process (imports included) and once more inside this warm process (as at the end of a run).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slotproof.evaluate import evaluate
from slotproof.record.arrow_files import ArrowWriter, read_stream
from slotproof.record.schemas import LEDGER, OPS
from slotproof.run_folder import RunFolder

_DAY_S = 86_400
_SHIFTED = ("op", "call", "request", "booking")
_RANGES = ("start_s", "end_s", "to_start_s", "to_end_s")


def enlarge(source: Path, target: Path, ops: int) -> RunFolder:
    """A copy of the run folder with at least `ops` ops: each further copy is about other days and other callers."""
    shutil.copytree(source, target)
    folder = RunFolder.open(target)
    original = read_stream(folder.ops(0), OPS, "ops")
    copies = -(-ops // original.table.num_rows)
    tables = [_shifted(original.table, copy, _SHIFTED) for copy in range(copies)]
    _write(folder.ops(0), OPS, "ops", pa.concat_tables(tables))
    for ledger in folder.ledger.glob("*.arrow"):
        rows = read_stream(ledger, LEDGER, "ledger").table
        _write(ledger, LEDGER, "ledger", pa.concat_tables([_shifted(rows, c, ("request",)) for c in range(copies)]))
    return folder


def _shifted(table: pa.Table, copy: int, identities: tuple[str, ...]) -> pa.Table:
    for name in (*identities, *_RANGES):
        if name in table.column_names:
            by = copy * 400 * _DAY_S if name in _RANGES else copy << 50
            table = table.set_column(
                table.column_names.index(name), table.schema.field(name), pc.add(table[name], np.int64(by))
            )
    for name in ("row", "uid", "replaces", "call_ref", "phone", "external_id"):
        if name in table.column_names and copy:
            column = pc.binary_join_element_wise(table[name], pa.scalar(str(copy)), "-")
            table = table.set_column(table.column_names.index(name), table.schema.field(name), column)
    return table


def _write(path: Path, schema: pa.Schema, name: str, table: pa.Table) -> None:
    writer = ArrowWriter(path, schema, name)
    for batch in table.to_batches(max_chunksize=10_000):
        writer.write(batch.to_pylist())
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a complete run folder to enlarge")
    parser.add_argument("ops", type=int, nargs="*", default=[10_000, 100_000])
    arguments = parser.parse_args()
    print(f"{'ops':>9}  {'fresh process':>14}  {'warm process':>13}")  # noqa: T201
    for ops in arguments.ops:
        with tempfile.TemporaryDirectory() as scratch:
            folder = enlarge(arguments.run, Path(scratch) / "run", ops)
            began = time.perf_counter()
            subprocess.run([sys.executable, "-m", "slotproof.cli", "report", str(folder.path)], check=True)
            fresh_s = time.perf_counter() - began
            evaluate(folder)
            began = time.perf_counter()
            evaluate(folder)
            warm_s = time.perf_counter() - began
            print(f"{ops:>9,}  {fresh_s:>12.2f} s  {warm_s:>11.2f} s")  # noqa: T201


if __name__ == "__main__":
    main()
