"""Keys are in the order of slot, then time, however long the history is."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slotproof.checks.exact.model import BEFORE, BEYOND, END_UNKNOWN, NEVER
from slotproof.checks.exact.timeline import Timeline

_SPECIAL = st.sampled_from([BEFORE, END_UNKNOWN, NEVER, BEYOND])
_SHORT = st.integers(-5, 5)
_LONG = st.integers(-5, 5).map(lambda number: number * 2**56)
_ENTRIES = st.lists(st.tuples(st.integers(0, 3), st.one_of(_SPECIAL, _SHORT, _LONG)), min_size=1, max_size=20)


@given(_ENTRIES, st.integers(4, 200))
def test_keys_are_in_the_order_of_slot_and_time(entries: list[tuple[int, int]], slots: int) -> None:
    slot, time = np.array(entries, np.int64).T
    timeline = Timeline(slots, (time, time[:0]))
    keys = timeline.keys(slot, time).tolist()
    ordered = sorted(zip(entries, keys, strict=True))
    for (one, key), (other, following) in pairwise(ordered):
        assert (key < following) if one < other else (key == following)
    for (of, _), key in zip(entries, keys, strict=True):
        edge = of * timeline.span
        assert edge <= key <= edge + timeline.beyond < edge + timeline.span
    assert timeline.keys(np.array([2]), np.array([BEFORE])).tolist() == [2 * timeline.span]
    assert timeline.keys(np.array([2]), np.array([BEYOND])).tolist() == [2 * timeline.span + timeline.beyond]


@given(st.lists(_LONG | _SHORT, min_size=1, max_size=9), st.integers(1, 2**40))
def test_keys_fit_into_62_bits(times: list[int], slots: int) -> None:
    timeline = Timeline(slots, (np.array(times, np.int64),))
    assert slots * timeline.span < 2**62
