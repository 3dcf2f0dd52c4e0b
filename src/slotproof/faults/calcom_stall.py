"""Fault `calcom_stall`: Cal.com is slow *inside*, at a stage of its own work.

A link toxic cannot do this: to sell a slot twice, Cal.com must be slow between its availability check and its insert
(FACTS-faults.md section 1.2). The stub stalls there and observes how long it did.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from slotproof.faults.base import Deadline, Effect, ReadBack
from slotproof.faults.calcom_control import LEASE_MARGIN_S, StubBehaviour
from slotproof.system import System

_LEAST_EFFECT_MS = 5.0


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
    share: Annotated[float, Field(gt=0, le=1)] = 1


class CalcomStall:
    """Stalls one endpoint of the Cal.com stub at one stage; proven by the delays that the stub measured."""

    name: ClassVar[str] = "calcom_stall"
    Params = CalcomStallParams

    def __init__(self) -> None:
        self._behaviour = StubBehaviour(self.name)

    def inject(self, system: System, params: CalcomStallParams, deadline: Deadline) -> ReadBack:
        wanted = {
            "endpoint": params.endpoint.value,
            "stage": params.stage.value,
            "kind": "delay",
            "delay_ms": round(params.delay_s * 1e3 / system.time_scale),
            "lease_s": params.lease_s / system.time_scale + LEASE_MARGIN_S,
            **({"share": params.share} if params.share != 1 else {}),
        }
        return self._behaviour.put(system, wanted)

    def verify(self, system: System, params: CalcomStallParams) -> Effect:
        required_ms = max(0.9 * params.delay_s * 1e3 / system.time_scale, _LEAST_EFFECT_MS)
        found = self._behaviour.get(system)
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
        return self._behaviour.delete(system)

    def verify_healed(self, system: System, params: CalcomStallParams) -> Effect:
        return self._behaviour.gone(system)

    def describe(self, params: CalcomStallParams) -> str:
        part = "" if params.share == 1 else f" (one in {1 / params.share:.0f})"
        return f"Cal.com works {params.delay_s:g} s longer on {_WORK[params.endpoint]}{part}, {_WHEN[params.stage]}"
