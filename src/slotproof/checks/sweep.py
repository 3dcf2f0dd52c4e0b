"""Sweep over time: which spans of one person overlap both in time and in range. O(n log n + overlaps)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_BEGINS, _ENDS = 1, 0
"""Ends sort before begins of the same instant: spans that touch do not overlap."""


class Span(NamedTuple):
    """A range of one person that something holds for a time; `to_ns` None = for ever."""

    owner: int
    person: str
    start_s: int
    end_s: int
    from_ns: int
    to_ns: int | None


def overlaps(spans: Sequence[Span]) -> Iterator[tuple[Span, Span]]:
    """Pairs of spans of different owners that overlap in time and in range, the one that began first first."""
    for of_person in _by_person(spans).values():
        longest_s = max(span.end_s - span.start_s for span in of_person)
        held: list[tuple[int, int]] = []  # (start_s, index), sorted
        for _, what, index in _events(of_person):
            span = of_person[index]
            if what == _ENDS:
                del held[bisect_left(held, (span.start_s, index))]
                continue
            first = bisect_right(held, (span.start_s - longest_s, len(of_person)))
            last = bisect_left(held, (span.end_s, -1))
            for _, other_index in held[first:last]:
                other = of_person[other_index]
                if other.end_s > span.start_s and other.owner != span.owner:
                    yield other, span
            insort(held, (span.start_s, index))


def count_overlaps(spans: Sequence[Span]) -> int:
    """How many pairs `overlaps` would yield, without making them; spans of one owner must have one range."""
    return sum(_count(of_person) for of_person in _by_person(spans).values())


def _count(spans: Sequence[Span]) -> int:
    """A held span overlaps a new one unless it ends at or before its start, or starts at or after its end."""
    starts: list[int] = []
    ends: list[int] = []
    held_by: dict[int, int] = {}
    pairs = 0
    for _, what, index in _events(spans):
        span = spans[index]
        if what == _ENDS:
            del starts[bisect_left(starts, span.start_s)]
            del ends[bisect_left(ends, span.end_s)]
            held_by[span.owner] -= 1
            continue
        apart = bisect_right(ends, span.start_s) + len(starts) - bisect_left(starts, span.end_s)
        pairs += len(starts) - apart - held_by.get(span.owner, 0)
        insort(starts, span.start_s)
        insort(ends, span.end_s)
        held_by[span.owner] = held_by.get(span.owner, 0) + 1
    return pairs


def _events(spans: Sequence[Span]) -> list[tuple[int, int, int]]:
    events = [(span.from_ns, _BEGINS, index) for index, span in enumerate(spans)]
    events.extend((span.to_ns, _ENDS, index) for index, span in enumerate(spans) if span.to_ns is not None)
    events.sort()
    return events


def _by_person(spans: Iterable[Span]) -> dict[str, list[Span]]:
    """Spans that last and have a length; the others overlap nothing."""
    people: dict[str, list[Span]] = {}
    for span in spans:
        if span.start_s < span.end_s and (span.to_ns is None or span.from_ns < span.to_ns):
            people.setdefault(span.person, []).append(span)
    return people
