"""From what the arrays could not explain to groups of a few bookings and readers, decided by the plain code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from slotproof.checks.exact.components import Component, judge_components, make_component
from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.greedy import Life, tighten
from slotproof.checks.exact.guesses import Unexplained, unexplained
from slotproof.checks.exact.model import Booking, Group, Reader
from slotproof.checks.exact.settle import HELD_BY, Settled
from slotproof.checks.exact.slot import Decision
from slotproof.checks.exact.slots import Components, SlotAnswers, SlotBookings, SlotReaders
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
    components, left = answers.components, None
    if components is not None and answers.bookings is not None:
        left = unexplained(components, answers.bookings, readers, answers.refused)
    maker.prepare(_concerned(answers, components, left))
    for index in answers.contradictions.tolist():
        yield Suspects(maker.group([index], []), Decision(Answer.IMPOSSIBLE))
    for pair in answers.overlapping:
        yield Suspects(maker.group(pair, []), Decision(Answer.IMPOSSIBLE))
    for pair in answers.squeezed:
        yield Suspects(maker.group(pair, []), Decision(Answer.IMPOSSIBLE))
    for reader, holder in answers.inside:
        yield Suspects(maker.group([holder], [reader]), Decision(Answer.IMPOSSIBLE))
    if components is not None and left is not None:
        refused = maker.refused_by_slot(answers.refused)
        parts = _Parts(components)
        by_slot: dict[int, tuple[list[_Part], list[_Part]]] = {}
        for number in left.alone.tolist():
            by_slot.setdefault(int(components.slot[number]), ([], []))[0].append(parts.of(number))
        for number in left.helped.tolist():
            by_slot[int(components.slot[number])][1].append(parts.of(number, without=left.helpers))
        for slot, (alone, helped) in by_slot.items():
            not_held = refused.get(slot, [])
            if not (left.helpers and _explained(maker, helped, not_held, cap)):
                yield from _judge(maker, slot, alone, not_held, cap)


def _explained(maker: _Maker, parts: list[_Part], refused: list[int], cap: int) -> bool:
    """Whether all are possible with the wide bookings that have not helped another component."""
    not_held = [maker.reader(index) for index in refused] if parts else []
    judged = judge_components([_component(maker, part) for part in parts], not_held, lambda: None, cap)
    return not judged.impossible and judged.rest is Answer.POSSIBLE


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


class _Parts:
    """The components one by one."""

    def __init__(self, components: Components) -> None:
        self._components = components
        self._pairs = [_in_order(pair) for pair in (components.forward, components.readers, components.narrow)]

    def of(self, number: int, without: frozenset[int] = frozenset()) -> _Part:
        forward, readers, narrow = (
            index[slice(*np.searchsorted(owner, [number, number + 1]))].tolist() for owner, index in self._pairs
        )
        components = self._components
        return _Part(
            bool(components.has_left[number]), bool(components.has_right[number]), forward, readers, narrow,
            [index for index in components.wide_of(number) if index not in without],
        )  # fmt: skip


def _in_order(pair: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    order = np.argsort(pair[0], kind="stable")
    return pair[0][order], pair[1][order]


def _concerned(answers: SlotAnswers, components: Components | None, left: Unexplained | None) -> set[int]:
    found = set(answers.contradictions.tolist())
    for pair in (*answers.overlapping, *answers.squeezed):
        found.update(pair)
    found.update(holder for _, holder in answers.inside)
    if components is not None and left is not None and left.alone.size:
        chosen = components.only(left.alone)
        found.update(chosen.forward[1].tolist(), chosen.narrow[1].tolist(), components.wide[2].tolist())
    return found


def _judge(maker: _Maker, slot: int, indices: list[_Part], refused: list[int], cap: int) -> Iterator[Suspects]:
    components: list[Component] = []
    index_of: dict[int, _Part] = {}
    for each in indices:
        component = _component(maker, each)
        index_of[id(component)] = each
        components.append(component)
    not_held = [maker.reader(index) for index in refused]
    judged = judge_components(components, not_held, lambda: maker.whole(slot), cap)
    for component, units in judged.impossible:
        each = index_of[id(component)]
        inside = [*each.forward, *each.narrow, *each.wide]
        group = maker.group(inside, [*each.readers, *refused])
        yield Suspects(group, Decision(Answer.IMPOSSIBLE, units, component.units()))
    if judged.rest is Answer.IMPOSSIBLE:
        whole = maker.whole(slot)
        assert whole is not None
        yield Suspects(whole, Decision(Answer.IMPOSSIBLE))
    elif judged.rest is Answer.TOO_MANY:
        yield Suspects(maker.group(indices[0].forward, []), Decision(Answer.TOO_MANY))


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

    def refused_by_slot(self, refused: Ints) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for slot, index in zip(self._readers.slot[refused].tolist(), refused.tolist(), strict=True):
            found.setdefault(slot, []).append(index)
        return found

    def whole(self, slot: int) -> Group | None:
        """The whole slot; None when it is too large."""
        bookings = np.flatnonzero(self._bookings.slot == slot).tolist()
        readers = np.flatnonzero(self._readers.slot == slot).tolist()
        if len(bookings) + len(readers) > _LARGEST_WHOLE:
            return None
        self.prepare(bookings)
        return self.group(bookings, readers)
