"""The call objects that the API shows (FACTS-calcom-retell.md section 2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class CallError(ValueError):
    """What was put is not a call object of that id."""


class Calls:
    """Call objects by id, the latest version of each."""

    def __init__(self) -> None:
        self._calls: dict[str, dict[str, Any]] = {}

    def get(self, call_id: str) -> Mapping[str, Any] | None:
        return self._calls.get(call_id)

    def put(self, call_id: str, call: object) -> None:
        """Adds or replaces a call; its `call_id` may be left out. Raises CallError."""
        if not isinstance(call, Mapping):
            raise CallError("a call is a JSON object")
        if call.get("call_id", call_id) != call_id:
            raise CallError(f"the body is call {call['call_id']}, the path is call {call_id}")
        self._calls[call_id] = {**call, "call_id": call_id}
