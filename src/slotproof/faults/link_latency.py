"""Fault `link_latency`: everything on one link takes longer (latency toxic: FACTS-faults.md section 4.2)."""

from __future__ import annotations

import time
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from slotproof.faults.base import Deadline, Effect, ReadBack
from slotproof.faults.probe import Answer, ask
from slotproof.system import Link, LinkName, System
from slotproof.toxiproxy import Latency, Stream, ToxiproxyClient

_LEAST_EFFECT_MS = 5.0
"""A delay below this cannot be told from the noise of a busy machine: such a fault counts as without effect."""
_PROBES, _PROBING_S = 8, 1.0
"""So many probes, as long as they are quick, must all be slow."""


class LinkLatencyParams(BaseModel):
    """`latency_ms` and `jitter_ms` are life-size: they are divided by the time scale."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    link: LinkName
    stream: Stream = Stream.DOWNSTREAM
    latency_ms: Annotated[float, Field(ge=0)]
    jitter_ms: Annotated[float, Field(ge=0)] = 0


class LinkLatency:
    """Delays every chunk on a link by a fixed time; proven by a probe through the link."""

    name: ClassVar[str] = "link_latency"
    Params = LinkLatencyParams

    def inject(self, system: System, params: LinkLatencyParams, deadline: Deadline) -> ReadBack:
        state = _client(system).add_toxic(params.link, _toxic(system, params))
        return ReadBack({"toxic": state.name, "stream": state.stream, **state.attributes})

    def verify(self, system: System, params: LinkLatencyParams) -> Effect:
        wall_ms = params.latency_ms / system.time_scale
        required_ms = max(0.8 * (wall_ms - params.jitter_ms / system.time_scale), _LEAST_EFFECT_MS)
        answer = _fastest(system.link(params.link), required_ms, timeout_s=2 * wall_ms / 1e3 + 2)
        return Effect(
            bitten=answer.latency_ms is not None and answer.latency_ms >= required_ms,
            observed=f"a probe through the {params.link} link {answer}",
            required=f"at least {required_ms:.0f} ms",
            details={"latency_ms": answer.latency_ms},
        )

    def heal(self, system: System, params: LinkLatencyParams, deadline: Deadline) -> ReadBack:
        client = _client(system)
        client.remove_toxic(params.link, _toxic(system, params).full_name)
        state = client.proxy(params.link)
        return ReadBack({"enabled": state.enabled, "toxics": [toxic.name for toxic in state.toxics]})

    def verify_healed(self, system: System, params: LinkLatencyParams) -> Effect:
        allowed_ms = max(0.5 * params.latency_ms / system.time_scale, 250.0)
        answer = ask(system.link(params.link), timeout_s=2)
        return Effect(
            bitten=answer.latency_ms is not None and answer.latency_ms <= allowed_ms,
            observed=f"a probe through the {params.link} link {answer}",
            required=f"at most {allowed_ms:.0f} ms",
        )

    def describe(self, params: LinkLatencyParams) -> str:
        direction = "replies" if params.stream is Stream.DOWNSTREAM else "requests"
        return f"{direction} on the {params.link} link take {params.latency_ms / 1e3:g} s longer"


def _fastest(link: Link, required_ms: float, timeout_s: float) -> Answer:
    """The fastest of some probes: a busy machine makes one of them slow without any fault, hardly ever all."""
    until = time.monotonic() + _PROBING_S
    fastest = ask(link, timeout_s)
    for _ in range(_PROBES - 1):
        if fastest.latency_ms is None or fastest.latency_ms < required_ms or time.monotonic() > until:
            break
        answer = ask(link, timeout_s)
        if answer.latency_ms is None or answer.latency_ms < fastest.latency_ms:
            fastest = answer
    return fastest


def _toxic(system: System, params: LinkLatencyParams) -> Latency:
    return Latency(
        stream=params.stream,
        latency_ms=round(params.latency_ms / system.time_scale),
        jitter_ms=round(params.jitter_ms / system.time_scale),
    )


def _client(system: System) -> ToxiproxyClient:
    return ToxiproxyClient(system.toxiproxy.host, system.toxiproxy.port)
