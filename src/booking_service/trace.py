"""Trace lines: what the service did, for drawings and causes (docs/interfaces.md, "Trace lines").

A line is written at once, unbuffered, so that a killed service leaves everything it did.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import time
from contextvars import ContextVar
from pathlib import Path

_current: ContextVar[str | None] = ContextVar("booking_trace_id", default=None)
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}.*")
_NO_TRACE = "0" * 32


def new_trace_id() -> str:
    return secrets.token_hex(16)


def trace_id() -> str:
    """The trace id of the request (or background job) that this code runs for."""
    current = _current.get()
    if current is None:
        current = new_trace_id()
        _current.set(current)
    return current


def adopt_trace(traceparent: str | None) -> str:
    """Takes the trace id of a W3C `traceparent`, or starts a new trace when there is none or it is malformed."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    known = match.group(1) if match else _NO_TRACE
    current = new_trace_id() if known == _NO_TRACE else known
    _current.set(current)
    return current


class TraceIdFilter(logging.Filter):
    """Gives each log record the trace id that it belongs to, as `trace`; "-" outside of any request or job."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.trace = _current.get() or "-"
        return True


def traceparent() -> str:
    """The `traceparent` for an outgoing call: the current trace id with a new parent id."""
    return f"00-{trace_id()}-{secrets.token_hex(8)}-01"


class Trace:
    """Appends trace lines to a file; without a path it does nothing."""

    def __init__(self, path: Path | None) -> None:
        self._fd = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, event: str, **fields: object) -> None:
        """One line: `t_ns` (CLOCK_MONOTONIC), the event, the trace id, and the event's own fields."""
        if self._fd is None:
            return
        line = {"t_ns": time.monotonic_ns(), "event": event, "trace": trace_id(), **fields}
        os.write(self._fd, json.dumps(line, separators=(",", ":"), default=str).encode() + b"\n")

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
