"""The call objects that the API makes and shows (FACTS-calcom-retell.md sections 2.1 and 2.2)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LIST_LIMIT = 50
"""Calls on a page unless told. Older generation: documented; the current one: assumed to be the same."""
LARGEST_LIMIT = 1000
IDEMPOTENCY_MS = 3_600_000
"""The same idempotency key within an hour starts no other call."""
WEB_TOKEN_MS = 30_000
_AGENT_ID = "agent_stub"
_SETTABLE = ("metadata", "data_storage_setting", "custom_attributes")
_ENDED = ("ended", "error", "not_connected")


class CallError(ValueError):
    """What was put is not a call object of that id."""


@dataclass(frozen=True)
class Page:
    """Some calls in order, whether more follow, and how many match in all."""

    calls: Sequence[Mapping[str, Any]]
    has_more: bool
    total: int

    @property
    def pagination_key(self) -> str | None:
        """Where the next page begins: after the last call of this one."""
        return str(self.calls[-1]["call_id"]) if self.has_more else None


class Calls:
    """Call objects by id, the latest version of each. `now_ms`: unix time in milliseconds."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._calls: dict[str, dict[str, Any]] = {}
        self._started_by_key: dict[str, tuple[int, str]] = {}

    def get(self, call_id: str) -> Mapping[str, Any] | None:
        return self._calls.get(call_id)

    def put(self, call_id: str, call: object) -> None:
        """Adds or replaces a call; its `call_id` may be left out. Raises CallError."""
        if not isinstance(call, Mapping):
            raise CallError("a call is a JSON object")
        if call.get("call_id", call_id) != call_id:
            raise CallError(f"the body is call {call['call_id']}, the path is call {call_id}")
        self._calls[call_id] = {**call, "call_id": call_id}

    def start_phone_call(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """An outbound call that is registered; the one that the idempotency key began within the last hour, if any."""
        key = body.get("idempotency_key")
        began_ms, known = self._started_by_key.get(str(key), (0, ""))
        if key is not None and known in self._calls and self._now_ms() - began_ms < IDEMPOTENCY_MS:
            return self._calls[known]
        call = self._add(
            {
                "call_type": "phone_call",
                "agent_id": body.get("override_agent_id", _AGENT_ID),
                "agent_version": body.get("override_agent_version", 0),
                "call_status": "registered",
                "direction": "outbound",
                "from_number": body["from_number"],
                "to_number": body["to_number"],
                **_given(body, "metadata", "retell_llm_dynamic_variables", "custom_sip_headers"),
            }
        )
        if key is not None:
            self._started_by_key[str(key)] = (self._now_ms(), str(call["call_id"]))
        return call

    def start_web_call(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """A web call with its access token, as the older generation shows it."""
        return self._add(
            {
                "call_type": "web_call",
                "agent_id": body["agent_id"],
                "agent_version": body.get("agent_version", 0),
                "call_status": "registered",
                "access_token": secrets.token_urlsafe(24),
                **_given(body, "metadata", "retell_llm_dynamic_variables"),
            }
        )

    def update(self, call_id: str, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Sets what may be set afterwards; None for an unknown call."""
        call = self._calls.get(call_id)
        if call is not None:
            call.update(_given(body, *_SETTABLE))
        return call

    def delete(self, call_id: str) -> bool:
        return self._calls.pop(call_id, None) is not None

    def stop(self, call_id: str) -> bool:
        """Ends the call, unless it has ended; False for an unknown one."""
        call = self._calls.get(call_id)
        if call is not None and call.get("call_status") not in _ENDED:
            call.update(call_status="ended", disconnection_reason="manual_stopped", end_timestamp=self._now_ms())
        return call is not None

    @property
    def in_progress(self) -> int:
        return sum(call.get("call_status") not in _ENDED for call in self._calls.values())

    def page(
        self,
        matches: Callable[[Mapping[str, Any]], bool],
        *,
        limit: int = LIST_LIMIT,
        skip: int = 0,
        after: str | None = None,
        ascending: bool = False,
    ) -> Page | None:
        """Calls by `start_timestamp`, the latest first unless told; None when `after` is no call of the list."""
        numbered = enumerate(call for call in self._calls.values() if matches(call))
        ordered = sorted(
            numbered, key=lambda each: (each[1].get("start_timestamp") or 0, each[0]), reverse=not ascending
        )
        found = [call for _, call in ordered]
        first = skip
        if after is not None:
            ids = [call["call_id"] for call in found]
            if after not in ids:
                return None
            first = ids.index(after) + 1
        chosen = found[first : first + limit]
        return Page(chosen, first + limit < len(found), len(found))

    def _add(self, call: Mapping[str, Any]) -> Mapping[str, Any]:
        call_id = f"call_{secrets.token_hex(16)}"
        self._calls[call_id] = {"call_id": call_id, **call, "start_timestamp": self._now_ms()}
        return self._calls[call_id]


def _given(body: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """What was never given is left out, not null."""
    return {name: body[name] for name in names if body.get(name) is not None}
