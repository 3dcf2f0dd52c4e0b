"""The greedy over all slots at once finds what the plain one finds slot by slot, and hands over the same components."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import numpy as np
import pytest
from tests.slotproof.checks.exact.generate import SLOT, generate, spoil
from tests.slotproof.checks.exact.reference import groups_of, resolve
from tests.slotproof.checks.exact.tight import tight
from tests.slotproof.checks.exact.traffic import Load, true_history

from slotproof.checks.exact import slots, timeline
from slotproof.checks.exact.components import Component, components_of, smallest
from slotproof.checks.exact.greedy import Failure, Slot, decide_forward, make_slot, place
from slotproof.checks.exact.model import BEFORE, BEYOND, NEVER, WHOLE, Booking, Claim, Group, Reader
from slotproof.checks.exact.settle import FREE, HELD, HELD_BY, NOT_HELD
from slotproof.checks.exact.slot_arrays import SlotBookings, SlotReaders
from slotproof.checks.exact.slots import SlotAnswers, Trials, decide_slots
from slotproof.record.columns import Ints
from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState

_CODES = {Claim.FREE: FREE, Claim.HELD: HELD, Claim.HELD_BY: HELD_BY, Claim.NOT_HELD: NOT_HELD}


class Shown(NamedTuple):
    """A component in words that both ways have."""

    has_left: bool
    has_right: bool
    forward: tuple[str, ...]
    narrow: frozenset[str]
    wide: frozenset[str]
    readers: frozenset[tuple[Claim, int, int]]


def failures_in(arrays: Arrays, slots: int) -> Ints:
    return Trials(slots, arrays.bookings, arrays.readers).failing(arrays.bookings).count(slots)


@pytest.mark.parametrize("rounds", [32, 0])
def test_both_ways_find_the_same(rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`rounds`: of the fixpoint, before the rest is done one by one."""
    monkeypatch.setattr(slots, "_ROUNDS", rounds)
    seen: Counter[str] = Counter()
    for groups in in_batches(slots_of(range(2000))):
        arrays = Arrays(groups)
        answers = decide_slots(len(groups), arrays.bookings, arrays.readers)
        failures = failures_in(arrays, len(groups))
        shown = arrays.shown(answers)
        for pair in answers.overlapping:
            assert isinstance(make_slot(*arrays.named(pair)), Failure), pair
        for pair in answers.squeezed:
            assert arrays.exclude_each_other(pair), pair
        for reader, holder in answers.inside:
            assert arrays.exclude_each_other((holder,), reader), holder
        for number, group in enumerate(groups):
            wrong = arrays.is_wrong(answers, number)
            found = shown.get(number, [])
            assert bool(failures[number]) is (wrong or bool(found)), group
            slot = make_slot(group.bookings, group.readers)
            if isinstance(slot, Failure):
                assert wrong, group
                seen["sold twice or contradicting"] += 1
                continue
            placed = place(slot)
            if isinstance(placed, Failure):
                assert wrong, group
                seen["certainly wrong"] += 1
                continue
            assert not wrong, group
            assert bool(found) is (decide_forward(slot) is not None), group
            plain = components_of(slot, placed)
            failing = [show(component) for component in plain if decide_forward(component.slot) is not None]
            assert set(failing) <= set(found) <= {show(component) for component in components_of(slot, placed)}, group
            seen.update(["possible" if not found else "failing"])
            seen.update({"narrow": any(each.narrow for each in found), "wide": any(each.wide for each in found)})
    assert min(seen.values()) >= 20, seen


def slots_of(seeds: Iterable[int]) -> Iterable[Group]:
    for seed in seeds:
        rng = random.Random(f"slots-{seed}")
        if seed % 4 == 0:
            history = generate(rng, SLOT)
        elif seed % 4 == 1:
            history = tight(rng, SLOT, known=6)
        elif seed % 4 == 2:
            history = chain(rng)
        else:
            load = Load(ops=rng.randint(16, 60), clients=rng.randint(2, 6), unknown=rng.choice((0.0, 0.2, 0.5)))
            ticks = 100 * load.ops // load.clients
            history = spoil(rng, spoil(rng, true_history(rng, load), ticks), ticks)
        for resolved in resolve(history):
            for group in groups_of(resolved, 1, with_readers=True):
                if group.bookings:
                    yield group


