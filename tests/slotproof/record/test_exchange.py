"""The exchange format: what is read, and what is refused with line number and reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slotproof.errors import InputFileError
from slotproof.record.exchange import Function, HistoryOp, Reply, RestRow, RestState, read_history

OP: dict[str, Any] = {
    "op": 1,
    "process": 3,
    "resource": "staff-1",
    "f": "book",
    "id": "b1",
    "start": 540,
    "end": 570,
    "invoke_ns": 10,
    "complete_ns": 20,
    "outcome": "ok",
}


def _write(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines), "utf-8")
    return path


def test_a_history_and_its_ledger_are_read(tmp_path: Path) -> None:
    slot = {"op": 2, "f": "free", "invoke_ns": 5, "complete_ns": 6, "outcome": "free"}
    ledger = _write(
        tmp_path / "l.jsonl", {"resource": "staff-1", "id": "b1", "state": "live", "start": 540, "end": 570}
    )
    history = read_history(_write(tmp_path / "h.jsonl", OP, "", slot), ledger)
    assert history.ops == (
        HistoryOp(1, Function.BOOK, Reply.OK, 10, 20, "staff-1", "b1", 540, 570, process=3),
        HistoryOp(2, Function.FREE, Reply.FREE, 5, 6),
    )
    assert history.ledger == (RestRow("staff-1", "b1", RestState.LIVE, 540, 570),)


def test_no_ledger_is_not_an_empty_one(tmp_path: Path) -> None:
    assert read_history(_write(tmp_path / "h.jsonl", OP)).ledger is None


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"outcome": "info"}, '"complete_ns" must be null exactly when "outcome" is "info"'),
        ({"complete_ns": None}, '"complete_ns" must be null exactly when "outcome" is "info"'),
        ({"complete_ns": 9}, '"complete_ns" 9 lies before "invoke_ns" 10'),
        ({"outcome": "not_held"}, '"book" cannot end "not_held"; it can end conflict, info, ok'),
        ({"outcome": "maybe"}, '"outcome" must be one of ok, conflict, not_held, free, busy, info, not "maybe"'),
        ({"f": "steal"}, '"f" must be one of book, cancel, free, move, not "steal"'),
        ({"id": None}, '"book" needs the "id" of its booking'),
        ({"id": 7}, '"id" must be a text, not 7'),
        ({"end": None}, '"start" and "end" must be given together'),
        ({"end": 540}, '"start" 540 must lie before "end" 540'),
        ({"to_start": 1, "to_end": 2}, '"to_start" and "to_end" belong to "move", and only to it'),
        ({"invoke_ns": None}, '"invoke_ns" is missing'),
        ({"invoke_ns": 1.5}, '"invoke_ns" must be an integer, not 1.5'),
        ({"invoke_ns": True}, '"invoke_ns" must be an integer, not true'),
        ({"start": -(2**61)}, f'"start" {-(2**61)} is too large'),
    ],
)
def test_a_line_that_says_something_impossible_is_refused(tmp_path: Path, wrong: dict[str, Any], reason: str) -> None:
    path = _write(tmp_path / "h.jsonl", OP, {**OP, "op": 2, **wrong})
    with pytest.raises(InputFileError) as refused:
        read_history(path)
    assert refused.value.where == f"{path}:2"
    assert refused.value.what == reason
    assert refused.value.exit_code == 2


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    history = _write(tmp_path / "h.jsonl", OP, "[1]", "{", OP)
    ledger = _write(tmp_path / "l.jsonl", {"id": "b1", "state": "gone"}, {"state": "live"})
    with pytest.raises(InputFileError) as refused:
        read_history(history, ledger)
    told = [(problem.file.name, problem.line) for problem in refused.value.problems]
    assert told == [("h.jsonl", 2), ("h.jsonl", 3), ("h.jsonl", 4), ("l.jsonl", 1), ("l.jsonl", 2)]
    assert refused.value.problems[2].what == '"op" 1 was used in line 1 already'


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputFileError, match="cannot be read"):
        read_history(path)
