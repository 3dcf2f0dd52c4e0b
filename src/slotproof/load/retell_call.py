"""The call object that Retell sends with every webhook and function call (FACTS-calcom-retell.md section 2.2)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slotproof.load.transcripts import Transcript

_AGENT_ID = "agent_6b1f0c2d94e87a35b0d1c9e2f4"
_AGENT_VERSION = 3
_FUNCTION_TURNS = 3  # what has been said when the first function is called
_SUMMARY = "The caller asked for an appointment."


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

    def started(self) -> dict[str, Any]:
        """The object of `call_started`."""
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

    def talking(self) -> dict[str, Any]:
        """The object of a function call: with the transcript so far."""
        return {**self.started(), "transcript": self.transcript.text(_FUNCTION_TURNS)}

    def ended(self) -> dict[str, Any]:
        """The object of `call_ended`: no analysis yet. The call must have been hung up."""
        if self.ended_ms is None:
            raise ValueError(f"call {self.call_id} has not ended")
        return {
            **self.started(),
            "end_timestamp": self.ended_ms,
            "duration_ms": self.ended_ms - self.started_ms,
            "disconnection_reason": "user_hangup",
            "transcript": self.transcript.text(),
            "transcript_object": self.transcript.objects(),
        }

    def analyzed(self) -> dict[str, Any]:
        """The object of `call_analyzed`: everything."""
        return {
            **self.ended(),
            "call_analysis": {
                "call_summary": _SUMMARY,
                "in_voicemail": False,
                "user_sentiment": "Neutral",
                "call_successful": True,
                "custom_analysis_data": {},
            },
        }

    def of_event(self, event: str) -> Mapping[str, Any]:
        """The call object of a webhook event."""
        return {"call_started": self.started, "call_ended": self.ended, "call_analyzed": self.analyzed}[event]()
