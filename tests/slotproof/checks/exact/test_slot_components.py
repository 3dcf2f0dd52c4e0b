"""Of readers that say the same, only those count that contain no other one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slotproof.checks.exact.slot_components import innermost

_READERS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(-4, 4), st.integers(0, 4)), max_size=12)


@given(_READERS)
def test_what_is_left_out_contains_one_that_is_kept(readers: list[tuple[int, int, int, int]]) -> None:
    owner, claim, since, length = np.array(readers, np.int64).reshape(-1, 4).T
    until = since + length
    kept = innermost((owner, claim), since, until).tolist()
    intervals = list(zip(owner.tolist(), claim.tolist(), since.tolist(), until.tolist(), strict=True))
    left = [each for each, is_kept in zip(intervals, kept, strict=True) if is_kept]
    assert len(set(left)) == len(left)
    for one in intervals:
        inside = [
            each for each in left if each[:2] == one[:2] and one[2] <= each[2] and each[3] <= one[3] and each != one
        ]
        assert (one in left) is not bool(inside)
