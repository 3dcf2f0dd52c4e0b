"""One plain sentence for each finding: what was sold, to whom, and when by the history's own clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from slotproof.checks.base import FindingKind
from slotproof.checks.exact.model import BEFORE, END_UNKNOWN, NEVER, WHOLE, Booking, Group, Range, Reader, Role, Unit
from slotproof.checks.exact.resolve import Suspicion, unit_ops
from slotproof.checks.exact.result import HistoryFinding

_WHOLE_STORIES = (FindingKind.DOUBLE_BOOKING, FindingKind.OVER_CAPACITY, FindingKind.IMPOSSIBLE_MOVES)
"""Kinds whose sentence tells all that is known of each booking, not only what the proof needs."""


def ledger_finding(resource: str, found: Suspicion) -> HistoryFinding:
    """A finding that needs no order of events."""
    sentence = f"{resource}: {found.why}" if resource else found.why
    return HistoryFinding(found.kind, resource, found.ops, (found.booking,), sentence)


def order_finding(group: Group, kind: FindingKind, units: frozenset[Unit], ids: tuple[str, ...]) -> HistoryFinding:
    """A finding about a witness that no order explains."""
    words = _Words(group, units, whole_stories=kind in _WHOLE_STORIES)
    facts = "; ".join(words.facts(ids))
    place = words.place(ids)
    many = _listed(ids)
    sold = f"{place} was sold {len(ids)} times at once"
    sentence = {
        FindingKind.DOUBLE_BOOKING: f"{place} was sold twice: {many} excluded each other ({facts})",
        FindingKind.OVER_CAPACITY: f"{sold}, and has room for {group.capacity} ({facts})",
        FindingKind.FALSE_FREE: f"{place} was called free while {many or 'nothing'} held it ({facts})",
        FindingKind.FALSE_REFUSAL: f"{place} was refused though nothing can have held it ({facts})",
        FindingKind.IMPOSSIBLE_MOVES: f"{place}: no order of events allows these moves ({facts})",
    }.get(kind, f"{place}: no order of events explains these replies ({facts})")
    return HistoryFinding(kind, group.resource, unit_ops(words.bookings, units), ids, sentence)


class _Words:
    def __init__(self, group: Group, units: frozenset[Unit], *, whole_stories: bool) -> None:
        self._whole_stories = whole_stories
        self.bookings: Mapping[str, Booking] = {booking.id: booking for booking in group.bookings}
        self._group = group
        self._units = units
        self._readers = [reader for reader in group.readers if Unit(Role.READ, reader.op) in units]

    def place(self, ids: Iterable[str]) -> str:
        """The resource with the range that all concerned share, as far as they share one."""
        ranges = [self.bookings[name].range for name in ids]
        ranges += [reader.range for reader in self._readers]
        start, end = max((low for low, _ in ranges), default=0), min((high for _, high in ranges), default=0)
        name = self._group.resource or "the slot"
        return name if (start, end) == WHOLE or start >= end else f"{name} {start}–{end}"

    def facts(self, ids: Iterable[str]) -> Iterator[str]:
        for name in ids:
            yield from self._booking_facts(self.bookings[name])
        for reader in sorted(self._readers, key=lambda reader: (reader.since, reader.op)):
            yield _reader_fact(reader)

    def _booking_facts(self, booking: Booking) -> Iterator[str]:
        if self._tells(Unit(Role.BOOK, booking.id)):
            live = "" if booking.ends or booking.moves else ", and is live at the end"
            yield f"{booking.id} was booked {_when(booking.begin_since, booking.begin_until)}{live}"
        for move in booking.moves:
            if self._tells(Unit(Role.MOVE, move.op)):
                yield f"{booking.id} was moved to {_span(move.to)} {_when(move.since, move.until)}"
        if booking.ends and self._tells(Unit(Role.CANCEL, booking.id)):
            yield f"{booking.id} was cancelled {_when(booking.end_since, booking.end_until)}"

    def _tells(self, unit: Unit) -> bool:
        return self._whole_stories or unit in self._units


def _reader_fact(reader: Reader) -> str:
    by = f" by {reader.id}" if reader.id and reader.told == "busy" else ""
    what = f"that {reader.id} was not held" if reader.told == "not held" else f"{reader.told}{by}"
    return f"op {reader.op} was told {what} {_when(reader.since, reader.until)}"


def _when(since: int, until: int) -> str:
    if until >= NEVER:
        return f"at {since} or later, or never"
    if since <= BEFORE:
        return "at an unknown time" if until >= END_UNKNOWN else f"by {until}"
    return f"at {since} or later" if until >= END_UNKNOWN else f"between {since} and {until}"


def _span(span: Range) -> str:
    return "the slot" if span == WHOLE else f"{span[0]}–{span[1]}"


def _listed(names: Iterable[str]) -> str:
    *most, last = tuple(names) or ("",)
    return f"{', '.join(most)} and {last}" if most else last
