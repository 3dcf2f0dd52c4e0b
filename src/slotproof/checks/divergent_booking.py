"""What was left open ends in one way in both sources (CONTRACTS.md section 3.6).

A booking whose answer is pending or unknown may end live in both sources or in neither; so may a confirmed one with
an open cancel, and one with an open move may end in the old or in the new range, the same in both. A row that is
still pending when everything has come to rest is stuck.
"""

from __future__ import annotations

from collections.abc import Iterator

from slotproof.checks.base import CheckResult, Finding, FindingKind
from slotproof.checks.bookings import SOURCES, Booking, resolve
from slotproof.checks.conclude import conclude
from slotproof.checks.requests import Request
from slotproof.checks.rows import Row
from slotproof.checks.wording import Wording
from slotproof.record.record import Record
from slotproof.record.schemas import Outcome


class DivergentBooking:
    name = "divergent_booking"
    kinds = frozenset({FindingKind.DIVERGENT_BOOKING, FindingKind.STUCK_PENDING})

    def __call__(self, record: Record) -> CheckResult:
        resolved = resolve(record)
        wording = Wording(record)
        findings: list[Finding] = []
        if resolved.at_rest:
            for booking in resolved.bookings:
                if booking.rows and booking.request is not None and not booking.external:
                    findings.extend(_judge(wording, booking, booking.request, resolved.rest_ns))
        return conclude(resolved, findings, resolved.undecided)


def _judge(wording: Wording, booking: Booking, request: Request, rest_ns: int) -> Iterator[Finding]:
    fate = _divergence(wording, booking)
    waiting = [row for row in booking.rows if row.is_pending]
    if fate is not None:
        changed_ns = max(row.last.at_ns for row in booking.rows)
        yield _finding(wording, booking, request, FindingKind.DIVERGENT_BOOKING, booking.rows, changed_ns, fate)
    elif waiting and not booking.live_rows:
        fate = f"is still pending in {wording.places([waiting[0].source])} after everything came to rest"
        yield _finding(wording, booking, request, FindingKind.STUCK_PENDING, tuple(waiting), rest_ns, fate)


def _divergence(wording: Wording, booking: Booking) -> str | None:
    """How the sources differ where they may not; None where they agree, or where another check has the question."""
    open_answer = booking.outcome in (Outcome.PENDING, Outcome.UNKNOWN) and not booking.confirmed
    may_end = open_answer or (booking.confirmed and booking.may_be_cancelled)
    may_stray = booking.confirmed and len(booking.possible_ranges) > 1
    if booking.cancelled or not (may_end or may_stray):
        return None
    live = {source: booking.live(source) for source in SOURCES}
    standing = [source for source in SOURCES if live[source]]
    if len(standing) == 1:
        (other,) = (source for source in SOURCES if source not in standing)
        return f"stands in {wording.places(standing)} but not in {wording.places([other])}" if may_end else None
    if not standing:
        return None
    agreed = set.intersection(
        *({row.range_s for row in live[source] if booking.stands_as_told(row)} for source in SOURCES)
    )
    if agreed:
        return None
    if not may_end and any(not any(map(booking.stands_as_told, live[source])) for source in SOURCES):
        return None  # confirmed, and a source holds it where nobody asked for it: lost
    places = (f"{wording.hours(live[source][0].range_s)} in {wording.places([source])}" for source in SOURCES)
    return f"stands at {' but at '.join(places)}, where {wording.caller(booking)} may not expect it"


def _finding(
    wording: Wording,
    booking: Booking,
    request: Request,
    kind: FindingKind,
    rows: tuple[Row, ...],
    at_ns: int,
    fate: str,
) -> Finding:
    open_requests = [
        each
        for each in (request, *booking.cancels, *booking.moves)
        if each.outcome in (Outcome.PENDING, Outcome.UNKNOWN)
    ]
    answers = ", ".join(f"{_WHAT[each.kind]}{wording.caller(booking)} {wording.answer(each)}" for each in open_requests)
    slot = wording.slot(booking.person, request.asked or rows[0].range_s)
    return Finding(
        check=DivergentBooking.name,
        kind=kind,
        resource=booking.person,
        ops=tuple(sorted({request.strongest.op, *(each.strongest.op for each in open_requests)})),
        rows=tuple(row.name for row in rows),
        bookings=(request.number,),
        at_ns=at_ns,
        sentence=f"{slot}, {fate}" + (f" ({answers})" if answers else ""),
    )


_WHAT = {"book": "", "cancel": "asking to cancel, ", "move": "asking to move, "}
