"""Places, resources and bookings of a run folder as small numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
import pyarrow as pa

from slotproof.record.arrow_numbers import dictionary, numbers
from slotproof.record.columns import NONE, Codes, Flags, Ints, Places

_HALF = 31
"""Two codes make one number of 62 bits."""


class _Numbering:
    """Codes of numbers, in the order in which they came; each batch asks once for each different one."""

    def __init__(self) -> None:
        self.known: Ints = np.zeros(0, np.int64)
        self._order: Ints = np.zeros(0, np.int64)

    def codes(self, values: Ints) -> Ints:
        different, back = dictionary(values)
        code, is_known = self._find(different)
        if not is_known.all():
            self.known = np.concatenate([self.known, different[~is_known]])
            self._order = np.argsort(self.known)
            code, _ = self._find(different)
        return code[back]

    def _find(self, values: Ints) -> tuple[Ints, Flags]:
        """The code of each, and whether it has one."""
        if not len(self.known):
            return np.zeros(len(values), np.int64), np.zeros(len(values), np.bool_)
        at = np.searchsorted(self.known, values, sorter=self._order)
        code = self._order[np.minimum(at, len(self.known) - 1)]
        return code, self.known[code] == values


class PlaceCodes:
    """Codes of (resource, start, end), and of resources."""

    def __init__(self) -> None:
        self._resources: dict[str, int] = {}
        self._starts, self._ends, self._spans, self._places = (_Numbering() for _ in range(4))

    def codes(self, resource: Codes, start: Ints, end: Ints) -> Codes:
        """NONE where there is no resource."""
        (resources, starts, lengths), back = _different([resource.astype(np.int64), start, end - start])
        return self._codes(resources, starts, starts + lengths)[back]

    def _codes(self, resource: Ints, start: Ints, end: Ints) -> Codes:
        spans = self._spans.codes(self._starts.codes(start) << _HALF | self._ends.codes(end))
        found = np.full(len(resource), NONE, np.int32)
        placed = resource != NONE
        found[placed] = self._places.codes(resource[placed] << _HALF | spans[placed])
        return found

    def resources(self, column: pa.Array) -> Codes:
        """The resource of each name; NONE where there is none."""
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        lookup = np.array([*(self._resource(name) for name in column.dictionary.to_pylist()), NONE], np.int32)
        return lookup[numbers(column.indices, len(lookup) - 1)]

    def _resource(self, name: str) -> int:
        return self._resources.setdefault(name, len(self._resources))

    def places(self) -> Places:
        resource, span = np.divmod(self._places.known, 1 << _HALF)
        start, end = np.divmod(self._spans.known[span], 1 << _HALF)
        return Places(resource.astype(np.int32), self._starts.known[start], self._ends.known[end])

    def names(self) -> list[str]:
        return list(self._resources)


def _different(columns: Sequence[Ints]) -> tuple[list[Ints], Ints | slice]:
    """Different rows, and where each row is among them; all rows as they are where they do not fit into one number."""
    if not len(columns[0]):
        return list(columns), slice(None)
    lows = [int(column.min()) for column in columns]
    widths = [(int(column.max()) - low).bit_length() for column, low in zip(columns, lows, strict=True)]
    if sum(widths) > 2 * _HALF:
        return list(columns), slice(None)
    key = np.zeros(len(columns[0]), np.int64)
    for column, low, width in zip(columns, lows, widths, strict=True):
        key = key << width | (column - low)
    key, back = dictionary(key)
    found: list[Ints] = []
    for low, width in zip(reversed(lows), reversed(widths), strict=True):
        found.append((key & (1 << width) - 1) + low)
        key = key >> width
    return found[::-1], back


class RequestCodes(Sequence[str]):
    """Booking code <-> number of the request that made it; read as the codes' names."""

    def __init__(self, numbers: Iterable[Ints]) -> None:
        parts = [part for part in numbers if part.size]
        low = min((int(part.min()) for part in parts), default=0)
        high = max((int(part.max()) for part in parts), default=-1)
        size = sum(map(len, parts))
        self._low = low
        self._table: Codes | None = None
        if high - low < 16 * size + 1024:
            seen = np.zeros(high - low + 1, np.bool_)
            for part in parts:
                seen[part - low] = True
            self.numbers = np.flatnonzero(seen) + low
            self._table = np.full(len(seen), NONE, np.int32)
            self._table[self.numbers - low] = np.arange(len(self.numbers), dtype=np.int32)
        else:
            self.numbers = np.unique(np.concatenate(parts))

    def codes(self, numbers: Ints) -> Codes:
        """NONE for a request that had no effect and has no row."""
        if not len(self.numbers):
            return np.full(len(numbers), NONE, np.int32)
        if self._table is not None:
            at = numbers - self._low
            inside = (at >= 0) & (at < len(self._table))
            found = self._table[np.where(inside, at, 0)]
            found[~inside] = NONE
            return found
        at = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
        return np.where(self.numbers[at] == numbers, at, NONE).astype(np.int32)

    def codes_by_part(self, parts: list[Ints]) -> Codes:
        return np.concatenate([self.codes(part) for part in parts]) if parts else np.zeros(0, np.int32)

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        found = self.numbers[index]
        return str(found) if isinstance(index, int) else [str(each) for each in found]
