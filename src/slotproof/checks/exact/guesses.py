"""Most components with inverted bookings are explained by a guess, all at once.

A guess says of an inverted booking that it held at some instant p: then it is a forward one, began by p and ended
after p, and the greedy decides the rest exactly. A guess that the greedy accepts proves that an order exists; one that
it refuses proves nothing, and another is made. What no guess explains goes to the search (CHECKER.md section 3b.7).
Guesses are drawn from a fixed seed: the same history gets the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from slotproof.checks.exact.model import BEFORE, NEVER
from slotproof.checks.exact.settle import HELD
from slotproof.checks.exact.slots import Components, SlotBookings, SlotReaders, decide_slots
from slotproof.record.columns import END_UNKNOWN, Flags, Ints

_ROUNDS = 40
_FEW = 8
"""With fewer components than this the search is quicker than one more round."""
_TRIES = 4
"""So often a wide booking is tried with other guesses before another one."""
_SEED = 20_270_301


@dataclass(frozen=True)
class Unexplained:
    """Components by number. `alone`: those that no guess explained without a wide booking's help. `helped`: the part
    of them for which none was found either, when each wide booking helps one component at most; `helpers`: bookings
    that helped, and have no time for another one."""

    alone: Ints
    helped: Ints
    helpers: frozenset[int]


def unexplained(components: Components, bookings: SlotBookings, readers: SlotReaders, refused: Ints) -> Unexplained:
    """What no guess explained. `bookings` with tightened bounds; `refused` as in `SlotAnswers`."""
    rng = np.random.default_rng(_SEED)
    left = np.arange(components.count)
    has_narrow = np.zeros(components.count, np.bool_)
    has_narrow[components.narrow[0]] = True
    hopeless = left[~has_narrow]
    left = left[has_narrow]
    for _ in range(_ROUNDS):
        if len(left) < _FEW:
            break
        guess = _Guess(components.only(left), bookings, readers, refused)
        left = left[guess.refused_by_greedy(rng)]
    alone = np.sort(np.concatenate([hopeless, left]))
    helped, helpers = alone, frozenset[int]()
    if components.wide[2].size and alone.size:
        helped, helpers = _with_help(components.only(alone), bookings, readers, refused, rng)
        helped = alone[helped]
    return Unexplained(alone, helped, helpers)


def _with_help(
    components: Components, bookings: SlotBookings, readers: SlotReaders, refused: Ints, rng: np.random.Generator
) -> tuple[Ints, frozenset[int]]:
    """The same with one wide booking for each component."""
    wide = [components.wide_of(number) for number in range(components.count)]
    left = np.arange(components.count)
    helpers: set[int] = set()
    for attempt in range(_ROUNDS):
        taken = set(helpers)
        picks: list[tuple[int, int]] = []
        for place, number in enumerate(left.tolist()):
            free = _free(wide[number], taken, int(rng.integers(attempt // _TRIES + 1)))
            if free is not None:
                taken.add(free)
                picks.append((place, free))
        if not picks:
            break
        chosen = components.only(left)
        owner, helper = np.array(picks, np.int64).T
        narrow = (np.concatenate([chosen.narrow[0], owner]), np.concatenate([chosen.narrow[1], helper]))
        guess = _Guess(replace(chosen, narrow=narrow), bookings, readers, refused)
        failed = guess.refused_by_greedy(rng)
        helpers.update(pick for place, pick in picks if not failed[place])
        left = left[failed]
    return left, frozenset(helpers)


def _free(wide: list[int], taken: set[int], skipped: int) -> int | None:
    """The first that is not taken, after as many of those as are skipped."""
    free = (booking for booking in wide if booking not in taken)
    return next(islice(free, skipped, None), None)


class _Guess:
    """Some components, each as a slot of its own."""

    def __init__(self, components: Components, bookings: SlotBookings, readers: SlotReaders, refused: Ints) -> None:
        self._components = components
        self._readers = readers
        of_forward, forward = components.forward
        of_narrow, narrow = components.narrow
        self._owner = np.concatenate([of_forward, of_narrow])
        self._index = np.concatenate([forward, narrow])
        self._narrow = np.arange(len(of_forward), len(self._owner))
        since, until = bookings.begin_since[self._index], bookings.begin_until[self._index]
        end_since, end_until = bookings.end_since[self._index], bookings.end_until[self._index]
        firsts = np.searchsorted(of_forward, np.flatnonzero(components.has_left), "left")
        lasts = np.searchsorted(of_forward, np.flatnonzero(components.has_right), "right") - 1
        since[firsts] = until[firsts] = BEFORE
        end_since[lasts] = end_until[lasts] = NEVER
        self._times = (since, until, end_since, end_until)
        self._take_readers(refused)

    def _take_readers(self, refused: Ints) -> None:
        """The components' own, and those that say of one of their inverted bookings that it was not held."""
        readers = self._readers
        width = int(self._index.max(initial=0)) + 1
        keys = self._owner * width + self._index
        order = np.argsort(keys)
        owner, chosen = self._components.readers
        of_narrow, narrow = self._components.narrow
        if refused.size:
            home = np.full(width, -1, np.int64)
            home[narrow] = of_narrow
            about = readers.booking[refused]
            known = about < width
            here = refused[known][home[about[known]] >= 0]
            owner = np.concatenate([owner, home[readers.booking[here]]])
            chosen = np.concatenate([chosen, here])
        booking = readers.booking[chosen]
        wanted = owner * width + np.where(booking < width, booking, -1)
        at = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
        place = np.where((booking >= 0) & (keys[order][at] == wanted), order[at], -1)
        useful = (booking < 0) | (place >= 0)
        self._chosen = SlotReaders(
            readers.claim[chosen][useful],
            owner[useful],
            place[useful],
            readers.since[chosen][useful],
            readers.until[chosen][useful],
        )

    def refused_by_greedy(self, rng: np.random.Generator) -> Flags:
        since, until, end_since, end_until = (each.copy() for each in self._times)
        at = self._narrow
        instant = self._instants(rng, since[at], np.minimum(until[at], end_until[at]))
        holds = (since[at] <= instant) & (instant <= until[at]) & (instant + 1 <= end_until[at])
        holds &= rng.random(len(at)) < 0.75
        at, instant = at[holds], instant[holds]
        until[at] = instant
        end_since[at] = np.maximum(end_since[at], instant + 1)
        guessed = SlotBookings(self._owner, since, until, end_since, end_until)
        answers = decide_slots(self._components.count, guessed, self._chosen, with_components=False)
        failed = np.zeros(self._components.count, np.bool_)
        failed[answers.failed_slots] = True
        return failed

    def _instants(self, rng: np.random.Generator, low: Ints, high: Ints) -> Ints:
        """For each inverted booking the middle of some refusal in its component, or any instant it may have held."""
        owner = self._components.narrow[0]
        held = np.flatnonzero(self._chosen.claim == HELD)
        held = held[np.argsort(self._chosen.slot[held], kind="stable")]
        first = np.searchsorted(self._chosen.slot[held], owner, "left")
        count = np.searchsorted(self._chosen.slot[held], owner, "right") - first
        some = rng.random(len(owner))
        pick = np.minimum(first + (some * count).astype(np.int64), max(len(held) - 1, 0))
        known = np.minimum(high, END_UNKNOWN - 1)
        low = np.maximum(low, 0) if not len(held) else low
        known = np.where(known >= END_UNKNOWN - 1, low + 1, known)
        anywhere = low + (rng.random(len(owner)) * (np.maximum(known, low) - low)).astype(np.int64)
        if not len(held):
            return anywhere
        reader_since, reader_until = self._chosen.since[held[pick]], self._chosen.until[held[pick]]
        inside = reader_since + (rng.random(len(owner)) * (reader_until - reader_since)).astype(np.int64)
        inside = np.clip(inside, low, np.maximum(low, high - 1))
        return np.where((count > 0) & (rng.random(len(owner)) < 0.85), inside, anywhere)
