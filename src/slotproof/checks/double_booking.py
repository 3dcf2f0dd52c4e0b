"""No slot is sold twice (CONTRACTS.md sections 3.2 and 3.3).

A pair of bookings of one person with overlapping ranges is sold twice when both were told at one instant, when both
are live at rest, in one source or across them, or when both were live in the calendar for longer than the grace G.
Calendar rows that overlap no longer than G, at most one of them told, are a transient overlap. What no pair shows, the
exact checker may: bookings that no order of events lets have the time one after the other, and moves likewise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from slotproof.checks.base import CheckResult, Finding, FindingClass, FindingKind
from slotproof.checks.bookings import Booking, Range, Resolved, Told, resolve
from slotproof.checks.conclude import conclude
from slotproof.checks.orders import BOOKINGS, decide_orders
from slotproof.checks.rows import Live, Row
from slotproof.checks.sweep import Span, overlaps
from slotproof.checks.wording import Wording
from slotproof.record.record import Record


class DoubleBooking:
    name = "double_booking"
    kinds = frozenset({FindingKind.TRANSIENT_OVERLAP}) | BOOKINGS

    def __call__(self, record: Record) -> CheckResult:
        resolved = resolve(record)
        pairs = _Pairs(resolved)
        pairs.add_told()
        pairs.add_in_calendar()
        if resolved.at_rest:
            pairs.add_at_rest()
        findings = [finding for pair in pairs.found.values() if (finding := _finding(resolved, pair)) is not None]
        shown = [set(finding.bookings) for finding in findings if finding.finding_class is FindingClass.INTEGRITY]
        findings += [
            finding
            for finding in decide_orders(resolved).findings(self.name, BOOKINGS)
            if not any(len(pair) > 1 and pair <= set(finding.bookings) for pair in shown)
        ]
        return conclude(resolved, findings, resolved.undecided)


@dataclass
class _Pair:
    """Why two bookings exclude each other. Times are those at which each reason became true."""

    first: Booking
    second: Booking
    shared: Range
    told_ns: int | None = None
    rest_ns: int | None = None
    beyond_grace_ns: int | None = None
    transient_ns: int | None = None
    calendar_overlap_ns: int = 0
    told: set[Told] = field(default_factory=set)

    @property
    def external(self) -> bool:
        return self.first.external or self.second.external

    @property
    def double_ns(self) -> int | None:
        """When the pair became a double booking; None when it is none."""
        reasons = [at for at in (self.told_ns, self.rest_ns, self.beyond_grace_ns) if at is not None]
        return min(reasons, default=None)


class _Pairs:
    """Gathers the reasons of each pair. A pair of two external bookings is nobody's fault here and left out."""

    def __init__(self, resolved: Resolved) -> None:
        self._resolved = resolved
        self._bookings = resolved.bookings
        self.found: dict[tuple[int, int], _Pair] = {}

    def add_told(self) -> None:
        """Both told at one instant; an external booking counts from its row on, since nobody tells it."""
        spans = [
            _span(booking, told.person, (told.start_s, told.end_s), told.from_ns, told.to_ns)
            for booking in self._bookings
            for told in booking.told
        ]
        spans.extend(
            _span(booking, live.person, (live.start_s, live.end_s), live.from_ns, live.to_ns)
            for booking, live in self._calendar_lives()
            if booking.external
        )
        for one, other in overlaps(spans):
            pair = self._pair(one, other)
            if pair is not None:
                pair.told_ns = _earlier(pair.told_ns, max(one.from_ns, other.from_ns))
                pair.told.update(_told_of(pair, one), _told_of(pair, other))

    def add_in_calendar(self) -> None:
        """Both live in the calendar: longer than G, or transient."""
        grace_ns = self._resolved.record.grace_ns
        spans = [
            _span(booking, live.person, (live.start_s, live.end_s), live.from_ns, live.to_ns)
            for booking, live in self._calendar_lives()
        ]
        for one, other in overlaps(spans):
            pair = self._pair(one, other)
            if pair is None:
                continue
            began_ns = max(one.from_ns, other.from_ns)
            known_ends = [span.to_ns for span in (one, other) if span.to_ns is not None]
            lasted_ns = min(known_ends, default=self._resolved.rest_ns) - began_ns
            pair.calendar_overlap_ns = max(pair.calendar_overlap_ns, lasted_ns)
            if lasted_ns > grace_ns:
                pair.beyond_grace_ns = _earlier(pair.beyond_grace_ns, began_ns + grace_ns)
            elif known_ends:  # an overlap that still goes on is not transient: the state at rest decides
                pair.transient_ns = _earlier(pair.transient_ns, began_ns)

    def add_at_rest(self) -> None:
        """Both live at rest, within one source or across them."""
        spans = [
            _span(booking, row.last.person, row.range_s, row.live_since_ns, None)
            for booking in self._bookings
            for row in booking.rows
            if row.is_live
        ]
        for one, other in overlaps(spans):
            pair = self._pair(one, other)
            if pair is not None:
                pair.rest_ns = _earlier(pair.rest_ns, max(one.from_ns, other.from_ns))

    def _calendar_lives(self) -> Iterator[tuple[Booking, Live]]:
        return ((booking, live) for booking in self._bookings for row in booking.calendar for live in row.lives)

    def _pair(self, one: Span, other: Span) -> _Pair | None:
        low, high = sorted((one.owner, other.owner))
        first, second = self._bookings[low], self._bookings[high]
        if first.external and second.external:
            return None
        shared = (max(one.start_s, other.start_s), min(one.end_s, other.end_s))
        return self.found.setdefault((low, high), _Pair(first, second, shared))


