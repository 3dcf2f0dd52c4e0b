"""All slots at once: the greedy of `greedy.py` as a fixpoint over arrays (CHECKER.md section 3b).

Every boundary starts at its closed-form bound; all conditionals that apply are applied together, until nothing
changes. What fails is handed over by component, to be decided, explained and worded by the plain code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial

import numpy as np

from slotproof.checks.exact.conditions import Conditions
from slotproof.checks.exact.model import BEFORE, NEVER
from slotproof.checks.exact.settle import FREE, HELD, NOT_HELD
from slotproof.checks.exact.slot_arrays import Failing, SlotBookings, SlotReaders, tightened
from slotproof.checks.exact.slot_components import Components, innermost
from slotproof.checks.exact.timeline import Timeline
from slotproof.record.columns import Flags, Ints, Numbers

_ROUNDS = 32
"""After so many rounds of the fixpoint the rest is done one by one: an adversary can force one for each booking."""
_OVERLAP = 6
"""An overlap fails as many times: the replies of its slot are left out, and none of them fails beside it."""


@dataclass
class SlotAnswers:
    """What cannot be, and what only a search can tell.

    `bookings`: with tightened bounds. `contradictions`: bookings whose own bounds exclude each other. `overlapping`:
    pairs whose cores overlap. `inside`: (reader, booking): called free inside a core. `squeezed`: (inverted booking,
    booking): no room beside it. `refused`: readers of the components' inverted bookings ("not held") that are not
    certainly right.
    """

    bookings: SlotBookings
    contradictions: Ints
    overlapping: list[tuple[int, int]]
    inside: list[tuple[int, int]]
    squeezed: list[tuple[int, int]]
    components: Components | None = None
    refused: Ints = field(default_factory=lambda: np.zeros(0, np.int64))


def decide_slots(slots: int, bookings: SlotBookings, readers: SlotReaders) -> SlotAnswers:
    """Slots without an entry in the answer are possible. Slots that were sold twice have their replies left out."""
    return _alone(slots, bookings, readers).answers()


class Trials:
    """The same slots and readers tried with one assignment of bookings after another, all within these bounds."""

    def __init__(self, slots: int, bounds: SlotBookings, readers: SlotReaders) -> None:
        self._slots = slots
        self._readers = readers
        timeline = _timeline(slots, bounds, readers)
        self._order = None if timeline.is_ranked else cache(partial(_in_order, timeline, readers))
        self._timeline = timeline

    def failing(self, bookings: SlotBookings) -> Failing:
        """What `decide_slots` finds wrong, only located: nothing in a slot means that it is possible."""
        if self._order is None:  # ranks know the times of the bounds only
            return _alone(self._slots, bookings, self._readers).failing()
        return _Slots(self._slots, bookings, self._readers, self._timeline, self._order).failing()


def _timeline(slots: int, bookings: SlotBookings, readers: SlotReaders) -> Timeline:
    times = (bookings.begin_since, bookings.begin_until, bookings.end_since, bookings.end_until)
    return Timeline(slots, (*times, readers.since, readers.until))


Ordered = tuple[Numbers, Ints, Ints]
"""Indices of readers, and the keys of their times."""


def _in_order(timeline: Timeline, readers: SlotReaders, claim: int) -> Ordered:
    """The readers that claim this, by slot and since, so that searches run in order."""
    which = np.flatnonzero(readers.claim == claim).astype(np.int32)
    since = timeline.keys(readers.slot[which], readers.since[which])
    order = np.argsort(since, kind="stable")
    which = which[order]
    since = since[order]
    del order  # there may be millions
    return which, since, timeline.keys(readers.slot[which], readers.until[which])


def _alone(slots: int, bookings: SlotBookings, readers: SlotReaders) -> _Slots:
    """Looked at once: their readers are put in order as they are needed, and not kept."""
    timeline = _timeline(slots, bookings, readers)
    return _Slots(slots, bookings, readers, timeline, partial(_in_order, timeline, readers))


class _Slots:
    def __init__(
        self,
        slots: int,
        bookings: SlotBookings,
        readers: SlotReaders,
        timeline: Timeline,
        in_order: Callable[[int], Ordered],
    ) -> None:
        self._slots = slots
        self._readers = readers
        self._timeline = timeline
        self._in_order = in_order
        self._bookings = bookings = tightened(bookings, readers)
        times = (bookings.begin_since, bookings.begin_until, bookings.end_since, bookings.end_until)
        bs, be, cs, ce = (timeline.keys(bookings.slot, each) for each in times)
        contradicts = (bs > be) | (cs > ce)
        forward = (be < cs) & ~contradicts
        self._contradictions = np.flatnonzero(contradicts)
        self._inverted = np.flatnonzero(~forward & ~contradicts)
        chosen = np.flatnonzero(forward)
        order = chosen[np.lexsort((cs[chosen], be[chosen]))].astype(np.int32)
        self._order = order
        self._window = (cs[self._inverted], be[self._inverted])
        self._inverted_slot = bookings.slot[self._inverted]
        self._inverted_reach = (bs[self._inverted], ce[self._inverted])
        self._slot = bookings.slot[order]
        self._bs, self._be, self._cs, self._ce = bs[order], be[order], cs[order], ce[order]
        del bs, be, cs, ce
        self._position = np.full(len(bookings.slot), -1, np.int32)
        self._position[order] = np.arange(len(order), dtype=np.int32)
        self._starts = np.searchsorted(self._slot, np.arange(slots + 1))
        self._bad = np.zeros(slots, np.bool_)
        self._bad[bookings.slot[self._contradictions]] = True

    def answers(self) -> SlotAnswers:
        answers = SlotAnswers(self._bookings, self._contradictions, _pairs(*self._overlapping()), [], [])
        conditions, failed = self._decide(answers)
        failed &= ~self._bad[self._gap_slot]
        if failed.any():
            answers.components = self._components(conditions, failed)
        answers.refused = self._refused_in(answers.components, answers.refused)
        return answers

    def _refused_in(self, components: Components | None, refused: Ints) -> Ints:
        """The readers of inverted bookings that count in a component."""
        if components is None:
            return refused[:0]
        readers = self._readers
        concerned = np.zeros(len(self._position), np.bool_)
        concerned[components.narrow[1]] = concerned[components.wide[2]] = True
        refused = refused[concerned[readers.booking[refused]]]
        return refused[innermost((readers.booking[refused],), readers.since[refused], readers.until[refused])]

    def failing(self) -> Failing:
        holder, begins_inside = (np.repeat(each, _OVERLAP) for each in self._overlapping())
        answers = SlotAnswers(self._bookings, self._contradictions, [], [], [])
        _, failed = self._decide(answers)
        bookings, readers, contradictions = self._bookings, self._readers, self._contradictions
        inside = np.array([reader for reader, _ in answers.inside], np.int64)
        squeezed = np.array([booking for booking, _ in answers.squeezed], np.int64)
        own = np.concatenate([squeezed, contradictions])
        return Failing.together(
            (
                Failing(bookings.slot[begins_inside], bookings.begin_until[begins_inside], bookings.end_since[holder]),
                Failing(readers.slot[inside], readers.since[inside], readers.until[inside]),
                Failing(bookings.slot[own], bookings.begin_until[own], bookings.end_since[own]),
                self._failing_gaps(np.flatnonzero(failed)),
            )
        )

    def _failing_gaps(self, gap: Ints) -> Failing:
        """From the end of the booking before the gap to the begin of the one behind it."""
        slot = self._gap_slot[gap]
        behind = gap - slot
        before = behind - 1
        since, until = np.full(len(gap), BEFORE, np.int64), np.full(len(gap), NEVER, np.int64)
        has_before, has_behind = before >= self._starts[slot], behind < self._starts[slot + 1]
        since[has_before] = self._bookings.end_since[self._order[before[has_before]]]
        until[has_behind] = self._bookings.begin_until[self._order[behind[has_behind]]]
        return Failing(slot, since, until)

    def _decide(self, answers: SlotAnswers) -> tuple[Conditions, Flags]:
        """The conditions, and the gaps with a boundary that no order can meet. What is certainly wrong is answered."""
        self._make_gaps()
        conditions = Conditions()
        self._place_free(conditions, answers)
        self._place_inverted(conditions, answers)
        self._place_held(conditions)
        self._place_not_held(conditions, answers)
        conditions.close()
        return conditions, self._fixpoint(conditions)

    def _overlapping(self) -> tuple[Numbers, Numbers]:
        """Holders, and for each a forward booking that begins inside its core."""
        if len(self._be) < 2:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        latest = np.maximum.accumulate(self._cs)
        # Never across slots: the keys of a later one are later.
        begins_inside = np.flatnonzero(latest[:-1] > self._be[1:]) + 1
        if not begins_inside.size:
            return begins_inside, begins_inside
        self._bad[self._slot[begins_inside]] = True
        holder = np.maximum.accumulate(np.where(self._cs == latest, np.arange(len(latest)), 0))[begins_inside - 1]
        return self._order[holder], self._order[begins_inside]

    def _make_gaps(self) -> None:
        """The gap before forward booking j is j + slot; the last one of each slot is open."""
        count = len(self._order)
        gaps = count + self._slots
        self._at = np.arange(count, dtype=np.int32) + self._slot.astype(np.int32)
        """Gap before each forward booking."""
        edge = np.arange(self._slots, dtype=np.int64) * self._timeline.span
        firsts = self._starts[:-1] + np.arange(self._slots)
        lasts = self._starts[1:] + np.arange(self._slots)
        self._first_gap, self._last_gap = firsts, lasts
        self._low = np.empty(gaps, np.int64)
        self._low[firsts] = edge
        self._low[self._at + 1] = self._cs
        self._high = np.empty(gaps, np.int64)
        self._high[lasts] = edge + self._timeline.beyond
        self._high[self._at] = self._be
        self._gap_slot = np.repeat(np.arange(self._slots, dtype=np.int32), lasts - firsts + 1)
        self._hi = self._high.copy()
        self._gam = np.empty(gaps, np.int64)
        self._gam[firsts] = edge
        self._gam[self._at + 1] = np.minimum(self._ce, self._high[self._at + 1])
        self._begin = np.empty(gaps, np.int64)
        self._begin[lasts] = edge
        self._begin[self._at] = self._bs

    def _readers_of(self, claim: int) -> Ordered:
        """In order; only those of slots that can still be explained."""
        which, since, until = self._in_order(claim)
        if not self._bad.any():
            return which, since, until
        good = ~self._bad[self._readers.slot[which]]
        return which[good], since[good], until[good]

    def _place_free(self, conditions: Conditions, answers: SlotAnswers) -> None:
        which, since, until = self._readers_of(FREE)
        inside, holder = self._free(conditions, which, self._readers.slot[which], since, until)
        answers.inside.extend(zip(which[inside].tolist(), holder, strict=True))

    def _place_inverted(self, conditions: Conditions, answers: SlotAnswers) -> None:
        """An inverted booking needs a free instant in its window: it may begin and end there at once."""
        since, until = self._window
        good = np.flatnonzero(~self._bad[self._inverted_slot])
        good = good[np.argsort(since[good], kind="stable")]
        tags = -2 - self._inverted[good]
        inside, holder = self._free(conditions, tags, self._inverted_slot[good], since[good], until[good])
        squeezed = self._inverted[good][inside]
        answers.squeezed.extend(zip(squeezed.tolist(), holder, strict=True))

    def _free(self, conditions: Conditions, tags: Ints, slot: Ints, since: Ints, until: Ints) -> tuple[Ints, list[int]]:
        """Bounds of what needs a free instant; which lie inside a core, and of which booking. `tags`: reader index, or
        -2 - index of an inverted booking."""
        at = np.searchsorted(self._be, since, "left")
        gap = at + slot
        low, high = self._low[gap], self._high[gap]
        wrong = low > until
        begins_after = ~wrong & (low < since)
        fits = ~wrong & (until < high)
        beyond = begins_after & ~fits
        np.minimum.at(self._gam, gap[fits], until[fits])
        lower = fits & begins_after
        over = np.flatnonzero(beyond)
        if over.size:
            next_gap = gap[over] + 1
            held_on = self._low[next_gap] > until[over]
            lower[over[held_on]] = True
            spans = over[~held_on & (until[over] < self._high[next_gap])]
            self._add_spanning(conditions, at[spans], since[spans], until[spans], tags[spans])
        np.maximum.at(self._begin, gap[lower], since[lower])
        conditions.note(gap[fits | lower], tags[fits | lower])
        inside = np.flatnonzero(wrong)
        return inside, self._order[at[inside] - 1].tolist()

    def _place_held(self, conditions: Conditions) -> None:
        which, since, until = self._readers_of(HELD)
        gap = np.searchsorted(self._cs, since, "left")
        gap += self._readers.slot[which]
        undecided = self._high[gap] > until
        gap = gap[undecided].astype(np.int32)
        conditions.held_gap.append(gap)
        conditions.held_since.append(since[undecided])
        conditions.held_until.append(until[undecided])
        conditions.note(gap, which[undecided])

    def _place_not_held(self, conditions: Conditions, answers: SlotAnswers) -> None:
        readers = self._readers
        which, since, until = self._readers_of(NOT_HELD)
        at = self._position[readers.booking[which]]
        forward = at >= 0
        self._add_spanning(conditions, at[forward], since[forward], until[forward], which[forward])
        if forward.all():
            return
        place = np.full(len(self._position), -1, np.int64)
        place[self._inverted] = np.arange(len(self._inverted))
        apart = ~forward & (place[readers.booking[which]] >= 0)
        inverted = place[readers.booking[which[apart]]]
        may_span = (self._inverted_reach[0][inverted] < since[apart]) & (
            until[apart] < self._inverted_reach[1][inverted]
        )
        answers.refused = which[apart][may_span]

    def _add_spanning(self, conditions: Conditions, at: Numbers, since: Ints, until: Ints, tags: Ints) -> None:
        """Left out where the booking cannot have held from before `since` until after `until`."""
        spans = (self._bs[at] < since) & (until < self._ce[at])
        conditions.add_spanning(self._at[at[spans]], since[spans], until[spans], tags[spans])

    def _fixpoint(self, conditions: Conditions) -> Flags:
        """Which gaps have a boundary that no order can meet."""
        hi, gam = self._hi, self._gam
        c_gap, c_since, c_until = conditions.held
        s_gap, s_since, s_until = conditions.spans
        for _ in range(_ROUNDS):
            fires = gam[c_gap] < c_since
            if fires.any():
                np.minimum.at(hi, c_gap[fires], c_until[fires])
                c_gap, c_since, c_until = c_gap[~fires], c_since[~fires], c_until[~fires]
            applies = hi[s_gap] < s_since
            if not applies.any():
                break
            np.minimum.at(gam, s_gap[applies] + 1, s_until[applies])
            s_gap, s_since, s_until = s_gap[~applies], s_since[~applies], s_until[~applies]
        else:
            self._one_by_one((c_gap, c_since, c_until), (s_gap, s_since, s_until))
        failed = np.zeros(len(hi), np.bool_)
        lasts = self._last_gap
        failed[lasts] = hi[lasts] < self._high[lasts]
        failed |= hi < self._begin
        failed[self._at + 1] |= gam[self._at + 1] < self._cs
        return failed

    def _one_by_one(self, held: tuple[Ints, Ints, Ints], spans: tuple[Ints, Ints, Ints]) -> None:
        hi, gam = self._hi, self._gam
        rest = [(2 * gap, since, until) for gap, since, until in zip(*(each.tolist() for each in held), strict=True)]
        rest += [
            (2 * gap + 1, since, until) for gap, since, until in zip(*(each.tolist() for each in spans), strict=True)
        ]
        for where, since, until in sorted(rest):
            gap, is_span = divmod(where, 2)
            if is_span and hi[gap] < since:
                gam[gap + 1] = min(gam[gap + 1], until)
            elif not is_span and gam[gap] < since:
                hi[gap] = min(hi[gap], until)

    def _components(self, conditions: Conditions, failed: Flags) -> Components:
        """The components that hold a failed gap: gaps tied by a reader, or by an inverted booking, of both."""
        gaps = len(failed)
        ties_next = np.zeros(gaps, np.bool_)
        ties_next[conditions.spans[0]] = True
        since, until = self._window
        first = np.searchsorted(self._be, since, "left") + self._inverted_slot
        last = np.searchsorted(self._cs, until, "right") + self._inverted_slot
        covers = (self._low[first] >= since) & (self._high[first] <= until)
        more = np.minimum(first + 1, self._last_gap[self._inverted_slot])
        covers |= (more > first) & (self._high[more] <= until)
        ties_next[first[~covers & (last > first)]] = True
        begins = np.ones(gaps, np.bool_)
        begins[1:] = ~ties_next[:-1]
        begins[self._first_gap] = True
        number = np.cumsum(begins) - 1
        heads = np.flatnonzero(begins)
        tails = np.append(heads[1:], gaps) - 1
        wanted = np.unique(number[failed])
        rank = np.full(len(heads), -1, np.int64)
        rank[wanted] = np.arange(len(wanted))
        rank = rank[number]  # by gap
        slot = self._gap_slot[heads[wanted]]
        low, high = heads[wanted] - slot - 1, tails[wanted] - slot
        has_left, has_right = low >= self._starts[slot], high < self._starts[slot + 1]
        low, count = low + ~has_left, high + has_right - (low + ~has_left)
        of_forward = np.repeat(np.arange(len(wanted)), count)
        at = np.arange(len(of_forward)) - np.repeat(np.cumsum(count) - count, count) + low[of_forward]
        tags = np.concatenate([conditions.noted, conditions.span_tags])
        of_tag = rank[np.concatenate([conditions.noted_gap, conditions.spans[0]])]
        mine = (of_tag >= 0) & (tags >= 0)
        of_reader, reader, readers = of_tag[mine], tags[mine], self._readers
        alike = (of_reader, readers.claim[reader], readers.booking[reader])
        inner = innermost(alike, readers.since[reader], readers.until[reader])
        of_narrow = rank[first]
        narrow = ~covers & (of_narrow >= 0)
        good = covers & ~self._bad[self._inverted_slot]
        good &= np.searchsorted(wanted, number[first], "left") < np.searchsorted(wanted, number[last], "right")
        return Components(
            slot=slot,
            has_left=has_left,
            has_right=has_right,
            forward=(of_forward, self._order[at]),
            readers=(of_reader[inner], reader[inner]),
            narrow=(of_narrow[narrow], self._inverted[narrow]),
            wide=(number[first[good]], number[last[good]], self._inverted[good]),
            origin=wanted,
        )


def _pairs(first: Numbers, second: Numbers) -> list[tuple[int, int]]:
    return list(zip(first.tolist(), second.tolist(), strict=True))
