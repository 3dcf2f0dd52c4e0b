"""Places put together where their ranges overlap: what overlaps nothing is a slot, the rest are calendars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from slotproof.checks.exact.model import Booking, Group, Range, Reader, hull
from slotproof.checks.exact.settle import FREE, HELD, HELD_BY, NOT_HELD, Settled
from slotproof.record.columns import CANCEL, NONE, Flags, Ints


@dataclass
class Clusters:
    """Places by cluster. `of_place`: NONE where no booking stood and nothing was read. `is_slot`: one place, one
    person, no booking that moves or may never have been. `tainted`: what was lost or invented there has no place in
    any order, so that replies prove nothing. `resource`: by cluster."""

    of_place: Ints
    resource: Ints
    is_slot: Flags
    tainted: Flags
    of_special: dict[int, int] = field(default_factory=dict)
    of_moved: list[int] = field(default_factory=list)


def cluster(settled: Settled, capacity: Mapping[str, int]) -> Clusters:
    history = settled.history
    places = history.places
    used = np.zeros(len(places.start), np.bool_)
    used[settled.place[settled.stands]] = True
    readers = settled.readers
    used[readers.place[(readers.claim == FREE) | (readers.claim == HELD)]] = True
    spans: list[tuple[int, int, int, int, object]] = []
    """(resource, start, end, what it is, which)"""
    for code in np.flatnonzero(used).tolist():
        spans.append((int(places.resource[code]), int(places.start[code]), int(places.end[code]), _PLACE, code))
    for code, booking in settled.special.items():
        spans.append((int(history.booking_resource[code]), *hull(booking), _SPECIAL, code))
    for number, (resource, reader) in enumerate(settled.moved):
        spans.append((resource, *reader.range, _MOVED, number))
    return _clusters(settled, spans, capacity)


_PLACE, _SPECIAL, _MOVED = range(3)


def _clusters(
    settled: Settled, spans: list[tuple[int, int, int, int, object]], capacity: Mapping[str, int]
) -> Clusters:
    of_place = np.full(len(settled.history.places.start), NONE, np.int64)
    found = Clusters(of_place, *(np.zeros(0, np.int64) for _ in range(3)))  # type: ignore[arg-type]
    resource: list[int] = []
    is_slot: list[bool] = []
    hulls: list[Range] = []
    moved: dict[int, int] = {}
    for owner, start, end, kind, which in sorted(spans, key=lambda each: each[:4]):
        assert isinstance(which, int)
        if resource and resource[-1] == owner and start < hulls[-1][1]:
            is_slot[-1] = False
            hulls[-1] = (hulls[-1][0], max(end, hulls[-1][1]))
        else:
            resource.append(owner)
            hulls.append((start, end))
            is_slot.append(capacity.get(settled.history.resources[owner], 1) == 1)
        number = len(hulls) - 1
        if kind == _PLACE:
            of_place[which] = number
            continue
        is_slot[-1] = False
        if kind == _SPECIAL:
            found.of_special[which] = number
        else:
            moved[which] = number
    found.of_moved = [moved[number] for number in range(len(moved))]
    found.resource = np.array(resource, np.int64)
    found.is_slot = np.array(is_slot, np.bool_)
    found.tainted = _tainted(settled, resource, hulls)
    return found


def _tainted(settled: Settled, resource: list[int], hulls: list[Range]) -> Flags:
    tainted = np.zeros(len(hulls), np.bool_)
    history = settled.history
    unclear = [(int(history.places.resource[place]), settled.range_of(place)) for place in history.unclear.tolist()]
    if not settled.suspicions and not unclear:
        return tainted
    starts: dict[int, list[tuple[int, Range]]] = {}
    for number, (owner, span) in enumerate(zip(resource, hulls, strict=True)):
        starts.setdefault(owner, []).append((number, span))
    suspected = [(int(history.booking_resource[code]), span) for code, span in _suspected(settled)]
    for owner, span in (*suspected, *unclear):
        for number, (start, end) in starts.get(owner, ()):
            if start < span[1] and span[0] < end:
                tainted[number] = True
    return tainted


def _suspected(settled: Settled) -> set[tuple[int, Range]]:
    """Every range that a booking about which something is wrong may have held."""
    history = settled.history
    codes = {code for code, _ in settled.suspicions}
    wanted = np.zeros(len(settled.stands) + 1, np.bool_)
    wanted[list(codes)] = True
    ranges: dict[int, set[Range]] = {code: set() for code in codes}
    asked = wanted[history.booking] & (history.function != CANCEL)
    for places in (history.place, history.to_place):
        if places is not None:
            at = np.flatnonzero(asked & (places != NONE))
            for code, place in set(zip(history.booking[at].tolist(), places[at].tolist(), strict=True)):
                ranges[code].add(settled.range_of(place))
    if history.ledger is not None:
        at = np.flatnonzero(wanted[history.ledger.booking])
        for code, place in zip(history.ledger.booking[at].tolist(), history.ledger.place[at].tolist(), strict=True):
            if place != NONE or not ranges[code]:
                ranges[code].add(settled.range_of(place))
    for code, of_code in ranges.items():
        if not of_code:
            at = np.flatnonzero(history.booking == code)
            of_code.update(settled.range_of(place) for place in history.place[at].tolist())
    return {(code, span) for code, of_code in ranges.items() for span in of_code}


def calendars(settled: Settled, clusters: Clusters, capacity: Mapping[str, int]) -> list[Group]:
    """The clusters that are no slots, as groups for the plain code."""
    history = settled.history
    of_booking = booking_clusters(settled, clusters)
    wanted = ~clusters.is_slot
    if not wanted.any():
        return []
    bookings: dict[int, list[Booking]] = {number: [] for number in np.flatnonzero(wanted).tolist()}
    mine = np.flatnonzero((of_booking != NONE) & wanted[of_booking])
    for code, booking in settled.bookings(mine).items():
        bookings[int(of_booking[code])].append(booking)
    readers: dict[int, list[Reader]] = {number: [] for number in bookings}
    of_reader = reader_clusters(settled, clusters, of_booking)
    for at in np.flatnonzero((of_reader != NONE) & wanted[of_reader] & ~clusters.tainted[of_reader]).tolist():
        readers[int(of_reader[at])].append(settled.reader(at))
    for number, (_, reader) in zip(clusters.of_moved, settled.moved, strict=True):
        if not clusters.tainted[number]:
            readers[number].append(reader)
    names = history.resources
    return [
        Group(name, tuple(of_number), tuple(readers[number]), capacity.get(name, 1))
        for number, of_number in bookings.items()
        for name in (names[int(clusters.resource[number])],)
    ]


def booking_clusters(settled: Settled, clusters: Clusters) -> Ints:
    """The cluster of each booking code; NONE for what does not stand."""
    found = np.full(len(settled.stands), NONE, np.int64)
    at = np.flatnonzero(settled.stands)
    found[at] = clusters.of_place[settled.place[at]]
    for code, number in clusters.of_special.items():
        found[code] = number
    return found


def reader_clusters(settled: Settled, clusters: Clusters, of_booking: Ints) -> Ints:
    """The cluster of each reader: its booking's when it names one, else its place's; NONE where there is none."""
    readers = settled.readers
    named = (readers.claim == HELD_BY) | (readers.claim == NOT_HELD)
    found = clusters.of_place[readers.place]
    found[named] = of_booking[readers.booking[named]]
    return found


def strays(settled: Settled, of_booking: Ints) -> Ints:
    """Readers that saw a booking which never was, and about which nothing else is wrong."""
    readers = settled.readers
    named = np.flatnonzero(readers.claim == HELD_BY)
    missing = named[of_booking[readers.booking[named]] == NONE]
    suspected = {code for code, _ in settled.suspicions}
    return np.array([at for at in missing.tolist() if int(readers.booking[at]) not in suspected], np.int64)
