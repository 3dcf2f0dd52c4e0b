"""Ops merged into requests: repeats of one function call are one request (CONTRACTS.md section 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from slotproof.record.schemas import Actor, Kind, Outcome


class Attempt(NamedTuple):
    """One row of the ops table, the columns that integrity needs."""

    op: int
    call: int
    request: int
    actor: str
    kind: str
    outcome: str
    person: str | None
    start_s: int | None
    end_s: int | None
    to_start_s: int | None
    to_end_s: int | None
    booking: int | None
    invoke_ns: int
    complete_ns: int
    call_ref: str | None
    external_id: str | None


_KINDS = pa.array([Kind.BOOK.value, Kind.CANCEL.value, Kind.MOVE.value])
_STRENGTH = {outcome.value: outcome.strength for outcome in Outcome}


class Request(NamedTuple):
    """A logical request with its attempts in order of op number; the first attempt says what was asked.

    `strongest`: the attempt whose outcome is the request's, of equals the one answered first. `invoke_ns`: the
    earliest of its attempts. (A tuple, because there are 10^5 of them.)
    """

    attempts: tuple[Attempt, ...]
    strongest: Attempt
    invoke_ns: int

    @property
    def number(self) -> int:
        return self.attempts[0].request

    @property
    def call(self) -> int:
        return self.attempts[0].call

    @property
    def kind(self) -> str:
        return self.attempts[0].kind

    @property
    def external(self) -> bool:
        return self.attempts[0].actor == Actor.EXTERNAL

    @property
    def person(self) -> str | None:
        return self.attempts[0].person

    @property
    def asked(self) -> tuple[int, int] | None:
        """The range that a book or cancel names, and the target of a move, in UTC seconds; None when it names none."""
        first = self.attempts[0]
        start_s, end_s = (first.to_start_s, first.to_end_s) if first.kind == Kind.MOVE else (first.start_s, first.end_s)
        return None if start_s is None or end_s is None else (start_s, end_s)

    @property
    def booking(self) -> int | None:
        """The request whose booking a cancel or move concerns."""
        return next((attempt.booking for attempt in self.attempts if attempt.booking is not None), None)

    @property
    def outcome(self) -> str:
        return self.strongest.outcome

    @property
    def told_ns(self) -> int | None:
        """When the first `ok` reply arrived."""
        return self.strongest.complete_ns if self.outcome == Outcome.OK else None

    @property
    def may_have_acted(self) -> bool:
        """Not ruled out by its answer: it took effect, or still may."""
        return self.outcome in (Outcome.OK, Outcome.PENDING, Outcome.UNKNOWN)


def merge_requests(ops: pa.Table) -> dict[int, Request]:
    """Requests that book, cancel or move, by request number, in order of their first op."""
    chosen = ops.select(list(Attempt._fields))
    chosen = chosen.filter(pc.is_in(chosen["kind"].cast(pa.string()), _KINDS)).sort_by("op")
    columns = [_values(chosen[name]) for name in Attempt._fields]
    attempts: dict[int, list[Attempt]] = {}
    for attempt in map(Attempt._make, zip(*columns, strict=True)):
        attempts.setdefault(attempt.request, []).append(attempt)
    return {number: _merge(of_request) for number, of_request in attempts.items()}


def _merge(attempts: Sequence[Attempt]) -> Request:
    if len(attempts) == 1:
        return Request((attempts[0],), attempts[0], attempts[0].invoke_ns)
    strongest = min(attempts, key=lambda attempt: (-_STRENGTH[attempt.outcome], attempt.complete_ns, attempt.op))
    return Request(tuple(attempts), strongest, min(attempt.invoke_ns for attempt in attempts))


def _values(column: pa.ChunkedArray) -> Sequence[object]:
    plain = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
    values: list[object] = plain.to_pylist()
    return values
