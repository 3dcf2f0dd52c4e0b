"""Atomic moves judged by precedence (CHECKER.md section 4): pairs of cores do not suffice.

A booking that moves is a row of stays; each boundary between two stays is one op. Two stays of different bookings in
overlapping ranges exclude each other, and where both have a core the cores say which comes first: an edge from the end
of the one to the begin of the other. The edges and the ops' intervals have a solution unless the edges form a cycle,
or an op would have to wait beyond its reply.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from slotproof.checks.exact.greedy import Failure, book_unit, end_unit
from slotproof.checks.exact.model import Booking, Range, Role, Unit, overlap


@dataclass(frozen=True, slots=True)
class _Boundary:
    since: int
    until: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class _Stay:
    """A booking in one of its ranges, from boundary `begin` to boundary `end` (indices; no end = None)."""

    booking: int
    range: Range
    begin: int
    end: int | None


@dataclass
class Precedence:
    """What must come before what. `complete`: nothing else restricts the order, so that no failure means possible."""

    boundaries: list[_Boundary] = field(default_factory=list)
    after: dict[int, dict[int, frozenset[Unit]]] = field(default_factory=dict)
    complete: bool = True
    failure: Failure | None = None


def decide_moves(bookings: Sequence[Booking]) -> Precedence:
    """The precedence of all bookings and its verdict. Moves whose order is not certain leave it incomplete."""
    precedence = Precedence()
    stays = [stay for index, booking in enumerate(bookings) for stay in _stays(precedence, index, booking)]
    for number, one in enumerate(stays):
        for other in stays[number + 1 :]:
            if one.booking != other.booking and overlap(one.range, other.range):
                _order(precedence, one, other)
                if precedence.failure is not None:
                    return precedence
    precedence.failure = _solve(precedence)
    return precedence


def _stays(precedence: Precedence, index: int, booking: Booking) -> Iterator[_Stay]:
    """None for a booking whose moves are unknown or concurrent: their order is not known."""
    moves = booking.moves
    certain = not booking.optional and not any(move.optional for move in moves)
    ordered = all(one.until < other.since for one, other in pairwise(moves))
    if not (certain and ordered):
        precedence.complete = False
        return
    boundaries = [_Boundary(booking.begin_since, booking.begin_until, book_unit(booking))]
    boundaries += [_Boundary(move.since, move.until, Unit(Role.MOVE, move.op)) for move in moves]
    if booking.ends:
        boundaries.append(_Boundary(booking.end_since, booking.end_until, end_unit(booking)))
    ranges = [booking.range, *(move.to for move in moves)]
    first = len(precedence.boundaries)
    precedence.boundaries += boundaries
    for offset in range(len(boundaries) - 1):
        _add_edge(precedence, first + offset, first + offset + 1, frozenset())
    for offset, place in enumerate(ranges):
        end = first + offset + 1 if offset + 1 < len(boundaries) else None
        yield _Stay(index, place, first + offset, end)


def _order(precedence: Precedence, one: _Stay, other: _Stay) -> None:
    """Adds the edge that the cores force; without two cores the order is open."""
    if not (_has_core(precedence, one) and _has_core(precedence, other)):
        precedence.complete = False
        return
    reasons = _units(precedence, one) | _units(precedence, other)
    if _before(precedence, one, other) and one.end is not None:
        _add_edge(precedence, one.end, other.begin, reasons)
    elif _before(precedence, other, one) and other.end is not None:
        _add_edge(precedence, other.end, one.begin, reasons)
    else:
        precedence.failure = Failure(reasons)


def _has_core(precedence: Precedence, stay: _Stay) -> bool:
    begun = precedence.boundaries[stay.begin].until
    return stay.end is None or begun < precedence.boundaries[stay.end].since


def _before(precedence: Precedence, one: _Stay, other: _Stay) -> bool:
    """Whether the first's core ends before the other's begins."""
    return one.end is not None and (precedence.boundaries[one.end].since <= precedence.boundaries[other.begin].until)


def _units(precedence: Precedence, stay: _Stay) -> frozenset[Unit]:
    ends = () if stay.end is None else (precedence.boundaries[stay.end].unit,)
    return frozenset({precedence.boundaries[stay.begin].unit, *ends})


def _add_edge(precedence: Precedence, one: int, other: int, reasons: frozenset[Unit]) -> None:
    precedence.after.setdefault(one, {}).setdefault(other, reasons)


def _solve(precedence: Precedence) -> Failure | None:
    """Earliest times in topological order; what is left without an order is a cycle."""
    boundaries, after = precedence.boundaries, precedence.after
    waits = [0] * len(boundaries)
    for following in after.values():
        for other in following:
            waits[other] += 1
    earliest = [boundary.since for boundary in boundaries]
    cause: dict[int, int] = {}
    ready = [index for index, count in enumerate(waits) if count == 0]
    done: set[int] = set()
    while ready:
        index = ready.pop()
        done.add(index)
        if earliest[index] > boundaries[index].until:
            return Failure(_chain(precedence, index, cause))
        for other in after.get(index, {}):
            if earliest[index] > earliest[other]:
                earliest[other] = earliest[index]
                cause[other] = index
            waits[other] -= 1
            if waits[other] == 0:
                ready.append(other)
    if len(done) == len(boundaries):
        return None
    return Failure(_cycle(precedence, set(range(len(boundaries))) - done))


def _chain(precedence: Precedence, index: int, cause: dict[int, int]) -> frozenset[Unit]:
    """The ops that push the one at `index` beyond its reply."""
    units = {precedence.boundaries[index].unit}
    while index in cause:
        units |= precedence.after[cause[index]][index]
        index = cause[index]
        units.add(precedence.boundaries[index].unit)
    return frozenset(units)


def _cycle(precedence: Precedence, left: set[int]) -> frozenset[Unit]:
    """One cycle among boundaries of which each waits for another one that is left."""
    before: dict[int, int] = {}
    for index, following in precedence.after.items():
        if index in left:
            before.update(dict.fromkeys(left & following.keys(), index))
    seen: list[int] = []
    index = next(index for index in sorted(left) if index in before)
    while index not in seen:
        seen.append(index)
        index = before[index]
    cycle = [*seen[seen.index(index) :], index]
    units = {precedence.boundaries[each].unit for each in cycle}
    for later, earlier in pairwise(cycle):
        units |= precedence.after[earlier][later]
    return frozenset(units)
