"""The frontier sweep: exact for every model, by following all states that are still possible (CHECKER.md section 3).

A configuration is a state of the calendar, the pending writers that were applied already, and the pending readers that
some state on the way satisfied. Only writers branch. A booking that may have begun and ended at once needs no more than
an instant at which there was room for it: it becomes an optional pair of writers and a reader of whether it had a
place, so that a configuration in which it is still to come dominates one in which it is over.

Bounded: beyond the caps nothing is said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

from slotproof.checks.exact.model import NEVER, Booking, Claim, Group, Range, Reader, overlap

DEFAULT_CAP = 10_000
"""Configurations at one instant."""
_COMPARISONS_PER_CONFIGURATION = 300
"""The whole sweep may make this many times the cap of comparisons."""
_SMALL = 6
"""Up to so many bookings no quick look is worth its while."""
_BEAM = 100
"""How many configurations the quick look keeps."""


class Answer(Enum):
    POSSIBLE = "possible"
    IMPOSSIBLE = "impossible"
    TOO_MANY = "too many states"


class _Held(NamedTuple):
    id: str
    range: Range


State = tuple[_Held, ...]
"""What is held, sorted."""
Applied = frozenset[int]


class _Way(NamedTuple):
    """How a state was reached: optional begins that were used up, and pending readers that were satisfied (bits)."""

    used: Applied
    satisfied: int


_Frontier = dict[tuple[State, Applied], list[_Way]]
"""By state and applied writers that must happen: the ways that no other dominates."""


@dataclass(frozen=True, slots=True)
class _Writer:
    """Begins (`to` alone), moves (both) or ends (`to` None) a booking in [since, until].

    `must`: it took effect. Otherwise it may have; an end that is not `must` leaves nothing held after `until`.
    """

    id: str
    to: Range | None
    moves: bool
    since: int
    until: int
    must: bool


class _TooManyError(Exception):
    """More configurations or steps than the caps allow."""


def decide(group: Group, cap: int = DEFAULT_CAP) -> Answer:
    """Whether some order of the group's bookings explains all its readers."""
    if len(group.bookings) > _SMALL and _is_easy(group, cap):
        return Answer.POSSIBLE
    try:
        return Answer.POSSIBLE if _Sweep(group, cap).run() else Answer.IMPOSSIBLE
    except _TooManyError:
        return Answer.TOO_MANY


def _is_easy(group: Group, cap: int) -> bool:
    """A quick look that follows few configurations only: where it gets through, an order exists."""
    return _Sweep(group, min(cap, _BEAM), is_quick_look=True).run()


