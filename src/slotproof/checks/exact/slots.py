"""All slots at once: the greedy of `greedy.py` as a fixpoint over arrays (CHECKER.md section 3b).

Every boundary starts at its closed-form bound; all conditionals that apply are applied together, until nothing
changes. What fails is handed over by component, to be decided, explained and worded by the plain code.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from slotproof.checks.exact.settle import FREE, HELD, HELD_BY, NOT_HELD
from slotproof.checks.exact.slot_components import Components, innermost
from slotproof.checks.exact.timeline import Timeline
from slotproof.record.columns import Flags, Ints, Numbers, Words

_ROUNDS = 32
"""After so many rounds of the fixpoint the rest is done one by one: an adversary can force one for each booking."""


@dataclass
class SlotBookings:
    """Bookings of all slots: slot number and intervals. What is said of them later is an index into these."""

    slot: Numbers
    begin_since: Ints
    begin_until: Ints
    end_since: Ints
    end_until: Ints


@dataclass
class SlotReaders:
    """Readers of all slots; `booking` is an index into the bookings for HELD_BY and NOT_HELD, else -1."""

    claim: Words
    slot: Numbers
    booking: Numbers
    since: Ints
    until: Ints


@dataclass
class SlotAnswers:
    """What cannot be, and what only a search can tell.

    `bookings`: with tightened bounds. `contradictions`: bookings whose own bounds exclude each other. `overlapping`:
    pairs whose cores overlap. `inside`: (reader, booking): called free inside a core. `squeezed`: (inverted booking,
    booking): no room beside it. `refused`: readers of inverted bookings ("not held") that are not certainly right.
    `failures`: how many things in each slot cannot be, as far as the greedy sees.
    """

    bookings: SlotBookings
    contradictions: Ints
    overlapping: list[tuple[int, int]]
    inside: list[tuple[int, int]]
    squeezed: list[tuple[int, int]]
    components: Components | None = None
    refused: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    failures: Ints = field(default_factory=lambda: np.zeros(0, np.int64))


def tightened(bookings: SlotBookings, readers: SlotReaders) -> SlotBookings:
    """Bounds after what a booking's own replies imply, and the reads that saw it."""
    begin_until = np.minimum(bookings.begin_until, bookings.end_until)
    end_since = np.maximum(bookings.end_since, bookings.begin_since)
    naming = np.flatnonzero(readers.claim == HELD_BY)
    if naming.size:
        named = readers.booking[naming]
        np.minimum.at(begin_until, named, readers.until[naming])
        np.maximum.at(end_since, named, readers.since[naming])
    return replace(bookings, begin_until=begin_until, end_since=end_since)


def decide_slots(
    slots: int, bookings: SlotBookings, readers: SlotReaders, *, with_components: bool = True
) -> SlotAnswers:
    """Slots without an entry in the answer are possible. Slots that were sold twice have their replies left out."""
    return _Slots(slots, bookings, readers).run(with_components=with_components)


