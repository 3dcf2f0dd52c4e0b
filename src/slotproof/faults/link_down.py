"""Fault `link_down`: a dependency refuses connections (a disabled proxy: FACTS-faults.md section 4.2, "down")."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from slotproof.faults.base import Deadline, Effect, ReadBack
from slotproof.faults.probe import ask
from slotproof.system import LinkName, System
from slotproof.toxiproxy import ToxiproxyClient


class LinkDownParams(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    link: LinkName


class LinkDown:
    """New connections are refused, existing ones end; proven by a refused probe."""

    name: ClassVar[str] = "link_down"
    Params = LinkDownParams

    def inject(self, system: System, params: LinkDownParams, deadline: Deadline) -> ReadBack:
        return ReadBack({"enabled": _client(system).set_enabled(params.link, False).enabled})

    def verify(self, system: System, params: LinkDownParams) -> Effect:
        answer = ask(system.link(params.link), timeout_s=2)
        return Effect(
            bitten=answer.failure == "refused",
            observed=f"a probe through the {params.link} link: {answer}",
            required="connection refused",
        )

    def heal(self, system: System, params: LinkDownParams, deadline: Deadline) -> ReadBack:
        return ReadBack({"enabled": _client(system).set_enabled(params.link, True).enabled})

    def verify_healed(self, system: System, params: LinkDownParams) -> Effect:
        answer = ask(system.link(params.link), timeout_s=2)
        return Effect(
            bitten=answer.latency_ms is not None,
            observed=f"a probe through the {params.link} link: {answer}",
            required="an answer",
        )

    def describe(self, params: LinkDownParams) -> str:
        return f"{params.link} refuses connections"


def _client(system: System) -> ToxiproxyClient:
    return ToxiproxyClient(system.toxiproxy.host, system.toxiproxy.port)
