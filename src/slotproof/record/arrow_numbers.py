"""Arrow columns as numpy arrays, where they lie and without pandas, which Arrow's own ways would import."""

from __future__ import annotations

import ctypes

import numpy as np
import pyarrow as pa

from slotproof.record.columns import Flags, Ints, Words

SKIP = -1


def lookup(column: pa.Array, codes: dict[str, int]) -> Words:
    """The code of each word of a dictionary column; SKIP for other words and for none."""
    table = np.array([*(codes.get(word, SKIP) for word in column.dictionary.to_pylist()), SKIP], np.int8)
    return table[numbers(column.indices, len(table) - 1)]


class Encoded:
    """A column of few different strings."""

    def __init__(self, column: pa.Array) -> None:
        encoded = column.dictionary_encode()
        self._words = encoded.dictionary.to_pylist()
        self._codes = numbers(encoded.indices, SKIP)

    def is_word(self, word: str) -> Flags:
        """Where the strings are the word."""
        found: Flags = self._codes == (self._words.index(str(word)) if str(word) in self._words else SKIP - 1)
        return found


def numbers(column: pa.Array, null: int | None = None) -> Ints:
    """Integers where they lie (`null` stands for those that are missing). Arrow's own ways would import pandas."""
    kind = np.dtype(str(column.type))
    validity, data = column.buffers()
    if data is None:
        return np.zeros(0, kind)
    found: Ints = np.frombuffer(data, kind, count=len(column), offset=column.offset * kind.itemsize)
    if not column.null_count:
        return found
    bits = np.unpackbits(np.frombuffer(validity, np.uint8), count=column.offset + len(column), bitorder="little")
    return np.where(bits[column.offset :].view(np.bool_), found, kind.type(null))


def dictionary(values: Ints) -> tuple[Ints, Ints]:
    """Different values, and where each is among them."""
    # `pa.array` would import pandas to see what it was given.
    plain = np.ascontiguousarray(values)
    column = pa.Array.from_buffers(pa.type_for_alias(plain.dtype.name), len(plain), [None, pa.py_buffer(plain)])
    encoded = column.dictionary_encode()
    return numbers(encoded.dictionary), numbers(encoded.indices)


def release_unused() -> None:
    """Memory that was used batch by batch goes back to the system, before the large columns are made.

    Both allocators keep what was freed in small pieces: at ten million ops a third of the process.
    """
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it; others have no such hoard
    if trim is not None:
        trim(0)
