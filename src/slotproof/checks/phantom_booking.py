"""Nothing stands that nobody holds, and nobody holds a thing twice (CONTRACTS.md sections 3.5 and 3.7).

Phantom: a row live at rest whose request was refused or does not exist. Resurrected: cancelled, then live without a
new request, judged on row histories because a reconciler repairs it by the end. Duplicate: one request, two live
bookings in one source. Claimed twice: one calendar uid, or one booking id in the replies, for two bookings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from slotproof.checks.base import CheckResult, Finding, FindingKind
from slotproof.checks.bookings import SOURCES, Booking, Resolved, resolve
from slotproof.checks.conclude import conclude
from slotproof.checks.requests import Attempt
from slotproof.checks.rows import Change, Row
from slotproof.checks.wording import Wording
from slotproof.record.record import Record
from slotproof.record.schemas import Outcome, RowState


class PhantomBooking:
    name = "phantom_booking"
    kinds = frozenset(
        {
            FindingKind.PHANTOM_BOOKING,
            FindingKind.RESURRECTED_BOOKING,
            FindingKind.DUPLICATE_BOOKING,
            FindingKind.CLAIMED_TWICE,
        }
    )

    def __call__(self, record: Record) -> CheckResult:
        resolved = resolve(record)
        wording = Wording(record)
        findings = list(_claimed_twice(wording, resolved))
        for booking in resolved.bookings:
            if not booking.rows or booking.external:
                continue
            if resolved.at_rest:
                findings.extend(_phantom(wording, booking))
                findings.extend(_duplicates(wording, booking))
            if resolved.histories_known:
                findings.extend(_resurrected(wording, booking))
        return conclude(resolved, findings, resolved.undecided)


def _phantom(wording: Wording, booking: Booking) -> Iterator[Finding]:
    live = booking.live_rows
    if not live or (booking.request is not None and not booking.refused):
        return
    places = wording.places(source for source in SOURCES if booking.live(source))
    request = booking.request
    why = "nobody asked for it" if request is None else f"{wording.caller(booking)} {wording.answer(request)}"
    yield Finding(
        check=PhantomBooking.name,
        kind=FindingKind.PHANTOM_BOOKING,
        resource=live[0].last.person,
        ops=() if request is None else (request.strongest.op,),
        rows=tuple(row.name for row in live),
        bookings=() if request is None else (request.number,),
        at_ns=min(row.live_since_ns for row in live),
        sentence=f"{wording.slot(live[0].last.person, live[0].range_s)}, stands in {places} though {why}",
    )


def _duplicates(wording: Wording, booking: Booking) -> Iterator[Finding]:
    for source in SOURCES:
        live = booking.live(source)
        if len(live) < 2 or booking.request is None:
            continue
        slots = " and ".join(wording.slot(row.last.person, row.range_s) for row in live)
        yield _of_booking(
            booking,
            FindingKind.DUPLICATE_BOOKING,
            live,
            at_ns=sorted(row.live_since_ns for row in live)[1],
            sentence=f"{slots}, stand as {len(live)} bookings in {wording.places([source])}: {wording.caller(booking)} "
            "asked once",
        )


def _resurrected(wording: Wording, booking: Booking) -> Iterator[Finding]:
    """One finding a booking: a row that came back in both sources is one event."""
    returns = [(back, gone, row) for row in booking.rows for gone, back in _returns(booking, row)]
    if not returns:
        return
    back, gone, _ = min(returns, key=lambda each: (each[0].at_ns, each[2].name))
    rows = list(dict.fromkeys(row for _, _, row in returns))
    places = wording.places(sorted({row.source for row in rows}, key=SOURCES.index))
    yield _of_booking(
        booking,
        FindingKind.RESURRECTED_BOOKING,
        rows,
        at_ns=back.at_ns,
        sentence=f"{wording.slot(back.person, (back.start_s, back.end_s))}, came back: cancelled at "
        f"{wording.at(gone.at_ns)}, live again in {places} at {wording.at(back.at_ns)} without a new request",
    )


def _returns(booking: Booking, row: Row) -> Iterator[tuple[Change, Change]]:
    """(cancelled, live again) of a row, unless a request of the same booking, running in between, explains it."""
    gone: Change | None = None
    for change in row.changes:
        if change.state == RowState.CANCELLED:
            gone = change
        elif change.state == RowState.LIVE and gone is not None:
            if change.request == gone.request and not _asked_again(booking, gone, change):
                yield gone, change
            gone = None


def _asked_again(booking: Booking, gone: Change, back: Change) -> bool:
    asking = (booking.request, *booking.moves)
    return any(
        attempt.invoke_ns <= back.at_ns and attempt.complete_ns >= gone.at_ns
        for request in asking
        if request is not None
        for attempt in request.attempts
    )


def _claimed_twice(wording: Wording, resolved: Resolved) -> Iterator[Finding]:
    """By the database's rows first; by replies where those show another pair."""
    found: set[tuple[int, ...]] = set()
    for uid, rows in _claims(resolved).items():
        bookings = [resolved.bookings[index] for index in sorted(rows)]
        found.add(tuple(booking.index for booking in bookings))
        claimed = [row for index in sorted(rows) for row in rows[index]]
        yield _claim_finding(
            wording,
            bookings,
            ops=[booking.request.strongest.op for booking in bookings if booking.request],
            rows=[*(row.name for row in claimed), f"calendar:{uid}"],
            at_ns=sorted(min(row.lives[0].from_ns for row in rows[index]) for index in rows)[1],
        )
    for attempts in _named_twice(resolved):
        bookings = [booking for booking in resolved.bookings if booking.number in {each.request for each in attempts}]
        if tuple(booking.index for booking in bookings) not in found:
            ops = [attempt.op for attempt in attempts]
            at_ns = sorted(attempt.complete_ns for attempt in attempts)[1]
            yield _claim_finding(wording, bookings, ops=ops, rows=[], at_ns=at_ns)


