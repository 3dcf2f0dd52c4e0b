"""Places, resources and bookings of a run folder as small numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
import pyarrow as pa

from slotproof.record.arrow_numbers import dictionary, numbers
from slotproof.record.columns import NONE, Codes, Ints, Places


class PlaceCodes:
    """Codes of (resource, start, end), and of resources; each batch asks once for each different one."""

    def __init__(self) -> None:
        self._resources: dict[str, int] = {}
        self._places: dict[tuple[int, int, int], int] = {}

    def codes(self, resource: Codes, start: Ints, end: Ints) -> Codes:
        """NONE where there is no resource."""
        if not len(resource):
            return np.zeros(0, np.int32)
        starts, start_code = dictionary(start)
        ends, end_code = dictionary(end)
        width = len(starts) * len(ends)
        mixed = (resource.astype(np.int64) + 1) * width + start_code * np.int64(len(ends)) + end_code
        kinds, back = dictionary(mixed)
        code = np.empty(len(kinds), np.int32)
        for number, kind in enumerate(kinds.tolist()):
            of, rest = divmod(kind, width)
            low, high = divmod(rest, len(ends))
            code[number] = self._code(of - 1, int(starts[low]), int(ends[high])) if of else NONE
        return code[back]

    def _code(self, resource: int, start: int, end: int) -> int:
        return self._places.setdefault((resource, start, end), len(self._places))

    def resources(self, column: pa.Array) -> Codes:
        """The resource of each name; NONE where there is none."""
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        lookup = np.array([*(self._resource(name) for name in column.dictionary.to_pylist()), NONE], np.int32)
        return lookup[numbers(column.indices, len(lookup) - 1)]

    def _resource(self, name: str) -> int:
        return self._resources.setdefault(name, len(self._resources))

    def places(self) -> Places:
        table = np.array(list(self._places), np.int64).reshape(-1, 3)
        return Places(table[:, 0].astype(np.int32), table[:, 1].copy(), table[:, 2].copy())

    def names(self) -> list[str]:
        return list(self._resources)


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
