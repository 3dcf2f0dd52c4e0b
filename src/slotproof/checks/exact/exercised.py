"""What a history put to the test: where nothing was booked or contested, nothing is proved (CHECKER.md section 5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from slotproof.checks.exact.model import Range
from slotproof.checks.exact.resolve import range_of
from slotproof.record.exchange import Function, History, Reply


def count_exercised(history: History) -> dict[str, int]:
    outcomes = Counter((op.function, op.outcome) for op in history.ops)
    return {
        "booked": outcomes[Function.BOOK, Reply.OK],
        "conflicts": outcomes[Function.BOOK, Reply.CONFLICT] + outcomes[Function.MOVE, Reply.CONFLICT],
        "unknown": sum(count for (_, outcome), count in outcomes.items() if outcome is Reply.INFO),
        "cancelled": outcomes[Function.CANCEL, Reply.OK],
    }


def not_exercised(history: History) -> Iterator[str]:
    """Why a history without findings is no proof."""
    if not count_exercised(history)["booked"]:
        yield "no booking was confirmed"
    elif not _is_contested(history):
        yield "no time was asked for twice"


def _is_contested(history: History) -> bool:
    """Whether two bookings of one resource, granted or not, asked for overlapping ranges."""
    asked: dict[str, set[tuple[Range, str | None]]] = {}
    for op in history.ops:
        if op.function is Function.BOOK:
            asked.setdefault(op.resource, set()).add((range_of(op), op.id))
    return any(_meet({name: span for span, name in of_resource}) for of_resource in asked.values())


def _meet(ranges: dict[str | None, Range]) -> bool:
    ordered = sorted(ranges.values())
    return any(one[1] > following[0] for one, following in pairwise(ordered))
