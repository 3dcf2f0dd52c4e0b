"""Row histories of a ledger: what each row was, and when (CONTRACTS.md section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import pyarrow as pa

from slotproof.record.schemas import Actor, RowState


class Change(NamedTuple):
    """One line of a history. Times are monotonic nanoseconds, ranges UTC seconds."""

    row: str
    uid: str | None
    replaces: str | None
    request: int | None
    call_ref: str | None
    phone: str | None
    person: str
    start_s: int
    end_s: int
    state: str
    actor: str
    at_ns: int
    reason: str | None


class Live(NamedTuple):
    """A time during which a row was live in one range; `to_ns` None = to the end of the history."""

    person: str
    start_s: int
    end_s: int
    from_ns: int
    to_ns: int | None


@dataclass(frozen=True, eq=False)
class Row:
    """One row with its changes, in the order in which they happened."""

    source: str
    changes: tuple[Change, ...]

    @property
    def name(self) -> str:
        """Identity over both sources, as findings name it."""
        return f"{self.source}:{self.changes[0].row}"

    @property
    def key(self) -> str:
        """Identity inside its source."""
        return self.changes[0].row

    @property
    def last(self) -> Change:
        return self.changes[-1]

    @property
    def is_live(self) -> bool:
        """Live at the end of the history."""
        return self.last.state == RowState.LIVE

    @property
    def is_pending(self) -> bool:
        return self.last.state == RowState.PENDING

    @property
    def was_live(self) -> bool:
        return any(change.state == RowState.LIVE for change in self.changes)

    @property
    def external(self) -> bool:
        """Made by somebody who books directly in the calendar."""
        return self.changes[0].actor == Actor.EXTERNAL

    @property
    def range_s(self) -> tuple[int, int]:
        return self.last.start_s, self.last.end_s

    @property
    def live_since_ns(self) -> int:
        """When a row that is live became so in its present range. Only for rows that were live."""
        return self.lives[-1].from_ns

    @cached_property
    def lives(self) -> tuple[Live, ...]:
        lives: list[Live] = []
        begun: Change | None = None
        for change in self.changes:
            live = change.state == RowState.LIVE
            same = begun is not None and (change.person, change.start_s, change.end_s) == (
                begun.person,
                begun.start_s,
                begun.end_s,
            )
            if begun is not None and not (live and same):
                lives.append(Live(begun.person, begun.start_s, begun.end_s, begun.at_ns, change.at_ns))
                begun = None
            if live and begun is None:
                begun = change
        if begun is not None:
            lives.append(Live(begun.person, begun.start_s, begun.end_s, begun.at_ns, None))
        return tuple(lives)


def read_rows(source: str, ledger: pa.Table | None) -> list[Row]:
    """The ledger's rows in order of first appearance; empty when it was not read."""
    if ledger is None:
        return []
    columns = [ledger[name].to_pylist() for name in Change._fields]
    changes: dict[str, list[Change]] = {}
    for change in map(Change._make, zip(*columns, strict=True)):
        changes.setdefault(change.row, []).append(change)
    return [Row(source, tuple(of_row)) for of_row in changes.values()]
