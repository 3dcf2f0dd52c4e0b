"""The exchange format: histories of any tool, one JSON object a line, in any order (CHECKER.md section 6).

A history holds what clients saw; its ledger, a file of its own, holds what the system finally says. Times are integers
of one monotonic clock; ranges are integers of any unit, absent or null when the whole resource is one slot.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from slotproof.errors import InputFileError, InputProblem

MAX_TIME = 2**60
"""Times and ranges lie within ± this, so that the checker has room for its infinities."""
_MAX_PROBLEMS = 20
_T = TypeVar("_T")
_E = TypeVar("_E", bound=StrEnum)


class Function(StrEnum):
    BOOK = "book"
    CANCEL = "cancel"
    FREE = "free"
    MOVE = "move"


class Reply(StrEnum):
    """What the client was told; `info` = it does not know: the op may take effect at any later time, or never."""

    OK = "ok"
    CONFLICT = "conflict"
    NOT_HELD = "not_held"
    FREE = "free"
    BUSY = "busy"
    INFO = "info"


class RestState(StrEnum):
    LIVE = "live"
    CANCELLED = "cancelled"


REPLIES: Mapping[Function, frozenset[Reply]] = {
    Function.BOOK: frozenset({Reply.OK, Reply.CONFLICT, Reply.INFO}),
    Function.CANCEL: frozenset({Reply.OK, Reply.NOT_HELD, Reply.INFO}),
    Function.FREE: frozenset({Reply.FREE, Reply.BUSY, Reply.INFO}),
    Function.MOVE: frozenset({Reply.OK, Reply.CONFLICT, Reply.NOT_HELD, Reply.INFO}),
}


@dataclass(frozen=True, slots=True)
class HistoryOp:
    """One op as its client saw it. `complete_ns` is None exactly when the outcome is `info`."""

    op: int
    function: Function
    outcome: Reply
    invoke_ns: int
    complete_ns: int | None = None
    resource: str = ""
    id: str | None = None
    start: int | None = None
    end: int | None = None
    to_start: int | None = None
    to_end: int | None = None
    process: int = 0


@dataclass(frozen=True, slots=True)
class RestRow:
    """A row of the ledger, read after every fault was healed and every late effect had happened."""

    resource: str
    id: str
    state: RestState
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class History:
    """`ledger` None = it was not read: what is lost or invented, and the state at rest, cannot be decided."""

    ops: tuple[HistoryOp, ...]
    ledger: tuple[RestRow, ...] | None


def read_history(history: Path, ledger: Path | None = None) -> History:
    """Both files, read and checked.

    Raises:
        InputFileError: a line cannot be read or says something impossible; names the line and the reason.
    """
    problems: list[InputProblem] = []
    ops = _read_lines(history, _parse_op, problems)
    _refuse_repeated_numbers(history, ops, problems)
    rows = None if ledger is None else _read_lines(ledger, _parse_row, problems)
    if problems:
        raise InputFileError(problems[:_MAX_PROBLEMS])
    return History(tuple(op for _, op in ops), None if rows is None else tuple(row for _, row in rows))


def _read_lines(
    path: Path, parse: Callable[[Mapping[str, Any]], _T], problems: list[InputProblem]
) -> list[tuple[int, _T]]:
    parsed = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(InputProblem(path, 1, f"cannot be read: {error}"))
        return []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            if not isinstance(value, dict):
                raise _WrongLineError("not a JSON object")
            parsed.append((number, parse(value)))
        except (json.JSONDecodeError, _WrongLineError) as error:
            problems.append(InputProblem(path, number, str(error)))
    return parsed


class _WrongLineError(ValueError):
    """A line says something that the format does not allow."""


def _parse_op(line: Mapping[str, Any]) -> HistoryOp:
    function = _member(line, "f", Function)
    outcome = _member(line, "outcome", Reply)
    if outcome not in REPLIES[function]:
        raise _WrongLineError(f'"{function}" cannot end "{outcome}"; it can end {", ".join(sorted(REPLIES[function]))}')
    op = HistoryOp(
        op=_required(line, "op"),
        function=function,
        outcome=outcome,
        invoke_ns=_required(line, "invoke_ns"),
        complete_ns=_integer(line, "complete_ns"),
        resource=_text(line, "resource") or "",
        id=_text(line, "id"),
        start=_integer(line, "start"),
        end=_integer(line, "end"),
        to_start=_integer(line, "to_start"),
        to_end=_integer(line, "to_end"),
        process=_integer(line, "process") or 0,
    )
    _check_op(op)
    return op


def _check_op(op: HistoryOp) -> None:
    if (op.complete_ns is None) != (op.outcome is Reply.INFO):
        raise _WrongLineError('"complete_ns" must be null exactly when "outcome" is "info"')
    if op.complete_ns is not None and op.complete_ns < op.invoke_ns:
        raise _WrongLineError(f'"complete_ns" {op.complete_ns} lies before "invoke_ns" {op.invoke_ns}')
    if op.id is None and op.function is not Function.FREE:
        raise _WrongLineError(f'"{op.function}" needs the "id" of its booking')
    _check_range("start", op.start, "end", op.end)
    _check_range("to_start", op.to_start, "to_end", op.to_end)
    if (op.to_start is not None) != (op.function is Function.MOVE):
        raise _WrongLineError('"to_start" and "to_end" belong to "move", and only to it')


def _parse_row(line: Mapping[str, Any]) -> RestRow:
    row_id = _text(line, "id")
    if row_id is None:
        raise _WrongLineError('a row needs its "id"')
    start, end = _integer(line, "start"), _integer(line, "end")
    _check_range("start", start, "end", end)
    return RestRow(_text(line, "resource") or "", row_id, _member(line, "state", RestState), start, end)


def _check_range(low: str, start: int | None, high: str, end: int | None) -> None:
    if (start is None) != (end is None):
        raise _WrongLineError(f'"{low}" and "{high}" must be given together')
    if start is not None and end is not None and start >= end:
        raise _WrongLineError(f'"{low}" {start} must lie before "{high}" {end}')


def _required(line: Mapping[str, Any], key: str) -> int:
    value = _integer(line, key)
    if value is None:
        raise _WrongLineError(f'"{key}" is missing')
    return value


def _integer(line: Mapping[str, Any], key: str) -> int | None:
    value = line.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise _WrongLineError(f'"{key}" must be an integer, not {json.dumps(value)}')
    if abs(value) > MAX_TIME:
        raise _WrongLineError(f'"{key}" {value} is too large')
    return value


def _text(line: Mapping[str, Any], key: str) -> str | None:
    value = line.get(key)
    if value is None or isinstance(value, str):
        return value
    raise _WrongLineError(f'"{key}" must be a text, not {json.dumps(value)}')


def _member(line: Mapping[str, Any], key: str, kind: type[_E]) -> _E:
    value = line.get(key)
    try:
        return kind(str(value))
    except ValueError:
        raise _WrongLineError(f'"{key}" must be one of {", ".join(kind)}, not {json.dumps(value)}') from None


def _refuse_repeated_numbers(path: Path, ops: list[tuple[int, HistoryOp]], problems: list[InputProblem]) -> None:
    seen: dict[int, int] = {}
    for line, op in ops:
        first = seen.setdefault(op.op, line)
        if first != line:
            problems.append(InputProblem(path, line, f'"op" {op.op} was used in line {first} already'))
