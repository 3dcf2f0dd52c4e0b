"""Webhooks of calls: stored once each, in whatever order they arrive (FACTS-calcom-retell.md section 2.3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from booking_service.database import Database
from booking_service.payloads import Webhook
from booking_service.routing import Branch

STAGES: Mapping[str, int] = MappingProxyType({"call_started": 1, "call_ended": 2, "call_analyzed": 3})
"""A call's stage never goes back: a late `call_started` does not reopen an ended call."""

_STORE = """
WITH fresh AS (
    INSERT INTO webhook_events (company_id, call_id, event) VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING RETURNING 1
)
INSERT INTO calls (company_id, call_id, branch_id, phone, stage, transcript, analysis)
SELECT $1, $2, $4, $5, $6, $7, $8::json FROM fresh
ON CONFLICT (company_id, call_id) DO UPDATE SET
    stage = greatest(calls.stage, excluded.stage),
    transcript = coalesce(excluded.transcript, calls.transcript),
    analysis = coalesce(excluded.analysis, calls.analysis),
    updated_at = now()
"""


class Calls:
    """`transcript_max_bytes`: of UTF-8; what is longer is cut."""

    def __init__(self, database: Database, transcript_max_bytes: int) -> None:
        self._database = database
        self._transcript_max_bytes = transcript_max_bytes

    async def record(self, branch: Branch, webhook: Webhook) -> None:
        """Stores one webhook; a duplicate or an event of another kind has no effect. Raises `ServiceError`."""
        stage = STAGES.get(webhook.event)
        if stage is None:
            return
        call = webhook.call
        analysis = None if call.call_analysis is None else json.dumps(call.call_analysis)
        await self._database.execute(
            _STORE,
            branch.company_id,
            call.call_id,
            webhook.event,
            branch.id,
            call.from_number,
            stage,
            bounded(call.transcript, self._transcript_max_bytes),
            analysis,
        )


def bounded(transcript: str | None, max_bytes: int) -> str | None:
    """At most so many bytes of UTF-8, cut between characters; NUL, which PostgreSQL cannot store, is left out."""
    if transcript is None:
        return None
    return transcript.replace("\x00", "").encode()[:max_bytes].decode(errors="ignore")