@dataclass
class _Sweep:
    group: Group
    cap: int
    is_quick_look: bool = False
    _writers: list[_Writer] = field(default_factory=list)
    _readers: list[Reader] = field(default_factory=list)
    _pending_writers: set[int] = field(default_factory=set)
    _pending_readers: int = 0
    """Bits."""
    _satisfied_by: dict[State, int] = field(default_factory=dict)
    _frontier: _Frontier = field(default_factory=lambda: {((), frozenset()): [_Way(frozenset(), 0)]})
    _comparisons: int = 0
    _named: frozenset[str | None] = frozenset()
    """Bookings that a reader names: no other one is like them."""
    _ends_until: dict[int, int] = field(default_factory=dict)
    """Optional begin -> until when it may end."""

    def run(self) -> bool:
        self._readers.extend(self.group.readers)
        self._named = frozenset(reader.id for reader in self._readers)
        for booking in self.group.bookings:
            self._ends_until[len(self._writers)] = booking.end_until
            if _may_be_instant(booking):
                since, until = max(booking.begin_since, booking.end_since), min(booking.begin_until, booking.end_until)
                self._readers.append(Reader(-1, Claim.HAD_PLACE, booking.range, since, until, booking.id))
                self._writers.extend(_writers(booking, must=False))
            else:
                self._writers.extend(_writers(booking, must=not booking.optional))
        is_closed = True
        for _, is_response, is_reader, index in self._events():
            if not is_response:
                (self._invoke_reader if is_reader else self._pending_writers.add)(index)
                is_closed = False
                continue
            if not is_closed:  # what was invoked since the last response may happen in any order
                self._close()
                is_closed = True
            (self._respond_reader if is_reader else self._respond_writer)(index)
            if not self._frontier:
                return False
        return any(self._rests(state) for state, _ in self._frontier)

    def _events(self) -> list[tuple[int, bool, bool, int]]:
        """Invokes before responses of the same instant: equal stamps are concurrent."""
        events = []
        for index, writer in enumerate(self._writers):
            events.append((writer.since, False, False, index))
            if writer.until < NEVER:
                events.append((writer.until, True, False, index))
        for index, reader in enumerate(self._readers):
            events.append((reader.since, False, True, index))
            events.append((reader.until, True, True, index))
        return sorted(events)

    def _rests(self, state: State) -> bool:
        """The ledger has every booking where the state has it."""
        rest = {booking.id: booking.rest for booking in self.group.bookings if booking.rest is not None}
        return all(rest.get(held.id, held.range) == held.range for held in state)

    def _invoke_reader(self, index: int) -> None:
        reader, bit = self._readers[index], 1 << index
        self._pending_readers |= bit
        for state in self._satisfied_by:
            if self._explains(state, reader):
                self._satisfied_by[state] |= bit

    def _respond_writer(self, index: int) -> None:
        self._pending_writers.discard(index)
        writer = self._writers[index]
        only = frozenset({index})
        kept: _Frontier = {}
        for (state, applied), ways in self._frontier.items():
            if writer.must and index not in applied:
                continue
            if not writer.must and writer.to is None and any(held.id == writer.id for held in state):
                continue
            here = kept.setdefault((state, applied - only), [])
            for way in ways:
                self._add(here, _Way(way.used - only, way.satisfied))
        self._frontier = kept

    def _respond_reader(self, index: int) -> None:
        bit = 1 << index
        self._pending_readers &= ~bit
        kept: _Frontier = {}
        for key, ways in self._frontier.items():
            satisfied = [_Way(way.used, way.satisfied & ~bit) for way in ways if way.satisfied & bit]
            for way in satisfied:
                self._add(kept.setdefault(key, []), way)
        self._frontier = kept

    def _close(self) -> None:
        """Applies pending writers in every order, and lets every state on the way satisfy its pending readers."""
        waiting = deque((key, way) for key, ways in self._frontier.items() for way in ways)
        reached: _Frontier = {}
        size = 0
        while waiting:
            (state, applied), way = waiting.popleft()
            way = _Way(way.used, way.satisfied | self._satisfied(state))
            ways = reached.setdefault((state, applied), [])
            before = len(ways)
            self._comparisons += 1 + before
            if not self._add(ways, way):
                continue
            size += len(ways) - before
            if size > self.cap or self._comparisons > self.cap * _COMPARISONS_PER_CONFIGURATION:
                if not self.is_quick_look:
                    raise _TooManyError
                break
            for index in self._pending_writers - applied - way.used:
                writer = self._writers[index]
                after = self._apply(state, writer)
                if after is None:
                    continue
                if writer.must:
                    waiting.append(((after, applied | {index}), way))
                elif writer.to is None:
                    waiting.append(((after, applied), way))
                else:
                    waiting.append(((after, applied), _Way(way.used | {index}, way.satisfied)))
        self._comparisons = 0 if self.is_quick_look else self._comparisons
        self._frontier = self._without_settled(reached)
        self._satisfied_by = {state: self._satisfied_by[state] for state, _ in self._frontier}

    def _without_settled(self, reached: _Frontier) -> _Frontier:
        """Writers that every configuration has applied need no bookkeeping any more."""
        settled = frozenset.intersection(*(applied for _, applied in reached)) if reached else frozenset()
        if not settled:
            return reached
        self._pending_writers -= settled
        self._settle(settled)
        return {(state, applied - settled): ways for (state, applied), ways in reached.items()}

    def _settle(self, settled: frozenset[int]) -> None:
        """A settled writer has happened: its response asks nothing."""
        for index in settled:
            self._writers[index] = replace(self._writers[index], must=False)

    def _add(self, ways: list[_Way], way: _Way) -> bool:
        """Adds a way unless one dominates it; drops those that it dominates. False = nothing new."""
        if any(self._dominates(known, way) for known in ways):
            return False
        ways[:] = [known for known in ways if not self._dominates(way, known)]
        ways.append(way)
        return True

    def _dominates(self, one: _Way, other: _Way) -> bool:
        """Whatever can follow the other way can follow the one.

        What the one has used up and the other has not must be replaced by something that is still to come in the one
        and used up in the other: of the same range, and pending for as long. Neither may be a move, nor named by a
        reader.
        """
        if one.satisfied | other.satisfied != one.satisfied:
            return False
        if one.used <= other.used:
            return True
        spent = one.used - other.used
        spare = sorted(filter(self._is_like_others, other.used - one.used), key=self._deadlines)
        if len(spent) > len(spare) or not all(map(self._is_like_others, spent)):
            return False
        for index in sorted(spent, key=self._deadlines):
            replacement = next((each for each in spare if self._replaces(each, index)), None)
            if replacement is None:
                return False
            spare.remove(replacement)
        return True

    def _is_like_others(self, index: int) -> bool:
        return self._writers[index].id not in self._named and not self._writers[index].moves

    def _deadlines(self, index: int) -> tuple[int, int]:
        return self._writers[index].until, self._ends_until[index]

    def _replaces(self, one: int, other: int) -> bool:
        return self._writers[one].to == self._writers[other].to and all(
            mine >= theirs for mine, theirs in zip(self._deadlines(one), self._deadlines(other), strict=True)
        )

    def _apply(self, state: State, writer: _Writer) -> State | None:
        mine = next((held for held in state if held.id == writer.id), None)
        if writer.to is None or writer.moves:
            if mine is None:
                return None
            state = tuple(held for held in state if held is not mine)
        elif mine is not None:
            return None
        if writer.to is None:
            return state
        if _depth(state, writer.to) >= self.group.capacity:
            return None
        return tuple(sorted((*state, _Held(writer.id, writer.to))))

    def _satisfied(self, state: State) -> int:
        mask = self._satisfied_by.get(state)
        if mask is None:
            mask = sum(
                1 << index for index in _bits(self._pending_readers) if self._explains(state, self._readers[index])
            )
            self._satisfied_by[state] = mask
        return mask & self._pending_readers

    def _explains(self, state: State, reader: Reader) -> bool:
        claim = reader.claim
        if claim is Claim.NOT_HELD:
            return all(held.id != reader.id for held in state)
        if claim is Claim.HELD_BY:
            return any(held.id == reader.id and overlap(held.range, reader.range) for held in state)
        if claim is Claim.HELD_BY_OTHER:
            return _depth([held for held in state if held.id != reader.id], reader.range) >= self.group.capacity
        if claim is Claim.HAD_PLACE and any(held.id == reader.id for held in state):
            return True
        full = _depth(state, reader.range) >= self.group.capacity
        return full if claim is Claim.HELD else not full


