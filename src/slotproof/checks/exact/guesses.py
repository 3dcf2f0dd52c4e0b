"""Most components with inverted bookings are explained by a guess, all at once.

A guess says of an inverted booking that it held at some instant p: then it is a forward one, began by p and ended
after p, and the greedy decides the rest exactly. A guess that the greedy accepts proves that an order exists; one that
it refuses proves nothing, and is changed here and there as long as that makes it no worse. What no guess explains goes
to the search (CHECKER.md section 3b.7). Guesses are drawn from a fixed seed: the same history gets the same answer.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np

from slotproof.checks.exact.model import BEFORE, NEVER
from slotproof.checks.exact.settle import HELD
from slotproof.checks.exact.slot_components import Components
from slotproof.checks.exact.slots import SlotBookings, SlotReaders, decide_slots
from slotproof.record.columns import NONE, Flags, Ints

_ROUNDS, _ROUNDS_WITH_HELP = 120, 24
_HELPERS = (1,) * 8 + (2,) * 6
"""How many wide bookings each component gets, attempt by attempt."""
_TIDY = 8
"""So many rounds after which those that are explained are put aside; sooner when they are more than `_MANY`."""
_MANY = 0.3
_FEW = 3
"""With fewer components than this the search is quicker than more rounds."""
_CHANGED = 1.5
"""How many inverted bookings of a component a round changes, on average."""
_ANYWHERE, _AFTER, _INSTANT = 0.15, 0.8, 0.25
"""Shares of guesses: at any time that makes sense; then, soon after the end of the booking before; then, never held."""
_SEED = 20_270_301


class Guesses:
    """What guesses explain of the components of one history.

    `bookings` with tightened bounds; `refused` as in `SlotAnswers`.
    """

    def __init__(self, components: Components, bookings: SlotBookings, readers: SlotReaders, refused: Ints) -> None:
        own = len(components.readers[1])
        rows = np.concatenate([components.readers[1], refused])  # few of all: what is near is found sooner
        self._components = replace(components, readers=(components.readers[0], np.arange(own)))
        self._bookings = bookings
        self._readers = SlotReaders(
            readers.claim[rows], readers.slot[rows], readers.booking[rows], readers.since[rows], readers.until[rows]
        )
        self._refused = np.arange(own, len(rows))
        self._rng = np.random.default_rng(_SEED)

    def alone(self) -> Ints:
        """The components that no guess explains without a wide booking's help."""
        components = self._components
        has_narrow = np.zeros(components.count, np.bool_)
        has_narrow[components.narrow[0]] = True
        left = np.flatnonzero(has_narrow)
        left = left[self._climb(components.only(left), _ROUNDS)]
        return np.sort(np.concatenate([np.flatnonzero(~has_narrow), left]))

    def with_help(self, numbers: Ints, taken: frozenset[int]) -> tuple[Ints, dict[int, int]]:
        """Those of the components that no guess explains with one or two wide bookings, and, by booking that helps
        one of the others, which one. A booking helps one component; the `taken` ones help none."""
        wide = {number: self._components.wide_of(number) for number in numbers.tolist()}
        left = numbers
        helped_by: dict[int, int] = {}
        for attempt, count in enumerate(_HELPERS):
            used = {*taken, *helped_by}
            picks: list[tuple[int, int]] = []
            for place, number in enumerate(left.tolist()):
                skipped = int(self._rng.integers(attempt + 1))
                free = list(islice((each for each in wide[number] if each not in used), skipped, skipped + count))
                used.update(free)
                picks += [(place, each) for each in free]
            if not picks:
                break
            failed = self._climb(_with_narrow(self._components.only(left), picks), _ROUNDS_WITH_HELP)
            still = set(failed.tolist())
            helped_by.update((pick, int(left[place])) for place, pick in picks if place not in still)
            left = left[failed]
        return left, helped_by

    def _climb(self, components: Components, rounds: int) -> Ints:
        """The components that no guess explained. Each keeps its best guess, and changes it in one or two places."""
        left = np.arange(components.count)
        guess = _Guess(components, self._bookings, self._readers, self._refused)
        best = guess.draw(self._rng, np.ones(guess.size, np.bool_))
        failures = guess.failures(best)
        for number in range(rounds):
            explained = failures == 0
            if explained.any() and (number % _TIDY == 0 or explained.mean() > _MANY):
                left, failures = left[~explained], failures[~explained]
                best = best[~explained[guess.owner]]
                guess = _Guess(components.only(left), self._bookings, self._readers, self._refused)
            if not len(left) or (len(left) < _FEW and number >= _TIDY):
                break
            changes = self._rng.random(guess.size) < _CHANGED / np.maximum(guess.count[guess.owner], _CHANGED)
            other = np.where(changes, guess.draw(self._rng, changes), best)
            found = guess.failures(other)
            better = found <= failures
            failures = np.where(better, found, failures)
            best = np.where(better[guess.owner], other, best)
        return left[failures > 0]


def _with_narrow(components: Components, picks: list[tuple[int, int]]) -> Components:
    """With more inverted bookings for some: pairs of component and booking."""
    owner, helper = np.array(picks, np.int64).T
    narrow = (np.concatenate([components.narrow[0], owner]), np.concatenate([components.narrow[1], helper]))
    return replace(components, narrow=narrow)


