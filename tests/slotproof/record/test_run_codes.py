"""Places get one code each, whatever the batches they come in."""

from __future__ import annotations

from itertools import chain

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slotproof.record.columns import NONE, WHOLE
from slotproof.record.run_codes import PlaceCodes

_TIMES = st.sampled_from([WHOLE[0], -5, 0, 5, 7, 2**33, WHOLE[1]])
_BATCHES = st.lists(st.lists(st.tuples(st.sampled_from([NONE, 0, 1, 70_000]), _TIMES, _TIMES), max_size=6), max_size=4)


@given(_BATCHES)
def test_equal_places_have_equal_codes_and_codes_name_their_places(batches: list[list[tuple[int, int, int]]]) -> None:
    places = PlaceCodes()
    found = []
    for batch in batches:
        resource, start, end = np.array(batch, np.int64).reshape(-1, 3).T
        found.append(places.codes(resource.astype(np.int32), start.copy(), end.copy()).tolist())
    table = places.places()
    named = list(zip(table.resource.tolist(), table.start.tolist(), table.end.tolist(), strict=True))
    assert len(set(named)) == len(named)
    for place, code in zip(chain.from_iterable(batches), chain.from_iterable(found), strict=True):
        assert code == NONE if place[0] == NONE else named[code] == place
