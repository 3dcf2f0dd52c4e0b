"""Fault `calcom_stall`: Cal.com is slow *inside*, at a stage of its own work.

A link toxic cannot do this: to sell a slot twice, Cal.com must be slow between its availability check and its insert
(FACTS-faults.md section 1.2). The stub stalls there and observes how long it did.
"""

from __future__ import annotations

import secrets
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import httpx
from pydantic import BaseModel, ConfigDict, Field

from slotproof.errors import FaultError
from slotproof.faults.base import Deadline, Effect, ReadBack
from slotproof.system import System

_LEAST_EFFECT_MS = 5.0
_LEASE_MARGIN_S = 30.0
_TIMEOUT_S = 5.0


class StallStage(StrEnum):
    BEFORE_CHECK = "before_check"
    BEFORE_INSERT = "before_insert"
    BEFORE_REPLY = "before_reply"


class Endpoint(StrEnum):
    """What of Cal.com is slow, in the stub's words (docs/interfaces.md)."""

    CREATE = "bookings.create"
    CANCEL = "bookings.cancel"
    RESCHEDULE = "bookings.reschedule"
    LIST = "bookings.list"
    SLOTS = "slots.get"
    ANY = "any"


_WORK = {
    Endpoint.CREATE: "each booking",
    Endpoint.CANCEL: "each cancellation",
    Endpoint.RESCHEDULE: "each reschedule",
    Endpoint.LIST: "each list of bookings",
    Endpoint.SLOTS: "each list of free times",
    Endpoint.ANY: "everything",
}
_WHEN = {
    StallStage.BEFORE_CHECK: "before it checks",
    StallStage.BEFORE_INSERT: "between its check and its insert",
    StallStage.BEFORE_REPLY: "before it replies",
}


class CalcomStallParams(BaseModel):
    """`delay_s` is life-size. The lease ends the stall by itself if nobody heals it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: Endpoint = Endpoint.CREATE
    stage: StallStage = StallStage.BEFORE_INSERT
    delay_s: Annotated[float, Field(ge=0)]
    lease_s: Annotated[float, Field(gt=0)] = 600


class CalcomStall:
    """Stalls one endpoint of the Cal.com stub at one stage; proven by the delays that the stub measured."""

    name: ClassVar[str] = "calcom_stall"
    Params = CalcomStallParams

    def __init__(self) -> None:
        self._behaviour = f"calcom_stall-{secrets.token_hex(3)}"  # several stalls may be on at once

    def inject(self, system: System, params: CalcomStallParams, deadline: Deadline) -> ReadBack:
        wanted = {
            "endpoint": params.endpoint.value,
            "stage": params.stage.value,
            "kind": "delay",
            "delay_ms": round(params.delay_s * 1e3 / system.time_scale),
            "lease_s": params.lease_s / system.time_scale + _LEASE_MARGIN_S,
        }
        self._call(system, "PUT", wanted)
        found = self._call(system, "GET")
        different = {key: found.get(key) for key, value in wanted.items() if found.get(key) != value}
        if different:
            raise FaultError(f"the Cal.com stub reads back {different}, not {wanted}")
        return ReadBack({key: found[key] for key in wanted})

    def verify(self, system: System, params: CalcomStallParams) -> Effect:
        required_ms = max(0.9 * params.delay_s * 1e3 / system.time_scale, _LEAST_EFFECT_MS)
        found = self._call(system, "GET")
        delays = found.get("delays_ms") or {}
        longest, completed = delays.get("max") or 0.0, found.get("completed", 0)
        median = delays.get("p50") or 0.0
        life = system.time_scale / 1e3
        return Effect(
            bitten=completed >= 1 and longest >= required_ms,
            observed=f"Cal.com worked {median * life:.1f} s life-size longer (median of {completed})",
            required=f"at least one request held for {required_ms * life:.1f} s life-size",
            details={"completed": completed, "matched": found.get("matched"), "delays_ms": delays},
        )

    def heal(self, system: System, params: CalcomStallParams, deadline: Deadline) -> ReadBack:
        self._call(system, "DELETE")
        return ReadBack({"present": self._call(system, "GET", absent_is_fine=True) != {}})

    def verify_healed(self, system: System, params: CalcomStallParams) -> Effect:
        present = self._call(system, "GET", absent_is_fine=True) != {}
        return Effect(
            bitten=not present,
            observed="the stub still has the behaviour" if present else "the stub has no such behaviour",
            required="no such behaviour",
        )

    def describe(self, params: CalcomStallParams) -> str:
        return f"Cal.com works {params.delay_s:g} s longer on {_WORK[params.endpoint]}, {_WHEN[params.stage]}"

    def _call(
        self, system: System, method: str, body: dict[str, Any] | None = None, *, absent_is_fine: bool = False
    ) -> dict[str, Any]:
        if system.calcom_control is None:
            raise FaultError("this stack has no Cal.com stub to control", hint="run the embedded stack")
        url = f"{system.calcom_control.url}/control/behaviours/{self._behaviour}"
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
