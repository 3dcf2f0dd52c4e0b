"""Append-only Arrow streams with an end marker.

An Arrow stream that was cut at a batch boundary ends silently, like a complete one (CONTRACTS.md section 1); therefore
the last batch is an empty one whose metadata tells the number of rows. A stream without it is readable but incomplete.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from slotproof.errors import NewerSchemaError, RecordError
from slotproof.record.schemas import SCHEMA_VERSION

_SCHEMA_KEY = b"slotproof.schema"
_END_KEY = b"slotproof.end_rows"


class ArrowWriter:
    """Writes dict rows of one schema to one stream file; `close` adds the end marker.

    The file is flushed with each batch, so that a killed process loses at most the batch in hand.
    """

    def __init__(self, path: Path, schema: pa.Schema, name: str, metadata: Mapping[str, str] | None = None) -> None:
        self._schema = schema.with_metadata(
            {
                _SCHEMA_KEY: f"{name}/{SCHEMA_VERSION}".encode(),
                **{k.encode(): v.encode() for k, v in (metadata or {}).items()},
            }
        )
        self._sink = path.open("wb", buffering=0)
        self._writer = pa.ipc.new_stream(self._sink, self._schema)
        self._rows = 0

    @property
    def rows(self) -> int:
        return self._rows

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append one batch. Raises pyarrow.ArrowInvalid on a value that does not fit its column."""
        columns = [_column(rows, field) for field in self._schema]
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))
        self._rows += len(rows)

    def close(self) -> None:
        """Write the end marker and close; a second call does nothing."""
        if self._sink.closed:
            return
        empty = pa.record_batch([_column((), field) for field in self._schema], schema=self._schema)
        self._writer.write_batch(empty, custom_metadata={_END_KEY: str(self._rows).encode()})
        self._writer.close()
        self._sink.close()


def _column(rows: Sequence[Mapping[str, Any]], field: pa.Field) -> pa.Array:
    values = [row.get(field.name) for row in rows]
    if pa.types.is_dictionary(field.type):
        return pa.array(values, pa.string()).dictionary_encode().cast(field.type)
    return pa.array(values, field.type)


@dataclass(frozen=True)
class StreamContent:
    """What one stream file holds: its rows, its metadata, and whether its end marker is there and agrees."""

    table: pa.Table
    metadata: Mapping[str, str]
    complete: bool


class Batches:
    """The batches of one stream file, one after the other; read to the end, `complete` says whether they are all.

    A stream that was cut in the middle of a batch ends there. `columns`: only these are read; None = all.

    Raises:
        NewerSchemaError: a newer slotproof wrote the file.
        RecordError: the file is not such a stream at all.
    """

    def __init__(self, path: Path, schema: pa.Schema, name: str, columns: Sequence[str] | None = None) -> None:
        self._source = pa.OSFile(str(path))  # a file of Python's would be read through its lock, at half the speed
        options = pa.ipc.IpcReadOptions()
        if columns is not None:
            options.included_fields = [schema.get_field_index(column) for column in columns]
        try:
            self._reader = pa.ipc.open_stream(self._source, options=options)
            self.metadata = {k.decode(): v.decode() for k, v in (self._reader.schema.metadata or {}).items()}
            _refuse_other_schema(path, self.metadata.get(_SCHEMA_KEY.decode(), ""), name)
        except (pa.ArrowInvalid, OSError) as error:
            self._source.close()
            raise RecordError(f"{path.name} is not a readable {name} file: {error}", where=str(path)) from error
        except RecordError:
            self._source.close()
            raise
        self._end_rows: int | None = None
        self._rows = 0

    @property
    def schema(self) -> pa.Schema:
        return self._reader.schema

    @property
    def complete(self) -> bool:
        """Whether the end marker was there and agrees."""
        return self._end_rows == self._rows

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        with self._source:
            while True:
                try:
                    batch, custom = self._reader.read_next_batch_with_custom_metadata()
                except (StopIteration, pa.ArrowInvalid, OSError):
                    return  # the end, or the place where a killed writer stopped: the end marker tells which
                if custom is not None and _END_KEY in custom:
                    self._end_rows = int(custom[_END_KEY])
                    continue
                self._rows += batch.num_rows
                yield batch


def read_stream(path: Path, schema: pa.Schema, name: str) -> StreamContent:
    """Read a stream, also one that was cut in the middle of a batch.

    Raises:
        NewerSchemaError: a newer slotproof wrote the file.
        RecordError: the file is not such a stream at all.
    """
    reader = Batches(path, schema, name)
    batches = list(reader)
    table = pa.Table.from_batches(batches, schema=reader.schema) if batches else schema.empty_table()
    return StreamContent(table.replace_schema_metadata(None).cast(schema), reader.metadata, reader.complete)


def _refuse_other_schema(path: Path, found: str, name: str) -> None:
    found_name, _, version = found.partition("/")
    if found_name != name or not version.isdigit():
        raise RecordError(f"{path.name} holds {found or 'no schema'}, not {name}", where=str(path))
    if int(version) > SCHEMA_VERSION:
        raise NewerSchemaError(
            f"{path.name} has schema {found}, this slotproof reads up to {name}/{SCHEMA_VERSION}",
            where=str(path),
            hint="use the slotproof version that wrote the folder, or a newer one",
        )