def chain(rng: random.Random) -> History:
    """Bookings one after the other, whose bounds depend on one another: whatever says "free" for longer than a booking
    was held is right before it or behind it, and refusals are explained by one of two neighbours."""
    ops: list[HistoryOp] = []
    rows: list[RestRow] = []
    at = 0

    def add(function: Function, reply: Reply, since: int, until: int, name: str | None) -> None:
        ops.append(HistoryOp(len(ops) + 1, function, reply, since, until, "s", name))

    for number in range(rng.randint(3, 8)):
        name, begin = f"b{number}", at + rng.randint(0, 2)
        end = begin + rng.randint(1, 4)
        at = end + rng.randint(1, 4)
        add(Function.BOOK, Reply.OK, begin, rng.randint(begin, end), name)
        add(Function.CANCEL, Reply.OK, end, rng.randint(end, at), name)
        rows.append(RestRow("s", name, RestState.CANCELLED))
        for _ in range(rng.randint(0, 3)):
            since = rng.randint(begin - 3, at)
            what = rng.random()
            if what < 0.5:
                add(Function.FREE, Reply.FREE, since, since + rng.randint(1, 8), None)
            elif what < 0.7:
                add(Function.CANCEL, Reply.NOT_HELD, since, since + rng.randint(1, 8), name)
            else:
                add(Function.BOOK, Reply.CONFLICT, since, since + rng.randint(0, 4), f"refused{len(ops)}")
    return History(tuple(ops), tuple(rows))


def in_batches(groups: Iterable[Group]) -> Iterable[Sequence[Group]]:
    left = iter(groups)
    while batch := list(islice(left, 7)):
        yield batch


def show(component: Component) -> Shown:
    slot = component.slot
    forward = [life.booking.id for life in slot.forward]
    return Shown(
        has_left=component.low > BEFORE,
        has_right=component.high < BEYOND,
        forward=tuple(forward),
        narrow=frozenset(life.booking.id for life in slot.inverted),
        wide=frozenset(life.booking.id for life in component.wide),
        readers=frozenset((reader.claim, reader.since, reader.until) for reader in smallest(component.readers)),
    )


