"""What service and stubs say they did around a witness: locks, the calendar's work (CONTRACTS.md section 2).

For drawings and causes only. A trace may be large, so only lines that name a wanted trace id or lock are parsed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from slotproof.record.record import Record

Line = Mapping[str, Any]
Covers = tuple[tuple[float, float], ...]
"""The times that a lock covers, in UTC seconds: two holds of one key exclude each other only where these overlap."""
_EVERYTHING: Covers = ((-math.inf, math.inf),)
_CLOCK_SLACK_NS = 20_000_000
"""A lock's end as Redis counts it and as the service's clock does differ by the way there and back."""


class HoldEnd(StrEnum):
    """How a hold ended, as far as the trace proves it."""

    RELEASED = "released"
    EXPIRED = "expired"
    TAKEN_OVER = "taken over"  # somebody else got the lock before its time to live had passed
    LOST = "lost"  # noticed as gone before its time to live had passed
    OPEN = "open"  # the trace tells no end


@dataclass(frozen=True)
class Hold:
    """One token's hold of one lock; times in monotonic nanoseconds. `ttl_ns` is the last time to live that was set."""

    key: str
    token: str
    trace_id: str
    start_ns: int
    end_ns: int
    ttl_ns: int
    end: HoldEnd
    renewals: int
    covers_s: Covers


@dataclass(frozen=True)
class CalendarWork:
    """One booking inside the calendar: from its availability check to its insert."""

    trace_id: str
    checked_ns: int | None
    inserted_ns: int
    uid: str


@dataclass(frozen=True)
class TraceFacts:
    holds: tuple[Hold, ...] = ()
    works: tuple[CalendarWork, ...] = ()
    redis_failures: Mapping[str, int] = field(default_factory=dict)
    """Trace id of a request that could not use Redis -> when."""

    def holds_of(self, trace_ids: Iterable[str]) -> list[Hold]:
        wanted = set(trace_ids)
        return [hold for hold in self.holds if hold.trace_id in wanted]


def trace_facts(record: Record, ops: Iterable[int]) -> TraceFacts:
    """Facts about the given ops, and about whoever else held the same times of the locks that they took."""
    if record.folder is None:
        return TraceFacts()
    contents = [path.read_bytes() for path in sorted(record.folder.trace.glob("*.jsonl"))]
    own = list(_lines(contents, [op_mark(op) for op in ops]))
    keys = sorted({str(line["key"]) for line in own if line.get("event") == "lock_acquired"})
    of_locks = list(_lines(contents, [json.dumps(key) for key in keys]))
    holds = [hold for key in keys for hold in _holds(key, of_locks)]
    own_covers = {(str(line["key"]), _covers(line)) for line in own if line.get("event") == "lock_acquired"}
    return TraceFacts(
        holds=tuple(hold for hold in holds if any(hold.key == k and _share(hold.covers_s, c) for k, c in own_covers)),
        works=tuple(_works(own)),
        redis_failures={
            str(line["trace"]): int(line["t_ns"]) for line in reversed(own) if line.get("event") == "redis_unavailable"
        },
    )


def op_mark(op: int) -> str:
    """How a trace id ends as JSON: its last 16 hex digits are the op (CONTRACTS.md section 1)."""
    return f'{op:016x}"'


def op_of_trace_id(trace_id: str) -> int | None:
    """The op that a trace id of the load stands for; the caller knows whether it exists."""
    try:
        return int(trace_id[16:32], 16)
    except ValueError:
        return None


def _lines(contents: Iterable[bytes], needles: Iterable[str]) -> Iterator[Line]:
    """Parsed lines that contain any needle, each once, in order of time; unreadable lines are left out."""
    wanted = [needle.encode() for needle in needles]
    found: set[bytes] = set()
    for content in contents:
        for needle in wanted:
            at = content.find(needle)
            while at >= 0:
                start = content.rfind(b"\n", 0, at) + 1
                end = content.find(b"\n", at)
                end = len(content) if end < 0 else end
                found.add(content[start:end])
                at = content.find(needle, end)
    parsed = []
    for raw in found:
        try:
            line = json.loads(raw)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("t_ns"), int):
            parsed.append(line)
    yield from sorted(parsed, key=lambda line: (line["t_ns"], json.dumps(line, sort_keys=True)))


@dataclass
class _OpenHold:
    token: str
    trace_id: str
    start_ns: int
    due_ns: int
    ttl_ns: int
    last_ns: int
    covers_s: Covers
    renewals: int = 0


def _holds(key: str, lines: Iterable[Line]) -> Iterator[Hold]:
    """The holds of one lock. An expiry is claimed only when the trace proves it: the holder found the lock gone, or
    another token took it before this one was released."""
    open_holds: dict[str, _OpenHold] = {}
    for line in lines:
        if line.get("key") != key:
            continue
        at, token, event = int(line["t_ns"]), str(line.get("token")), line.get("event")
        if event == "lock_acquired":
            covers_s = _covers(line)
            for other in list(open_holds.values()):
                if other.token != token and _share(other.covers_s, covers_s):
                    expired = at >= other.due_ns - _CLOCK_SLACK_NS
                    ended = HoldEnd.EXPIRED if expired else HoldEnd.TAKEN_OVER
                    yield _ended(key, open_holds.pop(other.token), min(at, other.due_ns) if expired else at, ended)
            ttl_ns = int(line["ttl_ms"]) * 1_000_000
            open_holds[token] = _OpenHold(token, str(line.get("trace", "")), at, at + ttl_ns, ttl_ns, at, covers_s)
            continue
        hold = open_holds.get(token)
        if hold is None:
            continue
        hold.last_ns = at
        if event == "lock_renewed":
            hold.ttl_ns = int(line["ttl_ms"]) * 1_000_000
            hold.due_ns = at + hold.ttl_ns
            hold.renewals += 1
        elif event == "lock_released":
            yield _ended(key, open_holds.pop(token), at, HoldEnd.RELEASED)
        elif event == "lock_lost":
            expired = at >= hold.due_ns - _CLOCK_SLACK_NS
            ended = HoldEnd.EXPIRED if expired else HoldEnd.LOST
            yield _ended(key, open_holds.pop(token), min(at, hold.due_ns) if expired else at, ended)
    for hold in open_holds.values():
        yield _ended(key, hold, max(hold.last_ns, hold.due_ns), HoldEnd.OPEN)


def _covers(line: Line) -> Covers:
    """Which of its key's times a lock covers; without a word of it, all."""
    ranges = line.get("locked_s")
    return tuple((float(begin), float(end)) for begin, end in ranges) if ranges else _EVERYTHING


def _share(one: Covers, other: Covers) -> bool:
    return any(begin < other_end and other_begin < end for begin, end in one for other_begin, other_end in other)


def _ended(key: str, hold: _OpenHold, end_ns: int, end: HoldEnd) -> Hold:
    return Hold(key, hold.token, hold.trace_id, hold.start_ns, end_ns, hold.ttl_ns, end, hold.renewals, hold.covers_s)


def _works(lines: Iterable[Line]) -> Iterator[CalendarWork]:
    checked: dict[str, int] = {}
    for line in lines:
        trace_id = str(line.get("trace", ""))
        if line.get("event") == "checked" and line.get("free", True):
            checked[trace_id] = int(line["t_ns"])
        elif line.get("event") == "inserted":
            yield CalendarWork(trace_id, checked.get(trace_id), int(line["t_ns"]), str(line.get("uid", "")))