class _Slots:
    def __init__(self, slots: int, bookings: SlotBookings, readers: SlotReaders) -> None:
        self._slots = slots
        self._readers = readers
        times = (bookings.begin_since, bookings.begin_until, bookings.end_since, bookings.end_until)
        self._timeline = timeline = Timeline(slots, (*times, readers.since, readers.until))
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

    def run(self, *, with_components: bool) -> SlotAnswers:
        overlapping = self._overlapping(with_pairs=with_components)
        answers = SlotAnswers(self._bookings, self._contradictions, overlapping, [], [])
        self._make_gaps()
        conditions = _Conditions()
        frees = np.flatnonzero(self._readers.claim == FREE)
        self._place_free(conditions, frees, answers)
        self._place_inverted(conditions, answers)
        self._place_held(conditions)
        self._place_not_held(conditions, answers)
        conditions.close()
        failed = self._fixpoint(conditions)
        failed &= ~self._bad[self._gap_slot]
        if failed.any() and with_components:
            answers.components = self._components(conditions, failed)
        wrong = [self._readers.slot[reader] for reader, _ in answers.inside]
        wrong += [self._bookings.slot[booking] for booking, _ in answers.squeezed]
        failing = np.concatenate([self._gap_slot[failed], np.array(wrong, np.int64)])
        answers.failures = np.bincount(failing, minlength=self._slots) + self._bad * len(failed)
        return answers

    def _overlapping(self, *, with_pairs: bool) -> list[tuple[int, int]]:
        """Each forward booking that begins inside the core of an earlier one, with that one."""
        if len(self._be) < 2:
            return []
        latest = np.maximum.accumulate(self._cs)
        # Never across slots: the keys of a later one are later.
        begins_inside = np.flatnonzero(latest[:-1] > self._be[1:]) + 1
        self._bad[self._slot[begins_inside]] = True
        if not (begins_inside.size and with_pairs):
            return []
        holder = np.maximum.accumulate(np.where(self._cs == latest, np.arange(len(latest)), 0))[begins_inside - 1]
        return list(zip(self._order[holder].tolist(), self._order[begins_inside].tolist(), strict=True))

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

    def _sorted(self, which: Ints) -> tuple[Numbers, Ints, Ints]:
        """Readers of slots that can still be explained, in order of (slot, since), so that searches run in order."""
        readers = self._readers
        which = which[~self._bad[readers.slot[which]]].astype(np.int32)
        since = self._timeline.keys(readers.slot[which], readers.since[which])
        order = np.argsort(since, kind="stable")
        which = which[order]
        since = since[order]
        del order  # there may be millions
        return which, since, self._timeline.keys(readers.slot[which], readers.until[which])

    def _place_free(self, conditions: _Conditions, which: Ints, answers: SlotAnswers) -> None:
        which, since, until = self._sorted(which)
        inside, holder = self._free(conditions, which, self._readers.slot[which], since, until)
        answers.inside.extend(zip(which[inside].tolist(), holder, strict=True))

    def _place_inverted(self, conditions: _Conditions, answers: SlotAnswers) -> None:
        """An inverted booking needs a free instant in its window: it may begin and end there at once."""
        since, until = self._window
        good = np.flatnonzero(~self._bad[self._inverted_slot])
        good = good[np.argsort(since[good], kind="stable")]
        tags = -2 - self._inverted[good]
        inside, holder = self._free(conditions, tags, self._inverted_slot[good], since[good], until[good])
        squeezed = self._inverted[good][inside]
        answers.squeezed.extend(zip(squeezed.tolist(), holder, strict=True))

    def _free(
        self, conditions: _Conditions, tags: Ints, slot: Ints, since: Ints, until: Ints
    ) -> tuple[Ints, list[int]]:
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
            conditions.add_spanning(at[spans], since[spans], until[spans], tags[spans], self)
        np.maximum.at(self._begin, gap[lower], since[lower])
        conditions.note(gap[fits | lower], tags[fits | lower])
        inside = np.flatnonzero(wrong)
        return inside, self._order[at[inside] - 1].tolist()

    def _place_held(self, conditions: _Conditions) -> None:
        which, since, until = self._sorted(np.flatnonzero(self._readers.claim == HELD))
        gap = np.searchsorted(self._cs, since, "left")
        gap += self._readers.slot[which]
        undecided = self._high[gap] > until
        gap = gap[undecided].astype(np.int32)
        conditions.held_gap.append(gap)
        conditions.held_since.append(since[undecided])
        conditions.held_until.append(until[undecided])
        conditions.note(gap, which[undecided])

    def _place_not_held(self, conditions: _Conditions, answers: SlotAnswers) -> None:
        readers = self._readers
        which, since, until = self._sorted(np.flatnonzero(readers.claim == NOT_HELD))
        at = self._position[readers.booking[which]]
        forward = at >= 0
        conditions.add_spanning(at[forward], since[forward], until[forward], which[forward], self)
        if forward.all():
            return
        place = np.full(len(self._position), -1, np.int64)
        place[self._inverted] = np.arange(len(self._inverted))
        apart = ~forward & (place[readers.booking[which]] >= 0)
        inverted = place[readers.booking[which[apart]]]
        may_span = (self._inverted_reach[0][inverted] < since[apart]) & (
            until[apart] < self._inverted_reach[1][inverted]
        )
        refused = which[apart][may_span]
        alike = (readers.booking[refused],)
        answers.refused = refused[innermost(alike, readers.since[refused], readers.until[refused])]

    def may_span(self, at: Numbers, since: Ints, until: Ints) -> Flags:
        """Whether the forward bookings may have held from before `since` until after `until`."""
        return (self._bs[at] < since) & (until < self._ce[at])

    def gap_before(self, at: Numbers) -> Numbers:
        return self._at[at]

    def _fixpoint(self, conditions: _Conditions) -> Flags:
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

    def _components(self, conditions: _Conditions, failed: Flags) -> Components:
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


class _Conditions:
    """Conditionals of all slots. C: the gap's left boundary is at `since` or later, or its right one at `until` or
    earlier. S: booking behind the gap began at `since` or later, or ended at `until` or earlier."""

    def __init__(self) -> None:
        self.held_gap: list[Ints] = []
        self.held_since: list[Ints] = []
        self.held_until: list[Ints] = []
        self._spans: list[tuple[Numbers, Ints, Ints, Ints]] = []
        self._noted: list[tuple[Ints, Ints]] = []

    def note(self, gap: Ints, tags: Ints) -> None:
        """These are not certainly right, and concern these gaps."""
        self._noted.append((gap.astype(np.int32), tags.astype(np.int32)))

    def add_spanning(self, at: Numbers, since: Ints, until: Ints, tags: Ints, slots: _Slots) -> None:
        """Left out where the booking cannot have spanned the interval."""
        spans = slots.may_span(at, since, until)
        self._spans.append((slots.gap_before(at[spans]), since[spans], until[spans], tags[spans]))

    def close(self) -> None:
        self.held = tuple(map(np.concatenate, (self.held_gap, self.held_since, self.held_until)))
        gap, since, until, self.span_tags = map(np.concatenate, zip(*self._spans, strict=True))
        self.spans = (gap, since, until)
        self.noted_gap, self.noted = map(np.concatenate, zip(*self._noted, strict=True))
        del self.held_gap, self.held_since, self.held_until, self._spans, self._noted