class Arrays:
    """Groups as the columns of as many slots."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._bookings = [(number, booking) for number, group in enumerate(groups) for booking in group.bookings]
        index = {(number, booking.id): at for at, (number, booking) in enumerate(self._bookings)}
        self._readers = [
            (number, reader)
            for number, group in enumerate(groups)
            for reader in group.readers
            if reader.claim not in (Claim.HELD_BY, Claim.NOT_HELD) or (number, reader.id) in index
        ]
        self.bookings = SlotBookings(
            np.array([number for number, _ in self._bookings], np.int32),
            *(
                np.array([getattr(booking, name) for _, booking in self._bookings], np.int64)
                for name in ("begin_since", "begin_until", "end_since", "end_until")
            ),
        )
        self.readers = SlotReaders(
            np.array([_CODES[reader.claim] for _, reader in self._readers], np.int8),
            np.array([number for number, _ in self._readers], np.int32),
            np.array([index.get((number, str(reader.id)), -1) for number, reader in self._readers], np.int32),
            np.array([reader.since for _, reader in self._readers], np.int64),
            np.array([reader.until for _, reader in self._readers], np.int64),
        )

    def is_wrong(self, answers: SlotAnswers, number: int) -> bool:
        """Whether something in the slot is certainly wrong."""
        wrong = [*answers.contradictions.tolist(), *(one for one, _ in (*answers.overlapping, *answers.squeezed))]
        numbers = {self._bookings[index][0] for index in wrong}
        return number in numbers | {self._readers[reader][0] for reader, _ in answers.inside}

    def named(self, indices: tuple[int, ...]) -> tuple[list[Booking], list[Reader]]:
        """Bookings, and the readers that saw one of them."""
        bookings = [self._bookings[index] for index in indices]
        readers = [
            reader
            for number, reader in self._readers
            if reader.claim is Claim.HELD_BY and (number, reader.id) in {(slot, each.id) for slot, each in bookings}
        ]
        return [booking for _, booking in bookings], readers

    def exclude_each_other(self, indices: tuple[int, ...], *more: int) -> bool:
        """Whether these bookings and readers, with all that saw one of the bookings, are impossible by themselves."""
        bookings, readers = self.named(indices)
        slot = make_slot(bookings, [*readers, *(self._readers[index][1] for index in more)])
        return isinstance(slot, Failure) or isinstance(place(slot), Failure)

    def shown(self, answers: SlotAnswers) -> dict[int, list[Shown]]:
        found: dict[int, list[Shown]] = {}
        components = answers.components
        for number in range(0 if components is None else components.count):
            assert components is not None
            forward, narrow, readers = (
                index[owner == number].tolist()
                for owner, index in (components.forward, components.narrow, components.readers)
            )
            found.setdefault(int(components.slot[number]), []).append(
                Shown(
                    has_left=bool(components.has_left[number]),
                    has_right=bool(components.has_right[number]),
                    forward=tuple(self._bookings[index][1].id for index in forward),
                    narrow=frozenset(self._bookings[index][1].id for index in narrow),
                    wide=frozenset(self._bookings[index][1].id for index in components.wide_of(number)),
                    readers=frozenset(map(self._told, readers)),
                )
            )
        return found

    def _told(self, index: int) -> tuple[Claim, int, int]:
        reader: Reader = self._readers[index][1]
        return reader.claim, reader.since, reader.until


def test_an_overlap_names_the_one_that_holds_longest() -> None:
    long = Booking("long", WHOLE, 0, 5, 100, 110, (1,), (2,))
    short = Booking("short", WHOLE, 6, 10, 12, 14, (3,), (4,))
    late = Booking("late", WHOLE, 15, 20, NEVER, NEVER, (5,), ())
    for others in ([], [Group("r", (long,), ())]):
        arrays = Arrays([*others, Group("s", (long, short, late), ())])
        pairs = decide_slots(1 + len(others), arrays.bookings, arrays.readers).overlapping
        first = len(others)
        assert pairs == [(first, first + 1), (first, first + 2)]


@pytest.mark.parametrize("rounds", [32, 0])
def test_what_two_replies_say_of_one_bound_both_count(rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_ROUNDS", rounds)
    booking = Booking("b", WHOLE, 0, 3, 10, 30, (1,), (2,))
    inside = Reader(3, Claim.NOT_HELD, WHOLE, 5, 6, "b")
    after = Reader(4, Claim.NOT_HELD, WHOLE, 7, 25, "b")
    for readers, failures in (([after], 0), ([inside], 1), ([inside, after], 1), ([after, inside], 1)):
        arrays = Arrays([Group("s", (booking,), tuple(readers))])
        assert failures_in(arrays, 1).tolist() == [failures]


@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_one_bound_may_set_the_next_for_as_long_as_there_are_bookings(count: int) -> None:
    """Each booking began late or ended early; each refusal in a gap means that one ended late or the next began early.
    Once the first is known to have begun early, so did all the others, and nothing explains the last refusal."""
    starts = [20 * number for number in range(count)]
    bookings = tuple(Booking(f"b{start}", WHOLE, start, start + 8, start + 10, start + 18, (), ()) for start in starts)
    readers = [Reader(start, Claim.NOT_HELD, WHOLE, start + 5, start + 14, f"b{start}") for start in starts]
    readers += [Reader(1000 + start, Claim.HELD, WHOLE, start + 16, start + 23) for start in starts]
    first = Reader(1, Claim.HELD, WHOLE, 2, 3)
    for told, is_wrong in ((readers, False), ([first, *readers], True)):
        arrays = Arrays([Group("s", bookings, tuple(told))])
        assert bool(failures_in(arrays, 1)[0]) is is_wrong
        slot = make_slot(bookings, told)
        assert isinstance(slot, Slot)
        assert bool(decide_forward(slot)) is is_wrong


@pytest.mark.parametrize("is_ranked", [False, True])
def test_one_trial_after_another_finds_what_each_finds_alone(is_ranked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`is_ranked`: as where the slots and the span of time do not fit into one number."""
    monkeypatch.setattr(timeline, "_LARGEST", 1 if is_ranked else 2**62)
    rng = np.random.default_rng(1)
    differing = 0
    for groups in in_batches(slots_of(range(300))):
        arrays = Arrays(groups)
        trials = Trials(len(groups), arrays.bookings, arrays.readers)
        before = failures_in(arrays, len(groups))
        for _ in range(3):
            narrower = narrowed(rng, arrays.bookings)
            found = trials.failing(narrower)
            alone = Trials(len(groups), narrower, arrays.readers).failing(narrower)
            assert found.count(len(groups)).tolist() == alone.count(len(groups)).tolist()
            assert (found.since.tolist(), found.until.tolist()) == (alone.since.tolist(), alone.until.tolist())
            differing += before.tolist() != found.count(len(groups)).tolist()
    assert differing > 5


