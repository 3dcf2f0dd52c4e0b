"""What was confirmed stands, what was cancelled is gone (CONTRACTS.md sections 3.4 and 3.7).

A confirmed booking that its caller did not cancel is lost when it is not live at rest in both sources with the told
person, range and attendee, or when the service ever cancelled it while it was told. Where a cancel is pending or
without an answer it may end either way; whether both sources agree is the divergent check's question.
"""

from __future__ import annotations

from collections.abc import Iterator

from slotproof.checks.base import CheckResult, Finding, FindingKind
from slotproof.checks.bookings import SOURCES, Booking, Told, resolve
from slotproof.checks.conclude import conclude
from slotproof.checks.rows import Change, Row
from slotproof.checks.wording import Wording
from slotproof.record.record import Record
from slotproof.record.schemas import Actor, Outcome, RowState


class LostBooking:
    name = "lost_booking"
    kinds = frozenset({FindingKind.LOST_BOOKING, FindingKind.LOST_CANCEL})

    def __call__(self, record: Record) -> CheckResult:
        resolved = resolve(record)
        wording = Wording(record)
        findings: list[Finding] = []
        for booking in resolved.bookings if resolved.histories_known else ():
            if not (booking.confirmed or booking.cancels) or booking.external:
                continue
            findings.extend(_lost(wording, booking, at_rest=resolved.at_rest))
            if resolved.at_rest and booking.cancelled:
                findings.extend(_lost_cancel(wording, booking))
        return conclude(resolved, findings, resolved.undecided)


def _lost(wording: Wording, booking: Booking, *, at_rest: bool) -> Iterator[Finding]:
    """At most one finding, however many reasons."""
    if not booking.told:
        return
    undone = _cancelled_by_service(booking)
    missing = []
    if at_rest and not booking.may_be_cancelled:
        missing = [source for source in SOURCES if not any(map(booking.stands_as_told, booking.live(source)))]
    told = booking.told[-1]
    if undone is not None:
        told, row, change = undone
        since_ns = change.at_ns
        fate = f"the service cancelled it in {wording.places([row.source])} at {wording.at(since_ns)}"
    elif missing:
        since_ns = max(told.from_ns, *(_gone_ns(booking, source) for source in missing))
        fate = " and ".join(_fate(wording, booking, source) for source in missing)
    else:
        return
    slot = wording.slot(told.person, (told.start_s, told.end_s))
    said = f"{wording.caller(booking)} was told that it stands at {wording.at(told.from_ns)}"
    yield Finding(
        check=LostBooking.name,
        kind=FindingKind.LOST_BOOKING,
        resource=booking.person,
        ops=(told.op,),
        rows=tuple(row.name for row in booking.rows),
        bookings=() if booking.number is None else (booking.number,),
        at_ns=since_ns,
        sentence=f"{slot}, was lost: {said}, but {fate}",
    )


def _cancelled_by_service(booking: Booking) -> tuple[Told, Row, Change] | None:
    """The first cancel by the service of what the caller had been told.

    The removal of a surplus row is none: another row of the booking goes on to stand in the same source and range.
    """
    undone = [
        (told, row, change)
        for row in booking.rows
        for before, change in zip(row.changes, row.changes[1:], strict=False)
        if change.state == RowState.CANCELLED and change.actor == Actor.SERVICE and before.state == RowState.LIVE
        for told in booking.told
        if _concerns(told, before, change) and not _has_another(booking, row, told, change.at_ns)
    ]
    return min(undone, key=lambda each: (each[2].at_ns, each[1].name), default=None)


def _concerns(told: Told, before: Change, change: Change) -> bool:
    same_range = (told.start_s, told.end_s) == (before.start_s, before.end_s)
    return same_range and told.from_ns <= change.at_ns and (told.to_ns is None or change.at_ns < told.to_ns)


def _has_another(booking: Booking, row: Row, told: Told, at_ns: int) -> bool:
    return any(
        (live.start_s, live.end_s) == (told.start_s, told.end_s)
        and live.from_ns <= at_ns
        and (live.to_ns is None or live.to_ns > at_ns)
        for other in booking.rows
        if other is not row and other.source == row.source
        for live in other.lives
    )


def _gone_ns(booking: Booking, source: str) -> int:
    """When the source stopped to hold the booking, as far as its rows tell; 0 when it never held it."""
    changes = [row.last.at_ns for row in booking.rows if row.source == source]
    return max(changes, default=0)


def _fate(wording: Wording, booking: Booking, source: str) -> str:
    """Why the source does not hold what was told."""
    place = wording.places([source])
    live = booking.live(source)
    if live and not booking.same_attendee(live[0]):
        return f"{place} has it for another caller"
    if live:
        return f"{place} has {wording.slot(live[0].last.person, live[0].range_s)}"
    rows = [row for row in booking.rows if row.source == source]
    if any(row.is_pending for row in rows):
        return f"{place} still has it as pending"
    if any(row.was_live for row in rows):
        return f"{place} has it no more since {wording.at(_gone_ns(booking, source))}"
    return f"{place} never had it"


def _lost_cancel(wording: Wording, booking: Booking) -> Iterator[Finding]:
    """Rows that were cancelled and came back are the resurrected check's matter."""
    standing = [row for row in booking.live_rows if not any(c.state == RowState.CANCELLED for c in row.changes)]
    if not standing:
        return
    cancel = next(each for each in booking.cancels if each.outcome == Outcome.OK)
    said_ns = cancel.strongest.complete_ns
    slot = wording.slot(standing[0].last.person, standing[0].range_s)
    places = wording.places(sorted({row.source for row in standing}, key=SOURCES.index))
    yield Finding(
        check=LostBooking.name,
        kind=FindingKind.LOST_CANCEL,
        resource=booking.person,
        ops=tuple(sorted({*(told.op for told in booking.told[-1:]), cancel.strongest.op})),
        rows=tuple(row.name for row in standing),
        bookings=() if booking.number is None else (booking.number,),
        at_ns=max(said_ns, *(row.live_since_ns for row in standing)),
        sentence=f"{slot}, still stands in {places}: {wording.caller(booking)} was told that it is cancelled at "
        f"{wording.at(said_ns)}",
    )
