"""A slot with inverted bookings, cut where nothing ties its gaps together (CHECKER.md section 3b.7 and 8).

Between two neighbouring forward bookings lies a gap. Gaps are tied by a reader that may be right before or after the
booking between them, and by an inverted booking that may be on either side of it; each set of tied gaps is a component
and decided alone. An inverted booking whose window covers a whole gap is *wide*: it always finds a place, so it ties
nothing, but it may come to the help of one component that cannot be explained without it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from slotproof.checks.exact import frontier
from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.greedy import (
    Bound,
    Constraints,
    Life,
    Slot,
    book_unit,
    decide_forward,
    end_unit,
    read_unit,
)
from slotproof.checks.exact.model import BEFORE, BEYOND, NEVER, Booking, Claim, Group, Reader, Unit

_A_FEW = (1, 2, 3, 5, 8)
"""So many wide bookings are tried together before all of them."""


@dataclass
class Component:
    """Tied gaps with what can be said of them. `low`, `high`: nothing of it lies outside."""

    slot: Slot
    low: int
    high: int
    readers: list[Reader] = field(default_factory=list)
    wide: list[Life] = field(default_factory=list)

    def units(self) -> frozenset[Unit]:
        lives = [*self.slot.forward, *self.slot.inverted]
        units = {unit for life in lives for unit in (book_unit(life.booking), end_unit(life.booking), *life.units)}
        return frozenset(units | {read_unit(reader) for reader in self.readers})


@dataclass(frozen=True)
class Answered:
    answer: Answer
    units: frozenset[Unit] = frozenset()
    wider: frozenset[Unit] = frozenset()


@dataclass
class Judged:
    """The components of one slot. `impossible`: with the bounds that failed. `rest`: what the others come to."""

    impossible: list[tuple[Component, frozenset[Unit]]]
    rest: Answer


def decide_components(slot: Slot, constraints: Constraints, cap: int) -> Answered:
    """Exact, or TOO_MANY when a component, or the whole slot where nothing smaller decides, is beyond the cap."""
    refused = _undecided_refusals(slot)
    judged = judge_components(
        components_of(slot, constraints), refused, lambda: _whole(slot, constraints, refused), cap, stop_at_first=True
    )
    for component, units in judged.impossible:
        return Answered(Answer.IMPOSSIBLE, units, component.units())
    return Answered(judged.rest)


def judge_components(
    components: Iterable[Component],
    refused: Sequence[Reader],
    whole: Callable[[], Group | None],
    cap: int,
    *,
    stop_at_first: bool = False,
) -> Judged:
    """Each component alone, then the whole slot where several need a wide booking's help.

    `refused`: replies "not held" about inverted bookings. `whole`: the slot, for what no component decides alone; None
    when it is too large to be searched.
    """
    in_need = 0
    judged = Judged([], Answer.POSSIBLE)
    too_many = False
    for component in components:
        failure = decide_forward(component.slot)
        if failure is None:
            continue
        answer = Answer.IMPOSSIBLE
        if component.slot.inverted:
            answer = search(component, (), refused, cap)
        if answer is Answer.IMPOSSIBLE and component.wide:
            answer, _ = with_help(component, refused, cap)
            if answer is Answer.POSSIBLE:
                in_need += 1
        if answer is Answer.IMPOSSIBLE:
            judged.impossible.append((component, failure.units))
            if stop_at_first:
                return judged
        too_many = too_many or answer is Answer.TOO_MANY
    if judged.impossible or (not too_many and in_need <= 1):
        return judged
    group = whole()
    judged.rest = Answer.TOO_MANY if group is None else frontier.decide(group, cap)
    return judged


def _undecided_refusals(slot: Slot) -> list[Reader]:
    """Replies "not held" about inverted bookings that may have been held all the while."""
    inverted = {life.booking.id: life for life in slot.inverted}
    of_id = [reader for reader in slot.readers if reader.claim is Claim.NOT_HELD and reader.id in inverted]
    return [reader for reader in of_id if inverted[str(reader.id)].may_span(reader.since, reader.until)]


def components_of(slot: Slot, constraints: Constraints) -> Iterator[Component]:
    """All gaps of the slot, tied ones together."""
    begins = [life.begin_high.at for life in slot.forward]
    ends = [life.end_low.at for life in slot.forward]
    reaches = [_reach(life, begins, ends) for life in slot.inverted]
    tied = set(constraints.spanning)
    tied.update(first for first, last, wide in reaches if not wide and last > first)
    first = 0
    at = _by_gap(slot.inverted, reaches)
    while first <= len(begins):
        last = first
        while last in tied:
            last += 1
        yield _component(slot, constraints, first, last, at)
        first = last + 1


@dataclass
class _Inverted:
    narrow: dict[int, list[Life]] = field(default_factory=dict)
    wide: list[tuple[int, int, Life]] = field(default_factory=list)


def _by_gap(inverted: Sequence[Life], reaches: Sequence[tuple[int, int, bool]]) -> _Inverted:
    found = _Inverted()
    for life, (first, last, wide) in zip(inverted, reaches, strict=True):
        if wide:
            found.wide.append((first, last, life))
        else:
            found.narrow.setdefault(first, []).append(life)
    return found


def _reach(life: Life, begins: Sequence[int], ends: Sequence[int]) -> tuple[int, int, bool]:
    """The first and last gap that the window touches, and whether it covers a whole one."""
    since, until = life.window
    first, last = bisect_left(begins, since), bisect_right(ends, until)
    low = ends[first - 1] if first else BEFORE
    covers_first = low >= since and first < len(begins) and begins[first] <= until
    covers_second = first + 1 < len(begins) and begins[first + 1] <= until
    return first, last, covers_first or covers_second


def _component(slot: Slot, constraints: Constraints, first: int, last: int, inverted: _Inverted) -> Component:
    forward = slot.forward[max(first - 1, 0) : last + 1]
    readers = list(_readers(constraints, first, last))
    narrow = [life for gap in range(first, last + 1) for life in inverted.narrow.get(gap, ())]
    wide = [life for one, other, life in inverted.wide if one <= last and other >= first]
    return make_component(forward, narrow, wide, readers, has_left=first > 0, has_right=last < len(slot.forward))


def make_component(
    forward: Sequence[Life],
    narrow: list[Life],
    wide: list[Life],
    readers: list[Reader],
    *,
    has_left: bool,
    has_right: bool,
) -> Component:
    """`forward` with the border bookings, where there are any.

    Only the end of the booking before the component matters, and only the begin of the one behind it.
    """
    lives = list(forward)
    low, high = BEFORE, BEYOND
    if has_left:
        low = lives[0].end_low.at
        lives[0] = replace(lives[0], begin_low=Bound(BEFORE, ()), begin_high=Bound(BEFORE, ()))
    if has_right:
        high = lives[-1].begin_high.at
        never = Bound(NEVER, lives[-1].begin_high.units)
        lives[-1] = replace(lives[-1], end_low=never, end_high=never)
    return Component(Slot(lives, narrow, readers), low, high, readers, wide)


def _readers(constraints: Constraints, first: int, last: int) -> Iterator[Reader]:
    """Undecided readers of these gaps, each once."""
    seen: set[int] = set()
    for gap in range(first, last + 1):
        for of_kind in (constraints.last_end, constraints.first_begin, constraints.held, constraints.spanning):
            for instant in of_kind.get(gap, ()):
                if instant.reader is not None and instant.reader.op not in seen:
                    seen.add(instant.reader.op)
                    yield instant.reader


def search(component: Component, wide: Sequence[Life], refused: Iterable[Reader], cap: int) -> Answer:
    """The component with these of its wide bookings, and replies "not held" about any of its inverted ones."""
    return frontier.decide(_group(component, wide, refused), cap)


def _group(component: Component, wide: Sequence[Life], refused: Iterable[Reader]) -> Group:
    inverted = {life.booking.id for life in (*component.slot.inverted, *wide)}
    bookings = [_certain(life) for life in (*component.slot.forward, *component.slot.inverted)]
    bookings += [replace(_certain(life), optional=True) for life in wide]
    readers = [*component.readers, *(reader for reader in refused if reader.id in inverted)]
    return Group("", tuple(bookings), tuple(smallest(readers)))


def with_help(component: Component, refused: Sequence[Reader], cap: int) -> tuple[Answer, list[Life]]:
    """With any of its wide bookings, and which: first with a few, since the search for all together is long."""
    chosen = _enough(component, refused)
    for count in (*takewhile(len(chosen).__gt__, _A_FEW), len(chosen)):
        answer = search(component, chosen[:count], refused, cap)
        if answer is Answer.POSSIBLE:
            return answer, chosen[:count]
    return answer, []


def without_needless(component: Component, helpers: list[Life], refused: Sequence[Reader], cap: int) -> list[Life]:
    """Fewer of these helpers that explain it too, the last ones given back first. All, where they are more than a
    few: finding out costs a search for each."""
    for life in reversed(helpers if len(helpers) <= _A_FEW[-1] else ()):
        fewer = [each for each in helpers if each is not life]
        if fewer and search(component, fewer, refused, cap) is Answer.POSSIBLE:
            helpers = fewer
    return helpers


def _enough(component: Component, refused: Iterable[Reader]) -> list[Life]:
    """Of wide bookings that look alike inside the component, no more than it has readers: each that is of help there
    explains one that no other does."""
    named = {reader.id for reader in refused}
    chosen: list[Life] = []
    alike: Counter[tuple[int, int, int, int]] = Counter()
    for life in component.wide:
        look = _look(component, life)
        if life.booking.id in named or alike[look] < len(component.readers):
            chosen.append(life)
            alike[look] += 1
    return chosen


def _look(component: Component, life: Life) -> tuple[int, int, int, int]:
    """The booking's bounds as far as they lie inside the component."""
    return (
        max(life.begin_low.at, component.low),
        min(life.begin_high.at, component.high),
        max(life.end_low.at, component.low),
        min(life.end_high.at, component.high),
    )


