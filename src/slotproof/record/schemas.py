"""The columns of every file of a run folder, and the words that may stand in them (CONTRACTS.md sections 1 and 2).

All times named `_ns` are CLOCK_MONOTONIC nanoseconds of the machine that ran the harness; the pair in each file's
metadata turns them into UTC. Times named `_s` inside ranges are UTC seconds.
"""

from __future__ import annotations

from enum import StrEnum

import pyarrow as pa

SCHEMA_VERSION = 1


class Outcome(StrEnum):
    """What one attempt claims."""

    OK = "ok"  # it took effect
    TAKEN = "taken"  # a definite refusal: the time is held
    NOT_HELD = "not_held"  # a definite refusal of a cancel or move: no such booking
    NONE = "none"  # definitely nothing happened; nothing is claimed about the time
    PENDING = "pending"  # accepted, not decided
    UNKNOWN = "unknown"  # timeout, reset, undeclared 5xx after sending

    @property
    def strength(self) -> int:
        """A request's outcome is the strongest of its attempts: ok > pending > unknown > taken, not_held > none."""
        return _STRENGTH[self]


_STRENGTH = {
    Outcome.NONE: 0,
    Outcome.TAKEN: 1,
    Outcome.NOT_HELD: 1,
    Outcome.UNKNOWN: 2,
    Outcome.PENDING: 3,
    Outcome.OK: 4,
}


class Kind(StrEnum):
    """What an op asked for."""

    BOOK = "book"
    CANCEL = "cancel"
    MOVE = "move"
    AVAILABILITY = "availability"
    WEBHOOK = "webhook"
    LOOKUP = "lookup"


class Actor(StrEnum):
    """Who sent an op, or caused a change of a row."""

    CALLER = "caller"
    PLATFORM = "platform"
    SERVICE = "service"
    EXTERNAL = "external"


class RowState(StrEnum):
    PENDING = "pending"
    LIVE = "live"
    CANCELLED = "cancelled"


_WORD = pa.dictionary(pa.int32(), pa.string())

OPS = pa.schema(
    [
        pa.field("op", pa.int64(), nullable=False),  # worker << 40 | sequence
        pa.field("call", pa.int64(), nullable=False),
        pa.field("request", pa.int64(), nullable=False),  # repeats of one function call share it
        pa.field("attempt", pa.int16(), nullable=False),
        pa.field("part", pa.int16()),  # of a service with several parts: a row each, the first one is the request sent
        pa.field("process", pa.int32(), nullable=False),  # a new one after each unknown outcome
        pa.field("actor", _WORD, nullable=False),
        pa.field("kind", _WORD, nullable=False),
        pa.field("outcome", _WORD, nullable=False),
        pa.field("error", _WORD),
        pa.field("tenant", _WORD),
        pa.field("person", _WORD),
        pa.field("start_s", pa.int64()),
        pa.field("end_s", pa.int64()),
        pa.field("to_start_s", pa.int64()),
        pa.field("to_end_s", pa.int64()),
        pa.field("offered_start_s", pa.list_(pa.int64())),
        pa.field("booking", pa.int64()),  # request whose booking a cancel or move concerns
        pa.field("intended_ns", pa.int64(), nullable=False),
        pa.field("invoke_ns", pa.int64(), nullable=False),
        pa.field("complete_ns", pa.int64(), nullable=False),  # also set when the client gave up
        pa.field("upstream_ns", pa.int64()),  # waiting for Cal.com, from Server-Timing
        pa.field("http_status", pa.int16()),
        pa.field("call_ref", pa.string()),
        pa.field("external_id", pa.string()),  # the booking id that the reply named
    ]
)

LEDGER = pa.schema(
    [
        pa.field("row", pa.string(), nullable=False),  # identity inside its source: appointment id, or calendar uid
        pa.field("uid", pa.string()),  # the calendar's uid of the booking, once known
        pa.field("replaces", pa.string()),  # uid that a reschedule replaced: identity is the lineage
        pa.field("request", pa.int64()),
        pa.field("call_ref", pa.string()),
        pa.field("phone", pa.string()),
        pa.field("tenant", pa.string()),
        pa.field("person", pa.string(), nullable=False),
        pa.field("start_s", pa.int64(), nullable=False),
        pa.field("end_s", pa.int64(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("actor", pa.string(), nullable=False),
        pa.field("at_ns", pa.int64(), nullable=False),
        pa.field("reason", pa.string()),
    ]
)

SAMPLES = pa.schema(
    [
        pa.field("t_ns", pa.int64(), nullable=False),
        pa.field("source", _WORD, nullable=False),
        pa.field("metric", _WORD, nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
)
