"""Writes large traffic as a run folder's record and ledgers, in the very format that a run leaves.

`python -m benchmarks.run_folders OPS SLOTS CLIENTS UNKNOWN FOLDER [--double-booking]`
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from benchmarks.plants import with_double_booking
from benchmarks.traffic import (
    BOOK,
    CANCEL,
    FREE,
    NEVER,
    NOBODY,
    READ,
    Ints,
    Load,
    Ops,
    Rows,
    Traffic,
    true_traffic,
)
from numpy.typing import NDArray

from slotproof.record.schemas import LEDGER, OPS, SCHEMA_VERSION, Kind, Outcome, RowState

_BATCH = 65_536
_PEOPLE = 100
_FIRST_S = 1_803_859_200
_LENGTH_S = 45 * 60
_KINDS = {BOOK: Kind.BOOK, CANCEL: Kind.CANCEL, READ: Kind.AVAILABILITY}
_OUTCOMES = (Outcome.OK, Outcome.TAKEN, Outcome.NOT_HELD, Outcome.OK, Outcome.OK, Outcome.UNKNOWN)
"""By reply of `traffic`. An availability reply that offers nothing claims nothing."""


def write_run_folder(traffic: Traffic, folder: Path) -> None:
    """`record/ops-00.arrow`, `ledger/database.arrow` and `ledger/calendar.arrow`."""
    (folder / "record").mkdir(parents=True)
    (folder / "ledger").mkdir()
    people = min(_PEOPLE, traffic.load.slots)
    _write_ops(traffic.ops, people, folder / "record" / "ops-00.arrow")
    for source, prefix in (("database", "a"), ("calendar", "u")):
        _write_ledger(traffic.rows, people, prefix, folder / "ledger" / f"{source}.arrow")


class _Stream:
    """One stream file with its end marker (CONTRACTS.md section 1)."""

    def __init__(self, path: Path, schema: pa.Schema, name: str) -> None:
        self._schema = schema.with_metadata({b"slotproof.schema": f"{name}/{SCHEMA_VERSION}".encode()})
        self._sink = path.open("wb")
        self._writer = pa.ipc.new_stream(self._sink, self._schema)

    def write(self, columns: Mapping[str, Any], rows: int, total: int | None = None) -> None:
        arrays = [
            columns[field.name] if field.name in columns else pa.nulls(rows, field.type) for field in self._schema
        ]
        marker = None if total is None else {b"slotproof.end_rows": str(total).encode()}
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema), custom_metadata=marker)

    def close(self) -> None:
        self._writer.close()
        self._sink.close()


def _write_ops(ops: Ops, people: int, path: Path) -> None:
    stream = _Stream(path, OPS, "ops")
    for begin in range(0, len(ops), _BATCH):
        part = slice(begin, min(begin + _BATCH, len(ops)))
        stream.write(_op_columns(ops, part, people), part.stop - begin)
    stream.write(_op_columns(ops, slice(0, 0), people), 0, len(ops))
    stream.close()


def _op_columns(ops: Ops, part: slice, people: int) -> dict[str, Any]:
    request, slot, kind, reply = ops.request[part], ops.slot[part], ops.kind[part], ops.reply[part]
    start = _start_s(slot, people)
    free = (kind == READ) & (reply == FREE)
    offsets = np.concatenate([[0], np.cumsum(free)]).astype(np.int32)
    words = list(dict.fromkeys(_OUTCOMES))
    outcome = np.array([words.index(word) for word in _OUTCOMES])
    rows = len(request)
    return {
        "op": pa.array(request),
        "call": pa.array(request),
        "request": pa.array(request),
        "attempt": pa.array(np.ones(rows, np.int16)),
        "process": pa.array(ops.process[part].astype(np.int32)),
        "actor": _words(np.zeros(rows, np.int32), ["caller"]),
        "kind": _words(kind, [str(_KINDS[code]) for code in sorted(_KINDS)]),
        "outcome": _words(outcome[reply], [str(word) for word in words]),
        "person": _words(slot % people, [str(number + 1) for number in range(people)]),
        "start_s": pa.array(start),
        "end_s": pa.array(start + _LENGTH_S),
        "offered_start_s": pa.ListArray.from_arrays(pa.array(offsets), pa.array(start[free])),
        "booking": pa.array(ops.booking[part], mask=ops.booking[part] == NOBODY),
        "intended_ns": pa.array(ops.invoke_ns[part]),
        "invoke_ns": pa.array(ops.invoke_ns[part]),
        "complete_ns": pa.array(ops.complete_ns[part]),
    }


def _words(codes: NDArray[Any], words: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(words, pa.string()))


def _start_s(slot: NDArray[Any], people: int) -> Ints:
    start: Ints = _FIRST_S + (slot // people).astype(np.int64) * _LENGTH_S
    return start


def _write_ledger(rows: Rows, people: int, prefix: str, path: Path) -> None:
    """A live line for each booking and a cancelled one for each that ended, in the order in which they happened."""
    ended = rows.gone_ns != NEVER
    request = np.concatenate([rows.request, rows.request[ended]])
    slot = np.concatenate([rows.slot, rows.slot[ended]])
    at_ns = np.concatenate([rows.live_ns, rows.gone_ns[ended]])
    gone = np.concatenate([np.zeros(len(rows), np.int32), np.ones(int(ended.sum()), np.int32)])
    order = np.argsort(at_ns, kind="stable")
    stream = _Stream(path, LEDGER, "ledger")
    for begin in range(0, len(order) + 1, _BATCH):
        part = order[begin : begin + _BATCH]
        names = [f"{prefix}{number}" for number in request[part].tolist()]
        start = _start_s(slot[part], people)
        columns = {
            "row": pa.array(names, pa.string()),
            "uid": pa.array([f"u{number}" for number in request[part].tolist()], pa.string()),
            "request": pa.array(request[part]),
            "person": pa.array([str(number + 1) for number in (slot[part] % people).tolist()], pa.string()),
            "start_s": pa.array(start),
            "end_s": pa.array(start + _LENGTH_S),
            "state": pa.array([str((RowState.LIVE, RowState.CANCELLED)[code]) for code in gone[part]], pa.string()),
            "actor": pa.array(["caller"] * len(part), pa.string()),
            "at_ns": pa.array(at_ns[part]),
        }
        stream.write(columns, len(part))
    empty = {field.name: pa.array([], field.type) for field in LEDGER}
    stream.write(empty, 0, len(order))
    stream.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, kind in (("ops", int), ("slots", int), ("clients", int), ("unknown", float), ("folder", Path)):
        parser.add_argument(name, type=kind)
    parser.add_argument("--double-booking", action="store_true", help="plant one")
    options = parser.parse_args()
    traffic = true_traffic(Load(options.ops, options.slots, options.clients, options.unknown))
    write_run_folder(with_double_booking(traffic) if options.double_booking else traffic, options.folder)


if __name__ == "__main__":
    main()
