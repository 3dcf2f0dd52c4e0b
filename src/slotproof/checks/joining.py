"""Which booking a ledger row belongs to (CONTRACTS.md section 1, "the key that joins").

In this order: by the request stored on the row; by the booking id that a reply named; by (call_ref, person, range);
by (phone, person, range), where other rows taught whose phone it is; by lineage, that is by the calendar uid that a
row shares with a joined one or that it replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from slotproof.checks.requests import Request
from slotproof.checks.rows import Row
from slotproof.record.schemas import Kind, Outcome

Family = tuple[str, int | str]
"""Identity of rows that no request claims: ("request", number that nobody sent), or ("uid", first uid of its line)."""


def booking_roots(requests: Mapping[int, Request]) -> dict[int, int]:
    """Request number -> number of the book request that it is about; without those whose booking is not known."""
    roots: dict[int, int] = {}
    for number in requests:
        path: list[int] = []
        at: int | None = number
        while at is not None and at in requests and at not in path and requests[at].kind != Kind.BOOK:
            path.append(at)
            at = requests[at].booking
        if at is not None and at in requests and requests[at].kind == Kind.BOOK:
            roots[number] = at
    return roots


class Joiner:
    """Knows requests and rows of both sources, and says whose a row is."""

    def __init__(self, requests: Mapping[int, Request], roots: Mapping[int, int], rows: Sequence[Row]) -> None:
        self._requests = requests
        self._roots = roots
        self._replaces = {
            change.uid: change.replaces for row in rows for change in row.changes if change.uid and change.replaces
        }
        self._by_reply: dict[str, int] = {}
        self._by_call: dict[_Key, int] = {}
        self._by_caller: dict[_Key, int] = {}
        if any(_stored_request(row) is None for row in rows):
            self._by_reply = self._index_replies()
            self._by_call, self._by_caller = self._index_callers()
        self._external = self._index_external()
        self.owners = self._join(rows)
        """Row name -> number of the book request that owns it."""

    def family(self, row: Row) -> Family:
        """Identity of a row that has no owner."""
        request = _stored_request(row)
        return ("request", request) if request is not None else ("uid", self._first_uid(_uid(row)) or row.name)

    def _join(self, rows: Sequence[Row]) -> dict[str, int]:
        owners: dict[str, int] = {}
        for row in rows:
            owner = self._directly(row)
            if owner is not None:
                owners[row.name] = owner
        self._join_by_phone(rows, owners)
        self._join_by_lineage(rows, owners)
        return owners

    def _directly(self, row: Row) -> int | None:
        stored = [change.request for change in row.changes if change.request is not None]
        if stored:
            return next((self._roots[request] for request in stored if request in self._roots), None)
        for name in (row.key, *(change.uid for change in row.changes)):
            if name is not None and name in self._by_reply:
                return self._by_reply[name]
        if row.external:
            waiting = self._external.get((row.changes[0].person, row.changes[0].start_s, row.changes[0].end_s))
            return waiting.pop(0) if waiting else None
        return next((self._by_call[key] for key in _call_keys(row) if key in self._by_call), None)

    def _join_by_phone(self, rows: Sequence[Row], owners: dict[str, int]) -> None:
        callers = {
            change.phone: self._requests[owners[row.name]].call
            for row in reversed(rows)
            if row.name in owners
            for change in row.changes
            if change.phone is not None
        }
        for row in _orphans(rows, owners):
            for change in row.changes:
                call = callers.get(change.phone) if change.phone is not None else None
                owner = self._by_caller.get((call, change.person, change.start_s, change.end_s))
                if call is not None and owner is not None:
                    owners[row.name] = owner
                    break

    def _join_by_lineage(self, rows: Sequence[Row], owners: dict[str, int]) -> None:
        claims: dict[str, tuple[int, str]] = {}
        for row in rows:
            first_uid = self._first_uid(_uid(row))
            if first_uid is not None and row.name in owners:
                claim = (row.changes[0].at_ns, row.name)
                claims[first_uid] = min(claim, claims.get(first_uid, claim))
        for row in list(_orphans(rows, owners)):
            first_uid = self._first_uid(_uid(row))
            if first_uid is not None and first_uid in claims:
                owners[row.name] = owners[claims[first_uid][1]]

    def _first_uid(self, uid: str | None) -> str | None:
        """The uid with which the line of reschedules began."""
        seen: set[str] = set()
        while uid is not None and uid in self._replaces and uid not in seen:
            seen.add(uid)
            uid = self._replaces[uid]
        return uid

    def _index_replies(self) -> dict[str, int]:
        named: dict[str, int] = {}
        for number, root in self._roots.items():
            for attempt in self._requests[number].attempts:
                if attempt.external_id is not None:
                    named.setdefault(attempt.external_id, root)
        return named

    def _index_callers(self) -> tuple[dict[_Key, int], dict[_Key, int]]:
        """(call_ref or call, person, range) -> owner; of several requests of one call the one with the best answer."""
        by_ref: dict[_Key, int] = {}
        by_call: dict[_Key, int] = {}
        best: dict[_Key, int] = {}
        for number, root in self._roots.items():
            request = self._requests[number]
            if request.external or request.asked is None or request.kind == Kind.CANCEL:
                continue
            strength = Outcome(request.outcome).strength
            place: _Key = (request.call, request.person, *request.asked)
            if strength > best.get(place, -1):
                best[place] = strength
                by_call[place] = root
                call_ref = request.attempts[0].call_ref
                if call_ref is not None:
                    by_ref[(call_ref, request.person, *request.asked)] = root
        return by_ref, by_call

    def _index_external(self) -> dict[tuple[str | None, int, int], list[int]]:
        waiting: dict[tuple[str | None, int, int], list[int]] = {}
        for number, request in self._requests.items():
            if request.external and request.kind == Kind.BOOK and request.asked is not None:
                waiting.setdefault((request.person, *request.asked), []).append(number)
        return waiting


_Key = tuple[str | int | None, str | None, int, int]


def _call_keys(row: Row) -> Iterator[_Key]:
    for change in row.changes:
        if change.call_ref is not None:
            yield change.call_ref, change.person, change.start_s, change.end_s


def _stored_request(row: Row) -> int | None:
    return next((change.request for change in row.changes if change.request is not None), None)


def _uid(row: Row) -> str | None:
    return next((change.uid for change in row.changes if change.uid is not None), None)


def _orphans(rows: Iterable[Row], owners: Mapping[str, int]) -> Iterator[Row]:
    """Rows that still may find an owner: a stored request that nobody sent is an answer, not a gap."""
    return (row for row in rows if row.name not in owners and not row.external and _stored_request(row) is None)
