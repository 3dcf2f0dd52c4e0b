"""What a history put to the test: where nothing was booked or contested, nothing is proved (CHECKER.md section 5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from slotproof.record import columns as words
from slotproof.record.columns import HistoryColumns


def count_exercised(history: HistoryColumns) -> dict[str, int]:
    """How many confirmed bookings and cancels, refusals, and unknown outcomes there were."""
    replies = len(words.REPLIES) + 1
    kinds = history.function.astype(np.int16) * replies + history.reply
    outcomes = np.bincount(kinds, minlength=len(words.FUNCTIONS) * replies).reshape(len(words.FUNCTIONS), replies)
    conflicts = outcomes[words.BOOK, [words.CONFLICT, words.EXPLAINED]].sum() + outcomes[words.MOVE, words.CONFLICT]
    return {
        "booked": int(outcomes[words.BOOK, words.OK]),
        "conflicts": int(conflicts),
        "unknown": int(outcomes[:, words.INFO].sum()),
        "cancelled": int(outcomes[words.CANCEL, words.OK]),
    }


def not_exercised(history: HistoryColumns, exercised: Mapping[str, int]) -> Iterator[str]:
    """Why a history without findings is no proof."""
    if not exercised["booked"]:
        yield "no booking was confirmed"
    elif not _is_contested(history):
        yield "no time was asked for twice"


def _is_contested(history: HistoryColumns) -> bool:
    """Whether two bookings of one resource, granted or not, asked for overlapping ranges."""
    booked = np.flatnonzero(history.function == words.BOOK)
    place = history.place[booked]
    last = np.full(len(history.places.start), words.NONE, np.int32)
    last[place] = history.booking[booked]
    if (last[place] != history.booking[booked]).any():
        return True
    asked = np.unique(place)
    places = history.places
    order = asked[np.lexsort((places.start[asked], places.resource[asked]))]
    same = places.resource[order[1:]] == places.resource[order[:-1]]
    return bool((same & (places.start[order[1:]] < places.end[order[:-1]])).any())
