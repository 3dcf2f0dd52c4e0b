"""The call object that Retell sends with every webhook and function call (FACTS-calcom-retell.md section 2.2).

Every object is made as JSON text, because the transcript in it may have megabytes and is there encoded already.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from slotproof.load.json_text import encode
from slotproof.load.transcripts import Transcript

_AGENT_ID = "agent_6b1f0c2d94e87a35b0d1c9e2f4"
_AGENT_VERSION = 3
_ANALYSIS = {
    "call_summary": "The caller asked for an appointment.",
    "in_voicemail": False,
    "user_sentiment": "Neutral",
    "call_successful": True,
    "custom_analysis_data": {},
}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class RetellCall:
    """One phone call, as the voice platform knows it."""

    call_id: str
    from_number: str
    to_number: str
    transcript: Transcript
    started_ms: int = field(default_factory=_now_ms)
    ended_ms: int | None = None

    def hang_up(self) -> None:
        self.ended_ms = _now_ms()

    def inbound(self) -> bytes:
        """Body of the inbound-call webhook: the phone rings, and the call has no id yet (section 2.5)."""
        call = {
            "agent_id": _AGENT_ID,
            "agent_version": _AGENT_VERSION,
            "from_number": self.from_number,
            "to_number": self.to_number,
        }
        return encode({"event": "call_inbound", "event_timestamp": self.started_ms, "call_inbound": call})

    def started(self) -> bytes:
        """The object of `call_started`."""
        return encode(self._begun())

    def talking(self) -> bytes:
        """The object of a function call: with the transcript so far."""
        return _joined(self._begun(), self.transcript.so_far)

    def ended(self) -> bytes:
        """The object of `call_ended`: no analysis yet. The call must have been hung up."""
        return _joined(self._over(), self.transcript.whole)

    def analyzed(self) -> bytes:
        """The object of `call_analyzed`: everything."""
        return _joined({**self._over(), "call_analysis": _ANALYSIS}, self.transcript.whole)

    def of_event(self, event: str) -> bytes:
        """The call object of a webhook event."""
        return {"call_started": self.started, "call_ended": self.ended, "call_analyzed": self.analyzed}[event]()

    def _begun(self) -> dict[str, Any]:
        return {
            "call_id": self.call_id,
            "call_type": "phone_call",
            "agent_id": _AGENT_ID,
            "agent_version": _AGENT_VERSION,
            "call_status": "ongoing" if self.ended_ms is None else "ended",
            "direction": "inbound",
            "from_number": self.from_number,
            "to_number": self.to_number,
            "start_timestamp": self.started_ms,
        }

    def _over(self) -> dict[str, Any]:
        if self.ended_ms is None:
            raise ValueError(f"call {self.call_id} has not ended")
        return {
            **self._begun(),
            "end_timestamp": self.ended_ms,
            "duration_ms": self.ended_ms - self.started_ms,
            "disconnection_reason": "user_hangup",
        }


def _joined(fields: dict[str, Any], members: bytes) -> bytes:
    """The object with these fields and more members, which are JSON text already."""
    return encode(fields)[:-1] + b"," + members + b"}"
