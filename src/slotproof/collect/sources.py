"""Reads the figures that the parts of a stack publish: the service's Prometheus metrics, the stub's state."""

from __future__ import annotations

import re
from typing import Any

import httpx

from slotproof.system import Address, LinkName, System

_TIMEOUT_S = 1.0
_SAMPLE = re.compile(r"^(booking_[a-z_]+)(?:\{[^}]*\})? ([0-9.eE+-]+|NaN)$")
_NOT_FIGURES = ("_created", "_bucket", "_sum", "_count")  # parts of histograms: meaningless once labels are summed


class SourceUnreachableError(Exception):
    """A part did not answer; the caller decides whether that matters."""


def service_metrics(system: System) -> dict[str, float]:
    """The service's own gauges and counters by name, labels summed; empty when it publishes none."""
    # Straight to the service, not through its link: a fault on that link must not blind the harness.
    address = system.link(LinkName.SERVICE).upstream
    text = _get(address, "/metrics").text
    figures: dict[str, float] = {}
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match and not match[1].endswith(_NOT_FIGURES):
            figures[match[1]] = figures.get(match[1], 0.0) + float(match[2])
    return figures


def service_health(system: System) -> dict[str, Any]:
    health: dict[str, Any] = _get(system.service, "/healthz").json()
    return health


def calcom_state(system: System) -> dict[str, float]:
    """The stub's figures; empty when the stack has no stub."""
    if system.calcom_control is None:
        return {}
    state: dict[str, float] = _get(system.calcom_control, "/control/state").json()
    return state


def _get(address: Address, path: str) -> httpx.Response:
    try:
        reply = httpx.get(f"{address.url}{path}", timeout=_TIMEOUT_S, trust_env=False)
        reply.raise_for_status()
    except httpx.HTTPError as error:
        raise SourceUnreachableError(f"{address.url}{path}: {error!r}") from error
    return reply
