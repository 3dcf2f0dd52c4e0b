"""Fault `calcom_reply`: Cal.com answers wrongly, or somebody books directly in its calendar meanwhile.

What no link can do (FACTS-calcom-retell.md sections 1.6, 1.9, 1.11 and 4.1): 429 and 5xx before or after the booking
was made, a cut JSON document, 200 with an error's body, an existing booking returned as if it were new, and a booking
made directly in the calendar between Cal.com's check and its insert.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from slotproof.faults.base import Deadline, Effect, ReadBack
from slotproof.faults.calcom_control import LEASE_MARGIN_S, StubBehaviour
from slotproof.faults.calcom_stall import Endpoint, StallStage
from slotproof.system import System


class ReplyKind(StrEnum):
    STATUS = "status"
    MALFORMED = "malformed"
    OK_WITH_ERROR = "ok_with_error"
    EXISTING = "existing"
    OVERTAKEN = "overtaken"


_ONLY_AT = {
    ReplyKind.EXISTING: (StallStage.BEFORE_CHECK,),
    ReplyKind.OVERTAKEN: (StallStage.BEFORE_INSERT, StallStage.BEFORE_CHECK),
}
"""These concern bookings only, and these stages."""
_SAYS = {
    ReplyKind.MALFORMED: "a cut document",
    ReplyKind.OK_WITH_ERROR: "200 with the body of an error",
}
_AFTER = {
    StallStage.BEFORE_CHECK: "and has done nothing",
    StallStage.BEFORE_INSERT: "after its check, and has done nothing",
    StallStage.BEFORE_REPLY: "and has done it",
}


class CalcomReplyParams(BaseModel):
    """`share`: which part of the requests. `status` belongs to kind `status`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: ReplyKind
    endpoint: Endpoint = Endpoint.CREATE
    stage: StallStage = StallStage.BEFORE_REPLY
    status: Literal[429, 500, 502, 503, 504] | None = None
    share: Annotated[float, Field(gt=0, le=1)] = 1
    lease_s: Annotated[float, Field(gt=0)] = 1200

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.kind is ReplyKind.STATUS) != (self.status is not None):
            raise ValueError("`status` is given with kind `status`, and with no other")
        only_at = _ONLY_AT.get(self.kind)
        if only_at is not None and (self.stage not in only_at or self.endpoint is not Endpoint.CREATE):
            stages = " or ".join(f"`{stage}`" for stage in only_at)
            raise ValueError(f"kind `{self.kind}` needs endpoint `{Endpoint.CREATE}` and stage {stages}")
        return self


class CalcomReply:
    """Spoils replies of the Cal.com stub; proven by the requests that the stub has spoilt."""

    name: ClassVar[str] = "calcom_reply"
    Params = CalcomReplyParams

    def __init__(self) -> None:
        self._behaviour = StubBehaviour(self.name)

    def inject(self, system: System, params: CalcomReplyParams, deadline: Deadline) -> ReadBack:
        wanted: dict[str, Any] = {
            "endpoint": params.endpoint.value,
            "stage": params.stage.value,
            "kind": params.kind.value,
            "lease_s": params.lease_s / system.time_scale + LEASE_MARGIN_S,
            **({} if params.status is None else {"status": params.status}),
            **({} if params.share == 1 else {"share": params.share}),
        }
        return self._behaviour.put(system, wanted)

    def verify(self, system: System, params: CalcomReplyParams) -> Effect:
        matched = int(self._behaviour.get(system).get("matched") or 0)
        return Effect(
            bitten=matched >= 1,
            observed=f"{matched} requests were concerned",
            required="at least one request",
            details={"matched": matched},
        )

    def heal(self, system: System, params: CalcomReplyParams, deadline: Deadline) -> ReadBack:
        return self._behaviour.delete(system)

    def verify_healed(self, system: System, params: CalcomReplyParams) -> Effect:
        return self._behaviour.gone(system)

    def describe(self, params: CalcomReplyParams) -> str:
        many = "each request" if params.share == 1 else f"one request in {1 / params.share:.0f}"
        if params.kind is ReplyKind.OVERTAKEN:
            when = "while Cal.com works on" if params.stage is StallStage.BEFORE_INSERT else "just before"
            return f"somebody books directly in the calendar {when} {many} for a booking"
        if params.kind is ReplyKind.EXISTING:
            return f"Cal.com answers {many} for a taken time with the booking that takes it"
        says = f"with {params.status}" if params.status else f"with {_SAYS[params.kind]}"
        return f"Cal.com answers {many} ({params.endpoint}) {says}, {_AFTER[params.stage]}"
