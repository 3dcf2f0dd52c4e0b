"""A record turned into bookings: what callers were told, what both ledgers say, and how each may have ended.

All checks of integrity work on this (CONTRACTS.md section 3, CHECKER.md section 2). Pure; no trace, no plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from slotproof.checks.base import Undecided
from slotproof.checks.collector import collector_paused
from slotproof.checks.joining import Family, Joiner, booking_roots
from slotproof.checks.requests import Request, merge_requests
from slotproof.checks.rows import Row, read_rows
from slotproof.record.events import Phase, PhaseEvent
from slotproof.record.record import Record
from slotproof.record.schemas import Kind, Outcome

Range = tuple[int, int]
SOURCES = ("database", "calendar")


class Told(NamedTuple):
    """A time during which a caller had been told that a range is theirs; `to_ns` None = it never ended."""

    person: str
    start_s: int
    end_s: int
    from_ns: int
    to_ns: int | None
    op: int


@dataclass(eq=False, slots=True)
class Booking:
    """One booking: the request that asked for it (None: nobody did), what its caller did later, and its rows.

    `told`: CONTRACTS.md section 3.1, in order of time. `for_others`: rows that name another call. A value
    like the frozen ones, but cheap: there are 10^5 of them.
    """

    index: int
    request: Request | None
    cancels: tuple[Request, ...]
    moves: tuple[Request, ...]
    told: tuple[Told, ...]
    database: tuple[Row, ...]
    calendar: tuple[Row, ...]
    for_others: tuple[Row, ...] = ()

    @property
    def rows(self) -> tuple[Row, ...]:
        return self.database + self.calendar

    @property
    def number(self) -> int | None:
        return self.request.number if self.request else None

    @property
    def person(self) -> str:
        if self.request is not None and self.request.person is not None:
            return self.request.person
        return self.rows[0].last.person if self.rows else ""

    @property
    def external(self) -> bool:
        """Made by somebody who books directly in the calendar."""
        return self.request.external if self.request else all(row.external for row in self.rows)

    @property
    def outcome(self) -> str | None:
        return self.request.outcome if self.request else None

    @property
    def confirmed(self) -> bool:
        """Its caller was told that it stands, by the booking's own reply or by a move's."""
        return bool(self.told)

    @property
    def refused(self) -> bool:
        """Its caller was told that nothing was booked."""
        return self.outcome in (Outcome.TAKEN, Outcome.NOT_HELD, Outcome.NONE) and not self.confirmed

    @property
    def cancelled(self) -> bool:
        """Its caller was told that it is cancelled: it must not stand."""
        return any(cancel.outcome == Outcome.OK for cancel in self.cancels)

    @property
    def may_be_cancelled(self) -> bool:
        """Its caller cancelled, or may have: the answer was `ok`, `pending` or lost."""
        return any(cancel.may_have_acted for cancel in self.cancels)

    @property
    def possible_ranges(self) -> frozenset[Range]:
        """The ranges in which the booking may stand at rest, as far as its caller knows.

        A confirmed move supersedes the first range and every earlier confirmed one; a pending or unknown move may
        take effect at any later time, or never (CHECKER.md section 1).
        """
        if self.request is None:
            return frozenset(row.range_s for row in self.rows)
        acting = [move for move in self.moves if move.may_have_acted]
        certain = [move for move in acting if move.told_ns is not None]
        ranges = {
            move.asked
            for move in acting
            if move.told_ns is None or not any(later.invoke_ns > move.told_ns for later in certain)
        }
        if not certain:
            ranges.add(self.request.asked)
        return frozenset(asked for asked in ranges if asked is not None)

    def live(self, source: str) -> list[Row]:
        """Its rows of "database" or "calendar" that are live at the end of the history."""
        return [row for row in (self.database if source == "database" else self.calendar) if row.is_live]

    @property
    def live_rows(self) -> list[Row]:
        return [row for row in self.rows if row.is_live]

    def stands_as_told(self, row: Row) -> bool:
        """Whether the row has a range that the caller may expect, with the right person and attendee."""
        return row.range_s in self.possible_ranges and row.last.person == self.person and self.same_attendee(row)

    def same_attendee(self, row: Row) -> bool:
        """False when the row names another known call than the one that asked."""
        return row not in self.for_others


@dataclass(frozen=True, eq=False)
class Resolved:
    """All bookings of a record: those of callers in order of their first op, then rows that nobody asked for.

    `undecided` says why nothing can be said about the state at rest; empty when it can.
    """

    record: Record
    bookings: Sequence[Booking]
    undecided: tuple[Undecided, ...]
    rest_ns: int

    @property
    def at_rest(self) -> bool:
        return not self.undecided

    @property
    def histories_known(self) -> bool:
        """All that callers did and all that both ledgers went through is known, whether or not it came to rest."""
        record = self.record
        return record.ops_complete and record.database is not None and record.calendar is not None


_LATEST: list[Resolved] = []


def resolve(record: Record) -> Resolved:
    """The record's bookings. The record asked for last is kept, so that several checks of one record share the work."""
    for resolved in _LATEST:
        if resolved.record is record:
            return resolved
    with collector_paused():
        resolved = _resolve(record)
    _LATEST[:] = [resolved]
    return resolved


