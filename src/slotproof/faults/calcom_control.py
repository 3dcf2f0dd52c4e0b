"""The control port of the Cal.com stub, as faults use it (docs/interfaces.md, "Control listener")."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import httpx

from slotproof.errors import FaultError
from slotproof.faults.base import Effect, ReadBack
from slotproof.system import System

LEASE_MARGIN_S = 30.0
"""Wall seconds by which a lease outlasts its fault: it is for a harness that died, not for one that is late."""
_TIMEOUT_S = 5.0


def ask_stub(
    system: System, method: str, path: str, body: Mapping[str, Any] | None = None, *, absent_is_fine: bool = False
) -> dict[str, Any]:
    """The stub's answer; {} for a 404 where that is fine. Raises FaultError."""
    if system.calcom_control is None:
        raise FaultError("this stack has no Cal.com stub to control", hint="run the embedded stack")
    url = f"{system.calcom_control.url}{path}"
    try:
        reply = httpx.request(method, url, json=body, timeout=_TIMEOUT_S, trust_env=False)
    except httpx.HTTPError as error:
        raise FaultError(f"the Cal.com stub's control port does not answer: {error!r}") from error
    if reply.status_code == 404 and absent_is_fine:
        return {}
    if reply.status_code not in (200, 201):
        raise FaultError(f"the Cal.com stub's control port answered {reply.status_code}: {reply.text[:200]}")
    found: dict[str, Any] = reply.json()
    return found


def read_back(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> ReadBack:
    """Raises FaultError when the stub says something else than it was told."""
    different = {key: found.get(key) for key, value in wanted.items() if found.get(key) != value}
    if different:
        raise FaultError(f"the Cal.com stub reads back {different}, not {dict(wanted)}")
    return ReadBack({key: found[key] for key in wanted})


class StubBehaviour:
    """One behaviour of the stub, under a name of its own: several of a kind may be on at once."""

    def __init__(self, kind: str) -> None:
        self._path = f"/control/behaviours/{kind}-{secrets.token_hex(3)}"

    def put(self, system: System, wanted: Mapping[str, Any]) -> ReadBack:
        ask_stub(system, "PUT", self._path, wanted)
        return read_back(self.get(system), wanted)

    def get(self, system: System) -> dict[str, Any]:
        return ask_stub(system, "GET", self._path)

    def delete(self, system: System) -> ReadBack:
        ask_stub(system, "DELETE", self._path)
        return ReadBack({"present": self._is_present(system)})

    def gone(self, system: System) -> Effect:
        present = self._is_present(system)
        return Effect(
            bitten=not present,
            observed="the stub still has the behaviour" if present else "the stub has no such behaviour",
            required="no such behaviour",
        )

    def _is_present(self, system: System) -> bool:
        return ask_stub(system, "GET", self._path, absent_is_fine=True) != {}
