"""Rows that held a range for a time without being a booking of it, and the refusals that they explain.

A refusal says that the time was held. What held it need not be a booking: an attempt that the service withdrew before
anyone was told of it, or a row that went later than its caller was told (CONTRACTS.md section 3.8: *Hold* lasts until
the end of the rows). Such a refusal is true, and says nothing about the order of bookings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from slotproof.record.columns import NONE, Codes, Flags, Ints, Places

CLOCK_SLACK_NS = 50_000_000
"""How much earlier or later than its stamp a change of a row may have been seen: a database stamps rows with the start
of the transaction, in UTC, and what it stamps is seen only after its commit."""


@dataclass(frozen=True)
class Holds:
    """One a row: whose request it was of, where, and from when until when (monotonic ns) it was there."""

    request: Ints
    place: Codes
    since_ns: Ints
    until_ns: Ints

    @property
    def size(self) -> int:
        return len(self.request)

    @classmethod
    def together(cls, several: Sequence[Holds]) -> Holds:
        parts = ([getattr(each, name) for each in several] for name in ("request", "place", "since_ns", "until_ns"))
        return cls(*(np.concatenate(part) for part in parts))


@dataclass(frozen=True)
class Refusals:
    """One a reply that said that the time is held: to whose request, of which place, and when it was asked and told."""

    request: Ints
    place: Codes
    since_ns: Ints
    until_ns: Ints


def explained(refusals: Refusals, holds: Holds, places: Places) -> Flags:
    """Which refusals ran while a hold of another request was on an overlapping range."""
    found = np.zeros(len(refusals.request), np.bool_)
    if not holds.size or not found.size:
        return found
    for chosen, near in _neighbours(refusals.place, holds.place, places):
        since, until = refusals.since_ns[chosen], refusals.until_ns[chosen]
        begins, ends = holds.since_ns[near] - CLOCK_SLACK_NS, holds.until_ns[near] + CLOCK_SLACK_NS
        running = np.searchsorted(np.sort(begins), until, side="right") - np.searchsorted(np.sort(ends), since)
        found[chosen] = running > _own(refusals.request[chosen], since, until, holds.request[near], begins, ends)
    return found


def _own(request: Ints, since: Ints, until: Ints, owner: Ints, begins: Ints, ends: Ints) -> Ints:
    """For each refusal: how many holds of its own request ran meanwhile."""
    order = np.argsort(owner, kind="stable")
    low, high = (np.searchsorted(owner[order], request, side=side) for side in ("left", "right"))
    count = high - low
    row = np.repeat(np.arange(len(request)), count)
    hold = order[np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count) + low[row]]
    running = (begins[hold] <= until[row]) & (ends[hold] >= since[row])
    return np.bincount(row[running], minlength=len(request))


def _neighbours(refused: Codes, held: Codes, places: Places) -> Iterator[tuple[Ints, Ints]]:
    """For each refused place: which refusals are of it, and which holds are on a range that overlaps it."""
    holds = np.flatnonzero(held != NONE)
    holds = holds[np.lexsort((places.start[held[holds]], places.resource[held[holds]]))]
    at = held[holds]
    resource, start, end = places.resource[at], places.start[at], places.end[at]
    by_place = np.argsort(refused, kind="stable")
    wanted, begins = np.unique(refused[by_place], return_index=True)
    for place, chosen in zip(wanted.tolist(), np.split(by_place, begins[1:]), strict=True):
        low, high = (
            np.searchsorted(resource, places.resource[place], side="left"),
            np.searchsorted(resource, places.resource[place], side="right"),
        )
        high = low + np.searchsorted(start[low:high], places.end[place], side="left")
        near = holds[low:high][end[low:high] > places.start[place]]
        if near.size:
            yield chosen, near
