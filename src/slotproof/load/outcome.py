"""What one reply, or its absence, claims: the outcome words of CONTRACTS.md section 1 read from docs/interfaces.md."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from slotproof.record.schemas import Kind, Outcome

_DONE_WORDS = {"ok", "confirmed", "cancelled"}
_PENDING_WORD = "pending"
_REFUSALS = {"slot_taken": Outcome.TAKEN, "not_held": Outcome.NOT_HELD}
_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_CALCOM_MS = re.compile(r"(?:^|[,\s])calcom\s*;[^,]*?\bdur=([0-9.]+)")
_CUT = re.compile(r"closed|Incomplete|EOF")  # how geventhttpclient words a connection that ended early
_NOT_SENT = {
    errno.ECONNREFUSED: "refused",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.EADDRNOTAVAIL: "no_local_port",
    errno.EMFILE: "no_descriptor",
}


@dataclass(frozen=True)
class OfferedTime:
    """One free time that an availability reply named; UTC seconds."""

    person_id: int
    start_s: int
    end_s: int


@dataclass(frozen=True)
class Answer:
    """What one attempt ended in. `error` is a word of bounded variety, None for answers that the caller can use."""

    outcome: Outcome
    error: str | None = None
    http_status: int | None = None
    upstream_ns: int | None = None
    booking_id: str | None = None
    offered: tuple[OfferedTime, ...] = ()

    @property
    def usable(self) -> bool:
        """The caller learnt something about the wish; the opposite counts as a failure in Locust's own statistics."""
        return self.outcome not in (Outcome.NONE, Outcome.UNKNOWN)


STOPPED = Answer(Outcome.UNKNOWN, "stopped")
"""The load was stopped while the attempt was on its way."""


def read_reply(kind: Kind, status: int, body: bytes, server_timing: str | None) -> Answer:
    """The answer that a complete HTTP reply gives."""
    upstream_ns = _upstream_ns(server_timing)
    if 200 <= status < 300:
        return _read_success(kind, status, body, upstream_ns)
    code, effect = _declared_error(body)
    if code in _REFUSALS:
        return Answer(_REFUSALS[code], None, status, upstream_ns)
    if effect == "none":
        return Answer(Outcome.NONE, code, status, upstream_ns)
    if effect is None and 400 <= status < 500:
        return Answer(Outcome.NONE, f"http_{status}", status, upstream_ns)
    return Answer(Outcome.UNKNOWN, code or f"http_{status}", status, upstream_ns)


def read_failure(failure: BaseException) -> Answer:
    """The answer that a failed exchange gives: `none` only where the request cannot have been sent."""
    cause = getattr(failure, "original", None) or failure  # geventhttpclient wraps what it would have retried
    if isinstance(cause, TimeoutError) or type(cause).__name__ == "Timeout":
        return Answer(Outcome.UNKNOWN, "timeout")
    if isinstance(cause, OSError) and cause.errno in _NOT_SENT:
        return Answer(Outcome.NONE, _NOT_SENT[cause.errno])
    if isinstance(cause, OSError) or _CUT.search(str(cause)):
        return Answer(Outcome.UNKNOWN, "reset")
    return Answer(Outcome.UNKNOWN, "bad_reply")


def _read_success(kind: Kind, status: int, body: bytes, upstream_ns: int | None) -> Answer:
    if kind is Kind.WEBHOOK:  # any 2xx accepts a webhook; its body is not read (FACTS-calcom-retell.md section 2.3)
        return Answer(Outcome.OK, None, status, upstream_ns)
    unreadable = Answer(Outcome.UNKNOWN, "bad_reply", status, upstream_ns)
    fields = _json_object(body)
    word = fields.get("status")
    if kind is Kind.AVAILABILITY and word in _DONE_WORDS:
        offered = _offered_times(fields)
        return unreadable if offered is None else Answer(Outcome.OK, None, status, upstream_ns, offered=offered)
    booking_id = _booking_id(fields)
    if status == 202 or word == _PENDING_WORD:
        return Answer(Outcome.PENDING, None, status, upstream_ns, booking_id)
    if word in _DONE_WORDS:
        return Answer(Outcome.OK, None, status, upstream_ns, booking_id)
    return unreadable


def _declared_error(body: bytes) -> tuple[str | None, str | None]:
    """Code and effect of the declared error shape; both None for any other body."""
    error = _json_object(body).get("error")
    if not isinstance(error, Mapping) or error.get("effect") not in ("none", "unknown"):
        return None, None
    code = error.get("code")
    return (code if isinstance(code, str) and _CODE.fullmatch(code) else "unnamed_error"), error["effect"]


def _json_object(body: bytes) -> Mapping[str, Any]:
    try:
        fields = json.loads(body)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _booking_id(fields: Mapping[str, Any]) -> str | None:
    booking = fields.get("booking")
    booking_id = booking.get("id") if isinstance(booking, Mapping) else None
    return None if booking_id is None else str(booking_id)


def _offered_times(fields: Mapping[str, Any]) -> tuple[OfferedTime, ...] | None:
    try:
        return tuple(
            OfferedTime(int(slot["person_id"]), _utc_s(slot["start"]), _utc_s(slot["end"])) for slot in fields["slots"]
        )
    except (KeyError, TypeError, ValueError):
        return None


def _utc_s(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} names no offset from UTC")
    return int(moment.timestamp())


def _upstream_ns(server_timing: str | None) -> int | None:
    found = _CALCOM_MS.search(server_timing or "")
    return round(float(found[1]) * 1e6) if found else None