def _certain(life: Life) -> Booking:
    """The booking with all that reads which name it say of its bounds."""
    return replace(
        life.booking,
        begin_since=life.begin_low.at,
        begin_until=life.begin_high.at,
        end_since=life.end_low.at,
        end_until=life.end_high.at,
    )


def smallest(readers: Iterable[Reader]) -> Iterator[Reader]:
    """Readers whose interval contains no other one with the same claim: what explains the inner explains the outer."""
    by_claim: dict[tuple[Claim, str | None], list[Reader]] = {}
    for reader in readers:
        by_claim.setdefault((reader.claim, reader.id), []).append(reader)
    for alike in by_claim.values():
        alike.sort(key=lambda reader: (reader.since, -reader.until))
        earliest = BEYOND
        for reader in reversed(alike):
            if reader.until < earliest:
                earliest = reader.until
                yield reader


def _whole(slot: Slot, constraints: Constraints, refused: Iterable[Reader]) -> Group:
    inverted = {life.booking.id for life in slot.inverted}
    readers = [*_readers(constraints, 0, len(slot.forward)), *(reader for reader in refused if reader.id in inverted)]
    bookings = tuple(_certain(life) for life in (*slot.forward, *slot.inverted))
    return Group("", bookings, tuple(smallest(readers)))