def _resolve(record: Record) -> Resolved:
    requests = merge_requests(record.ops)
    rows = [*read_rows("database", record.database), *read_rows("calendar", record.calendar)]
    roots = booking_roots(requests)
    joiner = Joiner(requests, roots, rows)
    later = _by_booking(requests, roots)
    owned: dict[int, list[Row]] = {}
    orphans: dict[Family, list[Row]] = {}
    for row in rows:
        owner = joiner.owners.get(row.name)
        if owner is None:
            orphans.setdefault(joiner.family(row), []).append(row)
        else:
            owned.setdefault(owner, []).append(row)
    calls = {request.attempts[0].call_ref for request in requests.values()}
    bookings: list[Booking] = []
    for request in requests.values():
        if request.kind == Kind.BOOK:
            number = request.number
            bookings.append(_booking(len(bookings), request, later.get(number, ()), owned.get(number, ()), calls))
    for of_family in orphans.values():
        bookings.append(_booking(len(bookings), None, (), of_family, calls))
    return Resolved(
        record=record,
        bookings=tuple(bookings),
        undecided=_undecided(record),
        rest_ns=_rest_ns(record, rows, requests),
    )


def _by_booking(requests: Mapping[int, Request], roots: Mapping[int, int]) -> dict[int, list[Request]]:
    """Book request -> the cancels and moves that concern its booking, in order of their invocation."""
    later: dict[int, list[Request]] = {}
    for number, root in roots.items():
        if number != root:
            later.setdefault(root, []).append(requests[number])
    for of_booking in later.values():
        of_booking.sort(key=lambda request: (request.invoke_ns, request.number))
    return later


def _booking(
    index: int, request: Request | None, later: Sequence[Request], rows: Sequence[Row], calls: Set[str | None]
) -> Booking:
    moves = tuple(each for each in later if each.kind == Kind.MOVE) if later else ()
    return Booking(
        index=index,
        request=request,
        cancels=tuple(each for each in later if each.kind == Kind.CANCEL) if later else (),
        moves=moves,
        told=_told(request, later, moves) if request is not None else (),
        database=tuple(row for row in rows if row.source == "database") if rows else (),
        calendar=tuple(row for row in rows if row.source == "calendar") if rows else (),
        for_others=_for_others(request, rows, calls) if request is not None and rows else (),
    )


def _for_others(request: Request, rows: Sequence[Row], calls: Set[str | None]) -> tuple[Row, ...]:
    """A call_ref that no caller used says nothing: the target may name calls in its own way."""
    own = request.attempts[0].call_ref
    named = ((row, row.last.call_ref) for row in rows)
    return tuple(row for row, ref in named if own is not None and ref is not None and ref != own and ref in calls)


def _told(request: Request, later: Sequence[Request], moves: Sequence[Request]) -> tuple[Told, ...]:
    """From each first `ok` reply until the caller invokes the next cancel or move.

    One that was definitely refused and left the booking standing (`none`, `taken`) does not end it; `not_held` does,
    since the caller was told that there is no booking. A span is empty where its end, invoked while the reply was
    still on its way, comes first.
    """
    spans = []
    for source in (request, *moves):
        if source.told_ns is None or source.asked is None:
            continue
        ends = (
            each.invoke_ns
            for each in later
            if each is not source
            and each.invoke_ns > source.invoke_ns
            and (each.may_have_acted or each.outcome == Outcome.NOT_HELD)
        )
        to_ns = min(ends, default=None)
        spans.append(Told(request.person or "", *source.asked, source.told_ns, to_ns, source.strongest.op))
    return tuple(sorted(spans, key=lambda span: span.from_ns)) if len(spans) > 1 else tuple(spans)


def _undecided(record: Record) -> tuple[Undecided, ...]:
    """Why the state at rest is not known (CONTRACTS.md section 3, at the end)."""
    gaps = [
        Undecided(source, f"the history of the {source} was not read to its end")
        for source, ledger in (("database", record.database), ("calendar", record.calendar))
        if ledger is None
    ]
    if not record.ops_complete:
        gaps.append(Undecided("ops", "a file of ops lacks its end marker: what is missing in it is not known"))
    rest = next((event for event in record.phases if event.phase is Phase.QUIESCENT), None)
    if rest is None:
        gaps.append(Undecided("rest", "the run ended before the system had come to rest"))
    elif not came_to_rest(rest):
        gaps.append(
            Undecided("rest", f"the system did not come to rest: {rest.details.get('why') or 'no reason told'}")
        )
    return tuple(gaps)


def came_to_rest(quiescent: PhaseEvent) -> bool:
    """Quiet, or stuck: rows that stay as they are while nothing runs may be judged, rows in motion may not."""
    details = quiescent.details
    return bool(details.get("quiet") or details.get("stable")) or "stuck" in str(details.get("why", ""))


def _rest_ns(record: Record, rows: Sequence[Row], requests: Mapping[int, Request]) -> int:
    """The end of what is known of the rows: until then a live row has stayed live."""
    known = record.phase_ns(Phase.QUIESCENT)
    seen = [row.last.at_ns for row in rows]
    if known is None:
        seen.extend(attempt.complete_ns for request in requests.values() for attempt in request.attempts)
    return max([*seen, record.load_started_ns if known is None else known])
