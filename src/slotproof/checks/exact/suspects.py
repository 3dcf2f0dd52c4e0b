"""From what the arrays could not explain to groups of a few bookings and readers, decided by the plain code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from slotproof.checks.exact.components import (
    Component,
    judge_components,
    make_component,
    search,
    with_help,
    without_needless,
)
from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.greedy import Life, tighten
from slotproof.checks.exact.guesses import Guesses
from slotproof.checks.exact.model import Booking, Group, Reader
from slotproof.checks.exact.settle import HELD_BY, Settled
from slotproof.checks.exact.slot import Decision
from slotproof.checks.exact.slot_arrays import SlotBookings, SlotReaders
from slotproof.checks.exact.slot_components import Components
from slotproof.checks.exact.slots import SlotAnswers
from slotproof.record.columns import Ints, Numbers

_LARGEST_WHOLE = 20_000
"""Slots of more bookings and readers are not searched as a whole: the search would end at its cap."""


@dataclass(frozen=True)
class Suspects:
    """Some bookings and readers of one slot, and what is known of them."""

    group: Group
    decision: Decision


def suspects(
    settled: Settled,
    answers: SlotAnswers,
    bookings: SlotBookings,
    readers: SlotReaders,
    codes: Numbers,
    chosen: Numbers,
    cap: int,
) -> Iterator[Suspects]:
    """`codes`: booking code of each index in `bookings`; `chosen`: index into the settled readers of each reader."""
    maker = _Maker(settled, bookings, readers, codes, chosen)
    hard = None if answers.components is None else _Hard.of(maker, answers.components, answers, readers, cap)
    maker.prepare(_concerned(answers, hard))
    for index in answers.contradictions.tolist():
        yield Suspects(maker.group([index], []), Decision(Answer.IMPOSSIBLE))
    for pair in answers.overlapping:
        yield Suspects(maker.group(pair, []), Decision(Answer.IMPOSSIBLE))
    for pair in answers.squeezed:
        yield Suspects(maker.group(pair, []), Decision(Answer.IMPOSSIBLE))
    for reader, holder in answers.inside:
        yield Suspects(maker.group([holder], [reader]), Decision(Answer.IMPOSSIBLE))
    if hard is not None and hard.numbers.size:
        for slot in dict.fromkeys(hard.components.slot[hard.unexplained()].tolist()):
            yield from hard.judged(slot)


@dataclass(frozen=True)
class _Hard:
    """The components that no guess explains alone: `numbers`."""

    maker: _Maker
    components: Components
    guesses: Guesses
    parts: _Parts
    numbers: Ints
    cap: int

    @classmethod
    def of(cls, maker: _Maker, components: Components, answers: SlotAnswers, readers: SlotReaders, cap: int) -> _Hard:
        guesses = Guesses(components, answers.bookings, readers, answers.refused)
        parts = _Parts(components, readers, answers.refused)
        return cls(maker, components, guesses, parts, guesses.alone(), cap)

    def unexplained(self) -> list[int]:
        """Those for which no explanation was found in which each wide booking helps one component at most.

        Guesses give each its helpers. Who needs a better search is then served first, and whoever loses a helper by
        it is in need again. Helpers that a search found are taken away only where nothing else is left, and only
        once for each component: so there is an end.
        """
        unexplained: list[int] = []
        insisted: set[int] = set()
        helps: dict[int, int] = {}
        reserved: set[int] = set()
        in_need = self.numbers
        while in_need.size:
            left, helped = self.guesses.with_help(in_need, frozenset(helps))
            helps |= helped
            robbed: set[int] = set()
            for number in left.tolist():
                part = self.parts.of(number)
                wide = sorted(part.wide, key=lambda index: (index in reserved, index in helps))
                free = [index for index in wide if index not in reserved]
                needed = self._needed(replace(part, wide=free))
                if needed is None and len(free) < len(wide) and number not in insisted:
                    insisted.add(number)
                    needed = self._needed(replace(part, wide=wide))
                if needed is None:
                    unexplained.append(number)
                    continue
                robbed |= {helps[index] for index in needed & helps.keys()}
                helps |= dict.fromkeys(needed, number)
                reserved |= needed
            helps = {index: number for index, number in helps.items() if number not in robbed}
            reserved &= helps.keys()
            in_need = np.array(sorted(robbed), np.int64)
        return unexplained

    def judged(self, slot: int) -> Iterator[Suspects]:
        """All such components of one slot: what cannot be, or is not decided."""
        maker = self.maker
        numbers = self.numbers[self.components.slot[self.numbers] == slot].tolist()
        found = [(_component(maker, part), part) for part in map(self.parts.of, numbers)]
        components = [component for component, _ in found]
        part_of = {id(component): part for component, part in found}
        bookings = dict.fromkeys(index for part in part_of.values() for index in part.inverted)
        judged = judge_components(components, self._not_held(bookings), lambda: maker.whole(slot), self.cap)
        for component, units in judged.impossible:
            part = part_of[id(component)]
            readers = [*part.readers, *self.parts.refused(part.inverted)]
            group = maker.group([*part.forward, *part.inverted], readers)
            yield Suspects(group, Decision(Answer.IMPOSSIBLE, units, component.units()))
        if judged.rest is Answer.IMPOSSIBLE:
            whole = maker.whole(slot)
            assert whole is not None
            yield Suspects(whole, Decision(Answer.IMPOSSIBLE))
        elif judged.rest is Answer.TOO_MANY:
            yield Suspects(maker.group(self.parts.of(numbers[0]).forward, []), Decision(Answer.TOO_MANY))

    def _needed(self, part: _Part) -> set[int] | None:
        """The wide bookings with which a search explains the component; None when it does not."""
        component = _component(self.maker, part)
        not_held = self._not_held(part.inverted)
        if search(component, (), not_held, self.cap) is Answer.POSSIBLE:
            return set()
        answer, chosen = with_help(component, not_held, self.cap)
        if answer is not Answer.POSSIBLE:
            return None
        chosen = without_needless(component, chosen, not_held, self.cap)
        index_of = {self.maker.life(index).booking.id: index for index in part.wide}
        return {index_of[life.booking.id] for life in chosen}

    def _not_held(self, bookings: Iterable[int]) -> list[Reader]:
        return [self.maker.reader(index) for index in self.parts.refused(bookings)]


def _component(maker: _Maker, part: _Part) -> Component:
    return make_component(
        [maker.life(index) for index in part.forward],
        [maker.life(index) for index in part.narrow],
        [maker.life(index) for index in part.wide],
        [maker.reader(index) for index in part.readers],
        has_left=part.has_left,
        has_right=part.has_right,
    )


@dataclass(frozen=True)
class _Part:
    """One component: indices of bookings and readers."""

    has_left: bool
    has_right: bool
    forward: list[int]
    readers: list[int]
    narrow: list[int]
    wide: list[int]

    @property
    def inverted(self) -> list[int]:
        return [*self.narrow, *self.wide]


class _Parts:
    """The components one by one."""

    def __init__(self, components: Components, readers: SlotReaders, refused: Ints) -> None:
        self._components = components
        self._refused: dict[int, list[int]] = {}
        for booking, index in zip(readers.booking[refused].tolist(), refused.tolist(), strict=True):
            self._refused.setdefault(booking, []).append(index)
        self._pairs = [_in_order(pair) for pair in (components.forward, components.readers, components.narrow)]

    def of(self, number: int) -> _Part:
        forward, readers, narrow = (
            index[slice(*np.searchsorted(owner, [number, number + 1]))].tolist() for owner, index in self._pairs
        )
        components = self._components
        return _Part(
            bool(components.has_left[number]), bool(components.has_right[number]), forward, readers, narrow,
            components.wide_of(number),
        )  # fmt: skip

    def refused(self, bookings: Iterable[int]) -> list[int]:
        """Readers that say of these inverted bookings that they were not held."""
        return [index for booking in bookings for index in self._refused.get(booking, ())]


def _in_order(pair: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    order = np.argsort(pair[0], kind="stable")
    return pair[0][order], pair[1][order]


def _concerned(answers: SlotAnswers, hard: _Hard | None) -> set[int]:
    found = set(answers.contradictions.tolist())
    for pair in (*answers.overlapping, *answers.squeezed):
        found.update(pair)
    found.update(holder for _, holder in answers.inside)
    if hard is not None and hard.numbers.size:
        chosen = hard.components.only(hard.numbers)
        found.update(chosen.forward[1].tolist(), chosen.narrow[1].tolist(), chosen.wide[2].tolist())
    return found


class _Maker:
    """Makes objects of indices, each once."""

    def __init__(
        self, settled: Settled, bookings: SlotBookings, readers: SlotReaders, codes: Numbers, chosen: Numbers
    ) -> None:
        self._settled = settled
        self._bookings = bookings
        self._readers = readers
        self._codes = codes
        self._chosen = chosen
        self._made: dict[int, Booking] = {}
        self._lives: dict[int, Life] = {}
        self._naming: dict[int, list[int]] = {}

    def prepare(self, indices: Iterable[int]) -> None:
        """Look up the ops of many bookings at once: each look costs a pass over the history."""
        wanted = [index for index in indices if index not in self._made]
        if not wanted:
            return
        found = self._settled.bookings(self._codes[wanted])
        self._made.update((index, found[int(self._codes[index])]) for index in wanted)
        flags = np.zeros(len(self._codes) + 1, np.bool_)
        flags[wanted] = True
        readers = self._readers
        naming = np.flatnonzero((readers.claim == HELD_BY) & flags[readers.booking])
        for reader, index in zip(naming.tolist(), readers.booking[naming].tolist(), strict=True):
            self._naming.setdefault(index, []).append(reader)

    def reader(self, index: int) -> Reader:
        return self._settled.reader(int(self._chosen[index]))

    def life(self, index: int) -> Life:
        if index not in self._lives:
            naming = [self.reader(reader) for reader in self._naming.get(index, ())]
            self._lives[index] = tighten(self._made[index], naming)
        return self._lives[index]

    def group(self, bookings: Iterable[int], readers: Sequence[int]) -> Group:
        """With all readers that name one of the bookings."""
        inside = list(dict.fromkeys(bookings))
        naming = [reader for index in inside for reader in self._naming.get(index, ())]
        found = [self.reader(reader) for reader in dict.fromkeys([*readers, *naming])]
        settled = self._settled
        if inside:
            resource = int(settled.history.booking_resource[self._codes[inside[0]]])
        else:
            resource = int(
                settled.history.places.resource[
                    settled.history.place[settled.readers.row[self._chosen[next(iter(readers))]]]
                ]
            )
        name = settled.history.resources[resource]
        return Group(name, tuple(self._made[index] for index in inside), tuple(found))

    def whole(self, slot: int) -> Group | None:
        """The whole slot; None when it is too large."""
        bookings = np.flatnonzero(self._bookings.slot == slot).tolist()
        readers = np.flatnonzero(self._readers.slot == slot).tolist()
        if len(bookings) + len(readers) > _LARGEST_WHOLE:
            return None
        self.prepare(bookings)
        return self.group(bookings, readers)