def _bits(mask: int) -> Iterator[int]:
    while mask:
        yield (mask & -mask).bit_length() - 1
        mask &= mask - 1


def _may_be_instant(booking: Booking) -> bool:
    """It took effect, and may have ended as soon as it began."""
    since, until = max(booking.begin_since, booking.end_since), min(booking.begin_until, booking.end_until)
    well_formed = booking.begin_since <= booking.end_until
    return not booking.optional and not booking.moves and booking.end_until < NEVER and since <= until and well_formed


def _writers(booking: Booking, *, must: bool) -> Iterator[_Writer]:
    begin_until = min(booking.begin_until, booking.end_until)
    yield _Writer(booking.id, booking.range, False, booking.begin_since, begin_until, must)
    for move in booking.moves:
        yield _Writer(booking.id, move.to, True, move.since, move.until, must and not move.optional)
    if booking.ends:
        must_end = must and booking.end_until < NEVER
        yield _Writer(booking.id, None, False, booking.end_since, booking.end_until, must_end)


def _depth(state: Iterable[_Held], span: Range) -> int:
    """The most bookings that hold one point of the range."""
    inside = [held.range for held in state if overlap(held.range, span)]
    if len(inside) <= 1:
        return len(inside)
    points = {max(start, span[0]) for start, _ in inside}
    return max(sum(start <= point < end for start, end in inside) for point in points)