def _claims(resolved: Resolved) -> dict[str, dict[int, list[Row]]]:
    """Calendar uid -> booking index -> its database rows that were live under that uid; two bookings or more."""
    claims: dict[str, dict[int, list[Row]]] = {}
    for booking in resolved.bookings:
        for row in booking.database:
            for uid in {change.uid for change in row.changes if change.state == RowState.LIVE and change.uid}:
                claims.setdefault(uid, {}).setdefault(booking.index, []).append(row)
    return {uid: rows for uid, rows in sorted(claims.items()) if len(rows) > 1}


def _named_twice(resolved: Resolved) -> list[list[Attempt]]:
    """For each booking id that confirmations of different calls named: the first such reply of each request."""
    named: dict[str, dict[int, Attempt]] = {}
    for booking in resolved.bookings:
        for attempt in booking.request.attempts if booking.request and not booking.external else ():
            if attempt.outcome == Outcome.OK and attempt.external_id is not None:
                named.setdefault(attempt.external_id, {}).setdefault(attempt.request, attempt)
    return [list(each.values()) for each in named.values() if len({attempt.call for attempt in each.values()}) > 1]


def _claim_finding(
    wording: Wording, bookings: Sequence[Booking], *, ops: Sequence[int], rows: Sequence[str], at_ns: int
) -> Finding:
    first = bookings[0]
    span = next((row.range_s for row in first.rows), None) or (first.request.asked if first.request else None) or (0, 0)
    callers = " and ".join(wording.caller(booking) for booking in bookings)
    return Finding(
        check=PhantomBooking.name,
        kind=FindingKind.CLAIMED_TWICE,
        resource=first.person,
        ops=tuple(sorted(ops)),
        rows=tuple(rows),
        bookings=tuple(booking.number for booking in bookings if booking.number is not None),
        at_ns=at_ns,
        sentence=f"{wording.slot(first.person, span)}: one booking in the calendar was given to {callers}",
    )


def _of_booking(booking: Booking, kind: FindingKind, rows: Sequence[Row], *, at_ns: int, sentence: str) -> Finding:
    request = booking.request
    acts = [] if request is None else [request, *(cancel for cancel in booking.cancels if cancel.may_have_acted)]
    return Finding(
        check=PhantomBooking.name,
        kind=kind,
        resource=rows[0].last.person,
        ops=tuple(sorted(act.strongest.op for act in acts)),
        rows=tuple(row.name for row in rows),
        bookings=() if booking.number is None else (booking.number,),
        at_ns=at_ns,
        sentence=sentence,
    )
