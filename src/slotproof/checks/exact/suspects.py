"""From what the arrays could not explain to groups of a few bookings and readers, decided by the plain code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from slotproof.checks.exact.components import Component, is_easy, judge_components, make_component, search, with_help
from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.greedy import Life, tighten
from slotproof.checks.exact.guesses import Guesses
from slotproof.checks.exact.model import Booking, Group, Reader
from slotproof.checks.exact.settle import HELD_BY, Settled
from slotproof.checks.exact.slot import Decision
from slotproof.checks.exact.slot_components import Components
from slotproof.checks.exact.slots import SlotAnswers, SlotBookings, SlotReaders
from slotproof.record.columns import Ints, Numbers

_LARGEST_WHOLE = 20_000
"""Slots of more bookings and readers are not searched as a whole: the search would end at its cap."""
_CROWDED = 5
"""With so many inverted bookings, a component that no guess explains may well need no help."""


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
    components, guesses = answers.components, None
    alone = np.zeros(0, np.int64)
    if components is not None and answers.bookings is not None:
        guesses = Guesses(components, answers.bookings, readers, answers.refused)
        alone = guesses.alone()
    maker.prepare(_concerned(answers, components, alone))
    for index in answers.contradictions.tolist():
        yield Suspects(maker.group([index], []), Decision(Answer.IMPOSSIBLE))
    for pair in answers.overlapping:
        yield Suspects(maker.group(pair, []), Decision(Answer.IMPOSSIBLE))
    for pair in answers.squeezed:
        yield Suspects(maker.group(pair, []), Decision(Answer.IMPOSSIBLE))
    for reader, holder in answers.inside:
        yield Suspects(maker.group([holder], [reader]), Decision(Answer.IMPOSSIBLE))
    if components is not None and guesses is not None and alone.size:
        parts = _Parts(components, readers, answers.refused)
        left = _unexplained(maker, parts, guesses, alone, cap)
        for slot in dict.fromkeys(components.slot[left].tolist()):
            of_slot = [parts.of(number) for number in alone[components.slot[alone] == slot].tolist()]
            yield from _judge(maker, slot, of_slot, cap)


def _unexplained(maker: _Maker, parts: _Parts, guesses: Guesses, alone: Ints, cap: int) -> list[int]:
    """The components for which no explanation was found in which each wide booking helps one component at most.

    Guesses give each a helper; who needs several, or a better search, is then served first.
    """
    hard = [number for number in alone.tolist() if not _is_easy(maker, parts.of(number), cap)]
    left, helped_by = guesses.with_help(np.array(hard, np.int64), frozenset())
    unexplained: list[int] = []
    reserved: set[int] = set()
    for number in left.tolist():
        part = parts.of(number)
        wide = [index for index in part.wide if index not in reserved]
        part = replace(part, wide=sorted(wide, key=helped_by.__contains__))
        needed = _needed(maker, part, cap)
        if needed is None:
            unexplained.append(number)
        else:
            reserved |= needed
    robbed = np.unique([number for helper, number in helped_by.items() if helper in reserved])
    still, _ = guesses.with_help(robbed.astype(np.int64), frozenset(reserved | set(helped_by)))
    return [*unexplained, *still.tolist()]


def _is_easy(maker: _Maker, part: _Part, cap: int) -> bool:
    not_held = [maker.reader(index) for index in part.refused]
    return len(part.narrow) >= _CROWDED and is_easy(_component(maker, part), not_held, cap)


def _needed(maker: _Maker, part: _Part, cap: int) -> set[int] | None:
    """The wide bookings with which a search explains the component; None when it does not."""
    component = _component(maker, part)
    not_held = [maker.reader(index) for index in part.refused]
    if search(component, (), not_held, cap) is Answer.POSSIBLE:
        return set()
    answer, chosen = with_help(component, not_held, cap)
    if answer is not Answer.POSSIBLE:
        return None
    index_of = {maker.life(index).booking.id: index for index in part.wide}
    return {index_of[life.booking.id] for life in chosen}


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
    """One component: indices of bookings and readers. `refused`: those that say of an inverted one: not held."""

    slot: int
    has_left: bool
    has_right: bool
    forward: list[int]
    readers: list[int]
    narrow: list[int]
    wide: list[int]
    refused: list[int]


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
        wide = components.wide_of(number)
        refused = [index for booking in (*narrow, *wide) for index in self._refused.get(booking, ())]
        return _Part(
            int(components.slot[number]), bool(components.has_left[number]), bool(components.has_right[number]),
            forward, readers, narrow, wide, refused,
        )  # fmt: skip


def _in_order(pair: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    order = np.argsort(pair[0], kind="stable")
    return pair[0][order], pair[1][order]


def _concerned(answers: SlotAnswers, components: Components | None, alone: Ints) -> set[int]:
    found = set(answers.contradictions.tolist())
    for pair in (*answers.overlapping, *answers.squeezed):
        found.update(pair)
    found.update(holder for _, holder in answers.inside)
    if components is not None and alone.size:
        chosen = components.only(alone)
        found.update(chosen.forward[1].tolist(), chosen.narrow[1].tolist(), components.wide[2].tolist())
    return found


def _judge(maker: _Maker, slot: int, indices: list[_Part], cap: int) -> Iterator[Suspects]:
    components: list[Component] = []
    index_of: dict[int, _Part] = {}
    for each in indices:
        component = _component(maker, each)
        index_of[id(component)] = each
        components.append(component)
    not_held = [maker.reader(index) for index in dict.fromkeys(index for each in indices for index in each.refused)]
    judged = judge_components(components, not_held, lambda: maker.whole(slot), cap)
    for component, units in judged.impossible:
        each = index_of[id(component)]
        inside = [*each.forward, *each.narrow, *each.wide]
        group = maker.group(inside, [*each.readers, *each.refused])
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

    def whole(self, slot: int) -> Group | None:
        """The whole slot; None when it is too large."""
        bookings = np.flatnonzero(self._bookings.slot == slot).tolist()
        readers = np.flatnonzero(self._readers.slot == slot).tolist()
        if len(bookings) + len(readers) > _LARGEST_WHOLE:
            return None
        self.prepare(bookings)
        return self.group(bookings, readers)