def _span(booking: Booking, person: str, span: Range, from_ns: int, to_ns: int | None) -> Span:
    return Span(booking.index, person, *span, from_ns, to_ns)


def _earlier(known: int | None, found: int) -> int:
    return found if known is None else min(known, found)


def _told_of(pair: _Pair, span: Span) -> set[Told]:
    booking = pair.first if span.owner == pair.first.index else pair.second
    return {told for told in booking.told if told.from_ns == span.from_ns}


def _finding(resolved: Resolved, pair: _Pair) -> Finding | None:
    """None for an overlap with an external booking that harmed nobody: ours was not told and gone within G."""
    if pair.double_ns is not None:
        return _make(resolved, pair, FindingKind.DOUBLE_BOOKING, pair.double_ns)
    if pair.transient_ns is not None and not pair.external:
        return _make(resolved, pair, FindingKind.TRANSIENT_OVERLAP, pair.transient_ns)
    return None


def _make(resolved: Resolved, pair: _Pair, kind: FindingKind, at_ns: int) -> Finding:
    sides = sorted((pair.first, pair.second), key=lambda booking: (_since_ns(booking), booking.index))
    return Finding(
        check=DoubleBooking.name,
        kind=kind,
        resource=pair.first.person,
        ops=tuple(sorted(set(chain.from_iterable(_ops(pair, booking) for booking in sides)))),
        rows=tuple(row.name for booking in sides for row in _rows(pair, booking)),
        bookings=tuple(booking.number for booking in sides if booking.number is not None),
        at_ns=at_ns,
        sentence=_sentence(resolved, pair, kind, sides),
    )


def _since_ns(booking: Booking) -> int:
    """When the booking came to be: told, else first live."""
    since = [told.from_ns for told in booking.told[:1]]
    since = since or [row.lives[0].from_ns for row in booking.rows if row.lives]
    return min(since, default=0)


def _ops(pair: _Pair, booking: Booking) -> list[int]:
    """The ops whose replies told, or the one whose answer says most."""
    told = [told.op for told in booking.told if told in pair.told]
    if told or booking.request is None:
        return told
    return [booking.told[-1].op] if booking.told else [booking.request.strongest.op]


def _rows(pair: _Pair, booking: Booking) -> list[Row]:
    """Rows of the booking that were live in the contested time."""
    return [
        row
        for row in booking.rows
        if any(live.start_s < pair.shared[1] and pair.shared[0] < live.end_s for live in row.lives)
    ]


def _sentence(resolved: Resolved, pair: _Pair, kind: FindingKind, sides: list[Booking]) -> str:
    wording = Wording(resolved.record)
    slot = wording.slot(pair.first.person, pair.shared)
    what = "was sold twice" if kind is FindingKind.DOUBLE_BOOKING else "was in the calendar twice for a moment"
    claims = ", ".join(_claim(wording, pair, booking) for booking in sides)
    tails = [_calendar_tail(wording, pair), _rest_tail(wording, sides) if resolved.at_rest else ""]
    tail = "; ".join(part for part in tails if part)
    return f"{slot}, {what}: {claims}" + (f" ({tail})" if tail else "")


def _claim(wording: Wording, pair: _Pair, booking: Booking) -> str:
    told = next((told for told in booking.told if told in pair.told), booking.told[-1] if booking.told else None)
    if told is not None and not booking.external:
        return wording.told(booking, told)
    hours = wording.hours(_range(pair, booking))
    since = f" at {wording.at(_since_ns(booking))}"
    if booking.external:
        return f"{wording.caller(booking)} took {hours}{since}"
    if booking.request is None:
        return f"{hours} was booked{since} though nobody asked for it"
    return f"{hours} was booked{since} for {wording.caller(booking)}, who {wording.answer(booking.request)}"


def _range(pair: _Pair, booking: Booking) -> Range:
    rows = _rows(pair, booking)
    if rows:
        return rows[0].lives[-1].start_s, rows[0].lives[-1].end_s
    return (booking.request.asked if booking.request else None) or pair.shared


def _calendar_tail(wording: Wording, pair: _Pair) -> str:
    if pair.told_ns is not None or pair.rest_ns is not None:
        return ""
    return f"the calendar held both for {wording.duration(pair.calendar_overlap_ns)}"


def _rest_tail(wording: Wording, sides: list[Booking]) -> str:
    standing = [booking for booking in sides if any(row.is_live for row in booking.rows)]
    if len(standing) == len(sides):
        return "both stand"
    if not standing:
        return "neither stands"
    return f"only that of {wording.caller(standing[0])} stands"