class _Guess:
    """Some components, each as a slot of its own. A guess is an instant for each inverted booking, or NONE."""

    def __init__(self, components: Components, bookings: SlotBookings, readers: SlotReaders, refused: Ints) -> None:
        self._components = components
        self._readers = readers
        of_forward, forward = components.forward
        self.owner, narrow = components.narrow
        self.size = len(self.owner)
        self.count = np.bincount(self.owner, minlength=components.count)
        self._home = np.concatenate([of_forward, self.owner])
        self._index = np.concatenate([forward, narrow])
        self._narrow = np.arange(len(of_forward), len(self._home))
        since, until = bookings.begin_since[self._index], bookings.begin_until[self._index]
        end_since, end_until = bookings.end_since[self._index], bookings.end_until[self._index]
        firsts = np.searchsorted(of_forward, np.flatnonzero(components.has_left), "left")
        lasts = np.searchsorted(of_forward, np.flatnonzero(components.has_right), "right") - 1
        since[firsts] = until[firsts] = BEFORE
        end_since[lasts] = end_until[lasts] = NEVER
        self._times = (since, until, end_since, end_until)
        self._after = self._previous_ends()[self._narrow]
        self._take_readers(refused)
        self._useful = self._reach_of_readers()

    def _previous_ends(self) -> Ints:
        """By booking: when the one that ended before it, in the component, was still held."""
        end_since = self._times[2]
        order = np.lexsort((end_since, self._home))
        found = np.full(len(order), BEFORE, np.int64)
        same = self._home[order[1:]] == self._home[order[:-1]]
        found[order[1:][same]] = end_since[order[:-1][same]]
        return found

    def _take_readers(self, refused: Ints) -> None:
        """The components' own, and those that say of one of their inverted bookings that it was not held."""
        readers = self._readers
        width = int(self._index.max(initial=0)) + 1
        keys = self._home * width + self._index
        order = np.argsort(keys)
        owner, chosen = self._components.readers
        if refused.size:
            of_narrow, narrow = self._components.narrow
            home = np.full(width, NONE, np.int64)
            home[narrow] = of_narrow
            known = refused[readers.booking[refused] < width]
            here = known[home[readers.booking[known]] != NONE]
            owner = np.concatenate([owner, home[readers.booking[here]]])
            chosen = np.concatenate([chosen, here])
        booking = readers.booking[chosen]
        wanted = owner * width + np.where((booking != NONE) & (booking < width), booking, 0)
        at = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
        place = np.where((booking != NONE) & (keys[order[at]] == wanted), order[at], NONE)
        useful = (booking == NONE) | (place != NONE)
        useful = np.flatnonzero(useful)
        useful = useful[np.lexsort((readers.since[chosen[useful]], owner[useful]))]  # sorts are quick then
        self._chosen = SlotReaders(
            readers.claim[chosen][useful],
            owner[useful],
            place[useful],
            readers.since[chosen][useful],
            readers.until[chosen][useful],
        )
        held = np.flatnonzero(self._chosen.claim == HELD)
        self._held = held[np.argsort(self._chosen.slot[held], kind="stable")]
        self._first_held = np.searchsorted(self._chosen.slot[self._held], self.owner, "left")
        self._held_count = np.searchsorted(self._chosen.slot[self._held], self.owner, "right") - self._first_held

    def _reach_of_readers(self) -> tuple[Ints, Ints]:
        """By inverted booking: from when until when it may hold and have something to explain."""
        first = np.full(self._components.count, NEVER, np.int64)
        last = np.full(self._components.count, BEFORE, np.int64)
        np.minimum.at(first, self._chosen.slot, self._chosen.since)
        np.maximum.at(last, self._chosen.slot, self._chosen.until)
        since, until, _, end_until = (each[self._narrow] for each in self._times)
        low = np.maximum(since, np.minimum(first[self.owner], until))
        return low, np.maximum(low, np.minimum(np.minimum(until, end_until - 1), last[self.owner]))

    def failures(self, guess: Ints) -> Ints:
        """How many things in each component cannot be; 0 proves that an order exists."""
        since, until, end_since, end_until = (each.copy() for each in self._times)
        at = self._narrow
        holds = (guess != NONE) & (since[at] <= guess) & (guess <= until[at]) & (guess + 1 <= end_until[at])
        at, instant = at[holds], guess[holds]
        until[at] = instant
        end_since[at] = np.maximum(end_since[at], instant + 1)
        guessed = SlotBookings(self._home, since, until, end_since, end_until)
        return decide_slots(self._components.count, guessed, self._chosen, with_components=False).failures

    def draw(self, rng: np.random.Generator, wanted: Flags) -> Ints:
        """For each wanted booking an instant inside some refusal of its component, or any that it may have held."""
        size = self.size
        low, high = self._useful
        pick = self._first_held + (rng.random(size) * self._held_count).astype(np.int64)
        share = rng.random(size)
        drawn = np.full(size, NONE, np.int64)
        some = wanted & (self._held_count > 0)
        reader = self._held[pick[some]]
        begins, ends = self._chosen.since[reader], self._chosen.until[reader]
        drawn[some] = begins + (share[some] * (ends - begins)).astype(np.int64)
        anywhere = wanted & (~some | (rng.random(size) < _ANYWHERE))
        drawn[anywhere] = low[anywhere] + (share[anywhere] * (high[anywhere] - low[anywhere])).astype(np.int64)
        low_next = np.maximum(low, self._after)
        after = wanted & (low_next <= high) & (rng.random(size) < _AFTER)
        drawn[after] = low_next[after] + (share[after] ** 3 * (high[after] - low_next[after])).astype(np.int64)
        drawn = np.where(drawn == NONE, NONE, np.clip(drawn, low, high))
        drawn[rng.random(size) < _INSTANT] = NONE
        return drawn
