"""What the stub did, one JSON line an event: `{"t_ns", "event", "trace", …}` (docs/interfaces.md, "Trace lines").

For drawings and causes; verdicts come from the ledger.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def trace_id_of(traceparent: str | None) -> str | None:
    """The trace id of a W3C `traceparent` header; None when it is absent or malformed."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    return match.group(1) if match else None


class Tracer:
    """Appends events to a file; without a path it keeps none. `clock_ns` is CLOCK_MONOTONIC nanoseconds."""

    def __init__(self, path: Path | None, clock_ns: Callable[[], int]) -> None:
        self._file: TextIO | None = path.open("a", buffering=1, encoding="utf-8") if path else None
        self._clock_ns = clock_ns

    def write(self, trace_id: str | None, event: str, fields: dict[str, object]) -> None:
        if self._file is not None:
            line = {"t_ns": self._clock_ns(), "event": event, "trace": trace_id, **fields}
            self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


@dataclass(frozen=True)
class RequestTrace:
    """The events of one request, all under its trace id."""

    tracer: Tracer
    trace_id: str | None

    def emit(self, event: str, **fields: object) -> None:
        self.tracer.write(self.trace_id, event, fields)
