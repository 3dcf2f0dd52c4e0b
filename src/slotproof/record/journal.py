"""`faults.jsonl`: what was broken, when, how that was proven, and that it was healed (CONTRACTS.md section 2)."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from slotproof.errors import RecordError


class Stage(StrEnum):
    PLANNED = "planned"
    INJECTED = "injected"
    BITTEN = "bitten"
    NOT_BITTEN = "not_bitten"
    HEALED = "healed"
    VERIFIED_HEALED = "verified_healed"
    FAILED = "failed"


@dataclass(frozen=True)
class JournalEntry:
    """One line. `details`: planned: at_s, for_s, params; injected, healed: read-back; bitten: effect."""

    fault_id: str
    fault: str
    stage: Stage
    t_ns: int
    utc_ns: int
    sentence: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


class JournalWriter:
    """Appends entries, one JSON object a line, flushed at once; safe from several threads."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, entry: JournalEntry) -> None:
        with self._lock:
            self._file.write(json.dumps({"schema": "faults/1", **asdict(entry)}, sort_keys=True) + "\n")
            self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_journal(path: Path) -> list[JournalEntry]:
    """All complete lines, in file order; a last line that a kill cut short is left out.

    Raises:
        RecordError: a line in the middle is not a journal entry.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    entries = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            fields = json.loads(line)
            fields.pop("schema")
            entries.append(JournalEntry(**{**fields, "stage": Stage(fields["stage"])}))
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(f"not a journal entry: {error}", where=f"{path}:{number}") from error
    return entries
