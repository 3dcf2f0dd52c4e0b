"""Most components with inverted bookings are explained by a guess, all at once.

A guess says of an inverted booking that it held at some instant p: then it is a forward one, began by p and ended
after p, and the greedy decides the rest exactly. A guess that the greedy accepts proves that an order exists; one that
it refuses proves nothing, and is changed here and there as long as that makes it no worse. What no guess explains goes
to the search (CHECKER.md section 3b.7). Guesses are drawn from a fixed seed: the same history gets the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from slotproof.checks.exact.model import BEFORE, NEVER
from slotproof.checks.exact.settle import HELD
from slotproof.checks.exact.slots import Components, SlotBookings, SlotReaders, decide_slots
from slotproof.record.columns import END_UNKNOWN, NONE, Flags, Ints, Words

_ROUNDS, _ROUNDS_WITH_HELP, _HELPERS = 120, 24, 12
_TIDY = 8
"""So many rounds after which those that are explained are put aside; sooner when they are more than `_MANY`."""
_MANY = 0.3
_FEW = 3
"""With fewer components than this the search is quicker than more rounds."""
_CHANGED = 1.5
"""How many inverted bookings of a component a round changes, on average."""
_ANYWHERE, _INSTANT = 0.15, 0.25
_LARGEST = 2**62
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
    has_narrow = np.zeros(components.count, np.bool_)
    has_narrow[components.narrow[0]] = True
    everything = np.arange(components.count)
    left = everything[has_narrow]
    left = left[_climb(components.only(left), bookings, readers, refused, rng, _ROUNDS)]
    alone = np.sort(np.concatenate([everything[~has_narrow], left]))
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
    for attempt in range(_HELPERS):
        taken = set(helpers)
        picks: list[tuple[int, int]] = []
        for place, number in enumerate(left.tolist()):
            free = _free(wide[number], taken, int(rng.integers(attempt + 1)))
            if free is not None:
                taken.add(free)
                picks.append((place, free))
        if not picks:
            break
        chosen = components.only(left)
        owner, helper = np.array(picks, np.int64).T
        narrow = (np.concatenate([chosen.narrow[0], owner]), np.concatenate([chosen.narrow[1], helper]))
        failed = _climb(replace(chosen, narrow=narrow), bookings, readers, refused, rng, _ROUNDS_WITH_HELP)
        still = set(failed.tolist())
        helpers.update(pick for place, pick in picks if place not in still)
        left = left[failed]
    return left, frozenset(helpers)


def _free(wide: list[int], taken: set[int], skipped: int) -> int | None:
    """The first that is not taken, after as many of those as are skipped."""
    free = (booking for booking in wide if booking not in taken)
    return next(islice(free, skipped, None), None)


def _climb(
    components: Components,
    bookings: SlotBookings,
    readers: SlotReaders,
    refused: Ints,
    rng: np.random.Generator,
    rounds: int,
) -> Ints:
    """The components that no guess explained. Each keeps its best guess, and changes it in one or two places."""
    left = np.arange(components.count)
    guess = _Guess(components, bookings, readers, refused)
    best = guess.draw(rng, np.ones(guess.size, np.bool_))
    failures = guess.failures(best)
    for number in range(rounds):
        explained = failures == 0
        if explained.any() and (number % _TIDY == 0 or explained.mean() > _MANY):
            left, failures = left[~explained], failures[~explained]
            best = best[~explained[guess.owner]]
            guess = _Guess(components.only(left), bookings, readers, refused)
        if not len(left) or (len(left) < _FEW and number >= _TIDY):
            break
        changes = rng.random(guess.size) < _CHANGED / np.maximum(guess.count[guess.owner], _CHANGED)
        other = np.where(changes, guess.draw(rng, changes), best)
        found = guess.failures(other)
        better = found <= failures
        failures = np.where(better, found, failures)
        best = np.where(better[guess.owner], other, best)
    return left[failures > 0]


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
        self._take_readers(refused)

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
        useful &= _innermost(readers.claim[chosen], owner, booking, readers.since[chosen], readers.until[chosen])
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
        at = self._narrow
        since, until, _, end_until = self._times
        low = since[at]
        high = np.minimum(until[at], end_until[at] - 1)
        pick = self._first_held + (rng.random(size) * self._held_count).astype(np.int64)
        share = rng.random(size)
        drawn = np.full(size, NONE, np.int64)
        some = wanted & (self._held_count > 0)
        reader = self._held[pick[some]]
        begins, ends = self._chosen.since[reader], self._chosen.until[reader]
        drawn[some] = begins + (share[some] * (ends - begins)).astype(np.int64)
        anywhere = wanted & (~some | (rng.random(size) < _ANYWHERE)) & (low > BEFORE) & (high < END_UNKNOWN)
        drawn[anywhere] = low[anywhere] + (share[anywhere] * (high[anywhere] - low[anywhere])).astype(np.int64)
        drawn = np.where(drawn == NONE, NONE, np.clip(drawn, low, np.maximum(low, high)))
        drawn[rng.random(size) < _INSTANT] = NONE
        return drawn


def _innermost(claim: Words, owner: Ints, booking: Ints, since: Ints, until: Ints) -> Flags:
    """Refusals that contain no other refusal of the same component: what explains the inner explains the outer."""
    kept = np.ones(len(claim), np.bool_)
    held = np.flatnonzero((claim == HELD) & (booking == NONE))
    if not held.size:
        return kept
    step = int(until[held].max()) - int(since[held].min()) + 1
    if step * (int(owner[held].max()) + 1) >= _LARGEST:
        return kept
    order = held[np.lexsort((until[held], -since[held], owner[held]))]
    lowered = until[order] - owner[order] * step  # falls from component to component, so that each begins anew
    least = np.minimum.accumulate(lowered)
    kept[order[1:]] = lowered[1:] < least[:-1]
    return kept


__all__ = ["Unexplained", "unexplained"]
