"""Most components with inverted bookings are explained by a guess, all at once.

A guess says of an inverted booking that it held at some instant p: then it is a forward one, began by p and ended
after p, and the greedy decides the rest exactly. A guess that the greedy accepts proves that an order exists; one that
it refuses proves nothing, and is changed near what is wrong. What no guess explains goes to the search (CHECKER.md
section 3b.7). Guesses are drawn from a fixed seed: the same history gets the same answer.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np

from slotproof.checks.exact.model import BEFORE, NEVER
from slotproof.checks.exact.settle import HELD
from slotproof.checks.exact.slot_arrays import Failing, SlotBookings, SlotReaders
from slotproof.checks.exact.slot_components import Components
from slotproof.checks.exact.slots import Trials
from slotproof.record.columns import NONE, Flags, Ints

_STAGES = ((24, 1), (90, 4))
"""Rounds, and how many copies of each component take part in them: one that needs luck gets more of it."""
_ROOM = 200
"""How many copies there may be in all: from here on, what a round costs grows with them."""
_HELPERS = ((1,) * 3, (1,) * 3, (2,) * 4, (2,) * 4)
"""How many wide bookings the copies of each component get, attempt by attempt."""
_ROUNDS_WITH_HELP = 48
_TIDY = 8
"""So many rounds after which those that are explained are put aside; sooner when less than `_MOST` are left."""
_MOST = 0.7
_PATIENCE, _SHORT_PATIENCE = 20, 8
"""After so many rounds that explain nothing the rest is left to the search; sooner where it is few."""
_FEW = 3
"""Fewer components than this are searched sooner than guessed."""
_CHANGED = 1.3
"""How many of the inverted bookings near what is wrong a round changes, on average."""
_BOLD, _BOLDNESS = 0.1, 3
"""The share of changes that are kept though they make it worse, by so much: it leads out of dead ends."""
_THERE = 0.3
"""The share of changes that are drawn from the very times at which something is wrong."""
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
        for rounds, most in _STAGES:
            copies = max(1, min(most, _ROOM // max(1, len(left))))
            left = left[self._climb(components.only(left).copies(copies), copies, rounds)[0]]
            if len(left) < _FEW:
                break
        return np.sort(np.concatenate([np.flatnonzero(~has_narrow), left]))

    def with_help(self, numbers: Ints, taken: frozenset[int]) -> tuple[Ints, dict[int, int]]:
        """Those of the components that no guess explains with one or two wide bookings, and, by booking that helps
        one of the others, which one. A booking helps one component; the `taken` ones help none."""
        wide = {number: self._components.wide_of(number) for number in numbers.tolist()}
        left = numbers
        helped_by: dict[int, int] = {}
        for counts in _HELPERS:
            used = {*taken, *helped_by}
            picks: list[tuple[int, int, int]] = []
            for copy, count in enumerate(counts):
                for number in left.tolist():
                    free = list(islice((each for each in wide[number] if each not in used), count))
                    used.update(free)
                    picks += [(copy, number, each) for each in free]
            helped = np.unique(np.array([number for _, number, _ in picks], np.int64))
            if not helped.size:
                break
            copies = self._components.only(helped).copies(len(counts))
            at = [copy * len(helped) + int(np.searchsorted(helped, number)) for copy, number, _ in picks]
            helpers = [each for _, _, each in picks]
            still, solved = self._climb(_with_narrow(copies, at, helpers), len(counts), _ROUNDS_WITH_HELP)
            first = np.unique(solved % len(helped), return_index=True)[1]  # one copy of each is enough
            served = set(solved[first].tolist())
            helped_by.update(
                (each, number) for where, (_, number, each) in zip(at, picks, strict=True) if where in served
            )
            left = np.setdiff1d(left, np.delete(helped, still))
        return left, helped_by

    def _climb(self, components: Components, copies: int, rounds: int) -> tuple[Ints, Ints]:
        """Which components no guess explained, and which copies of the others some guess did.

        Each picks something that is wrong and changes what is near it, for better or, now and then, for worse.
        """
        rng = self._rng
        one = np.tile(np.arange(components.count // copies), copies)
        is_solved = np.zeros(components.count, np.bool_)
        left = np.arange(components.count)
        guess = _Guess(components, self._bookings, self._readers, self._refused)
        kept = guess.draw(rng, np.ones(guess.size, np.bool_))
        wrong = guess.failing(kept)
        latest = 0
        for number in range(rounds):
            explained = wrong.count(len(left)) == 0
            latest = number if (explained & ~is_solved[left]).any() else latest
            is_solved[left[explained]] = True
            others = ~np.isin(one[left], one[is_solved])
            if not others.all() and (number % _TIDY == 0 or others.mean() < _MOST):
                kept, wrong, left = kept[others[guess.owner]], wrong.only(others), left[others]
                guess = _Guess(components.only(left), self._bookings, self._readers, self._refused)
            patience = _PATIENCE if len(left) >= _FEW * copies else _SHORT_PATIENCE
            if not len(left) or number - latest > patience:
                break
            other = guess.changed(rng, kept, wrong)
            found, failures = guess.failing(other), wrong.count(len(left))
            bold = (rng.random(len(left)) < _BOLD) * _BOLDNESS
            taken = (failures > 0) & (found.count(len(left)) <= failures + bold)
            kept = np.where(taken[guess.owner], other, kept)
            wrong = Failing.together((wrong.of(~taken), found.of(taken)))
        is_solved[left[wrong.count(len(left)) == 0]] = True
        return np.setdiff1d(one, one[is_solved]), np.flatnonzero(is_solved)


def _with_narrow(components: Components, owners: list[int], helpers: list[int]) -> Components:
    """With more inverted bookings for some."""
    owner, booking = components.narrow
    more = (np.concatenate([owner, np.array(owners, np.int64)]), np.concatenate([booking, np.array(helpers, np.int64)]))
    return replace(components, narrow=more)


class _Guess:
    """Some components, each as a slot of its own. A guess is an instant for each inverted booking, or NONE."""

    def __init__(self, components: Components, bookings: SlotBookings, readers: SlotReaders, refused: Ints) -> None:
        self._components = components
        self._readers = readers
        of_forward, forward = components.forward
        self.owner, narrow = components.narrow
        self.size = len(self.owner)
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
        self._window = since[self._narrow], end_until[self._narrow]
        self._trials = Trials(components.count, SlotBookings(self._home, *self._times), self._chosen)

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
            refused = refused[np.argsort(readers.booking[refused], kind="stable")]
            first, last = (np.searchsorted(readers.booking[refused], narrow, side) for side in ("left", "right"))
            count = last - first
            at = np.arange(count.sum()) + np.repeat(last - np.cumsum(count), count)
            owner = np.concatenate([owner, np.repeat(of_narrow, count)])
            chosen = np.concatenate([chosen, refused[at]])
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

    def failing(self, guess: Ints) -> Failing:
        """What cannot be; nothing in a component proves that an order exists."""
        since, until, end_since, end_until = (each.copy() for each in self._times)
        at = self._narrow
        holds = (guess != NONE) & (since[at] <= guess) & (guess <= until[at]) & (guess + 1 <= end_until[at])
        at, instant = at[holds], guess[holds]
        until[at] = instant
        end_since[at] = np.maximum(end_since[at], instant + 1)
        guessed = SlotBookings(self._home, since, until, end_since, end_until)
        return self._trials.failing(guessed)

    def changed(self, rng: np.random.Generator, guess: Ints, wrong: Failing) -> Ints:
        """Another guess for one or two of the bookings near something that is wrong in their component."""
        order = rng.permutation(len(wrong.slot))
        pick = np.full(self._components.count, NONE, np.int64)
        pick[wrong.slot[order]] = order
        picked = pick[self.owner]
        since, until = wrong.since[picked], wrong.until[picked]
        since, until = np.minimum(since, until), np.maximum(since, until)
        near = (picked != NONE) & (self._window[0] <= until) & (since <= self._window[1])
        count = np.bincount(self.owner[near], minlength=self._components.count)[self.owner]
        changes = near & (rng.random(self.size) * np.maximum(count, _CHANGED) < _CHANGED)
        drawn = self.draw(rng, changes)
        low, high = np.maximum(self._useful[0], since), np.minimum(self._useful[1], until)
        there = changes & (low <= high) & (rng.random(self.size) < _THERE)
        drawn[there] = low[there] + (rng.random(int(there.sum())) * (high[there] - low[there])).astype(np.int64)
        return np.where(changes, drawn, guess)

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