def narrowed(rng: np.random.Generator, bookings: SlotBookings) -> SlotBookings:
    """Some of the bookings begin at one certain time, and end after it."""
    instant = (bookings.begin_since + rng.random(len(bookings.slot)) * 3).astype(np.int64)
    held = (instant <= bookings.begin_until) & (instant < bookings.end_until) & (rng.random(len(instant)) < 0.3)
    return replace(
        bookings,
        begin_until=np.where(held, instant, bookings.begin_until),
        end_since=np.where(held, np.maximum(bookings.end_since, instant + 1), bookings.end_since),
    )


def test_what_fails_is_located() -> None:
    """A change has to reach these times to mend it."""
    first = Booking("first", WHOLE, 0, 2, 10, 14, (1,), (2,))
    other = Booking("other", WHOLE, 3, 8, 20, 22, (3,), (4,))
    later = Booking("later", WHOLE, 16, 18, 30, 31, (5,), (6,))
    lost = Booking("lost", WHOLE, 0, 9, 3, NEVER, (7,), ())
    held, free = Reader(9, Claim.HELD, WHOLE, 15, 15), Reader(9, Claim.FREE, WHOLE, 4, 6)
    cases: list[tuple[list[Booking], list[Reader], list[tuple[int, int]]]] = [
        ([first, other], [], [(8, 10)] * 6 + [(10, 8)]),  # an overlap counts more than the gap without room
        ([first, later], [Reader(9, Claim.HELD, WHOLE, 13, 15)], []),
        ([first, later], [held], [(10, 18)]),
        ([first], [free], [(4, 6)]),
        ([first, lost], [], [(9, 3)]),
        ([replace(first, end_until=5)], [], [(2, 10)]),
        ([], [held], [(BEFORE, NEVER)]),
        ([first], [held], [(10, NEVER)]),
        ([later], [held, Reader(8, Claim.FREE, WHOLE, 16, 16)], [(BEFORE, 18)]),
    ]
    for bookings, readers, expected in cases:
        arrays = Arrays([Group("empty", (), ()), Group("s", tuple(bookings), tuple(readers))])
        found = Trials(2, arrays.bookings, arrays.readers).failing(arrays.bookings)
        assert found.slot.tolist() == [1] * len(expected)
        assert sorted(zip(found.since.tolist(), found.until.tolist(), strict=True)) == sorted(expected), bookings
