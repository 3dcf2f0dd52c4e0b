"""Fault `calcom_webhooks`: some of Cal.com's webhooks are lost, come twice, or late and out of order.

By default Cal.com sends each once, without a retry, and swallows what comes of it; queues and proxies do the rest
(FACTS-calcom-retell.md section 1.10). The scenario must have `calcom: {webhooks: true}`, or there are none.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from slotproof.faults.base import Deadline, Effect, ReadBack
from slotproof.faults.calcom_control import ask_stub, read_back
from slotproof.system import System

_PATH = "/control/webhooks"
_NONE = {"lost": 0.0, "duplicated": 0.0, "delayed": 0.0, "delay_ms": 0.0}
Share = Annotated[float, Field(ge=0, le=1)]


class CalcomWebhooksParams(BaseModel):
    """Shares of the webhooks; those that are delayed come up to `delay_s` (life-size) later."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lost: Share = 0
    duplicated: Share = 0
    delayed: Share = 0
    delay_s: Annotated[float, Field(ge=0)] = 0


class CalcomWebhooks:
    """Proven by the stub, which counts what it has lost, sent twice and delayed."""

    name: ClassVar[str] = "calcom_webhooks"
    Params = CalcomWebhooksParams

    def inject(self, system: System, params: CalcomWebhooksParams, deadline: Deadline) -> ReadBack:
        wanted = {
            "lost": params.lost,
            "duplicated": params.duplicated,
            "delayed": params.delayed,
            "delay_ms": round(params.delay_s * 1e3 / system.time_scale),
        }
        return read_back(ask_stub(system, "PUT", _PATH, wanted), wanted)

    def verify(self, system: System, params: CalcomWebhooksParams) -> Effect:
        found = ask_stub(system, "GET", _PATH)
        counts = {name: int(found["counts"][name]) for name in ("lost", "duplicated", "delayed")}
        wanted = [name for name in counts if getattr(params, name)]
        return Effect(
            bitten=bool(wanted) and all(counts[name] for name in wanted),
            observed=", ".join(f"{count} {name}" for name, count in counts.items()),
            required="at least one " + ", one ".join(wanted) if wanted else "a share above 0",
            details=counts,
        )

    def heal(self, system: System, params: CalcomWebhooksParams, deadline: Deadline) -> ReadBack:
        return read_back(ask_stub(system, "PUT", _PATH, _NONE), _NONE)

    def verify_healed(self, system: System, params: CalcomWebhooksParams) -> Effect:
        found = ask_stub(system, "GET", _PATH)
        calm = all(found[name] == value for name, value in _NONE.items())
        return Effect(
            bitten=calm and not found["on_their_way"],
            observed=f"{found['on_their_way']} webhooks still on their way" if calm else "webhooks still go astray",
            required="none on its way, none goes astray",
        )

    def describe(self, params: CalcomWebhooksParams) -> str:
        parts = [f"{getattr(params, name):.0%} {name}" for name in ("lost", "duplicated") if getattr(params, name)]
        if params.delayed:
            parts.append(f"{params.delayed:.0%} delayed by up to {params.delay_s:g} s")
        return f"of Cal.com's webhooks {', '.join(parts) or 'none goes astray'}"
