"""Calendars and pools judged by their cores: what certainly held a range, and for how long (CHECKER.md section 4).

With books and cancels alone this is exact: when each forward booking holds no more than its core, and each inverted
one an instant, everything has its place unless too many cores meet, or an inverted booking finds no room.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from slotproof.checks.exact.greedy import Failure, Life, book_unit, end_unit
from slotproof.checks.exact.model import Range, Unit, overlap
from slotproof.checks.sweep import Span, overlaps

_BEGINS, _ENDS = 1, 0
"""Cores are open: one that ends where another begins does not meet it."""


def decide_cores(lives: Sequence[Life], capacity: int) -> Failure | None:
    """A failure when more than `capacity` cores meet, or an inverted booking has no instant of room."""
    forward = [life for life in lives if life.is_forward]
    too_many = _pair(forward) if capacity == 1 else _crowd(forward, capacity)
    if too_many is not None:
        return Failure(too_many)
    inverted = [life for life in lives if not life.is_forward]
    squeezed = _squeezed(forward, inverted, capacity) if inverted else None
    return None if squeezed is None else Failure(squeezed)


def _pair(forward: Sequence[Life]) -> frozenset[Unit] | None:
    spans = [
        Span(index, "", *life.booking.range, life.begin_high.at, life.end_low.at) for index, life in enumerate(forward)
    ]
    for one, other in overlaps(spans):
        return frozenset(_units([forward[one.owner], forward[other.owner]]))
    return None


def _crowd(forward: Sequence[Life], capacity: int) -> frozenset[Unit] | None:
    events = [(life.begin_high.at, _BEGINS, index) for index, life in enumerate(forward)]
    events += [(life.end_low.at, _ENDS, index) for index, life in enumerate(forward)]
    active: set[int] = set()
    for _, what, index in sorted(events):
        if what == _ENDS:
            active.discard(index)
            continue
        active.add(index)
        if len(active) > capacity:
            crowd = deepest([forward[each] for each in sorted(active)], forward[index].booking.range)
            if len(crowd) > capacity:
                return frozenset(_units([forward[index], *(life for life in crowd if life is not forward[index])]))
    return None


def deepest(lives: Sequence[Life], span: Range) -> list[Life]:
    """The largest set of lives that hold one point of the range, which some of them do."""
    inside = [life for life in lives if overlap(life.booking.range, span)]
    points = {max(life.booking.range[0], span[0]) for life in inside}
    crowds = [
        [life for life in inside if life.booking.range[0] <= point < life.booking.range[1]] for point in sorted(points)
    ]
    return max(crowds, key=len)


def _squeezed(forward: Sequence[Life], inverted: Iterable[Life], capacity: int) -> frozenset[Unit] | None:
    by_begin = sorted(forward, key=lambda life: life.begin_high.at)
    begins = [life.begin_high.at for life in by_begin]
    ends = sorted(life.end_low.at for life in forward)
    for life in inverted:
        since, until = life.window
        near = by_begin[: bisect_left(begins, until)]
        near = [
            other for other in near if other.end_low.at > since and overlap(other.booking.range, life.booking.range)
        ]
        instants = [since, until, *ends[bisect_left(ends, since) : bisect_right(ends, until)]]
        if near and not any(_has_room(near, life, instant, capacity) for instant in instants):
            return frozenset(_units([life, *near]))
    return None


def _has_room(near: Sequence[Life], life: Life, instant: int, capacity: int) -> bool:
    there = [other for other in near if other.begin_high.at < instant < other.end_low.at]
    return len(there) < capacity or len(deepest(there, life.booking.range)) < capacity


def _units(lives: Iterable[Life]) -> Iterator[Unit]:
    for life in lives:
        yield from life.units
        yield book_unit(life.booking)
        yield end_unit(life.booking)
