"""A fault of latency is proven by the fastest of its probes: one slow probe may be the machine's."""

from __future__ import annotations

import pytest

from slotproof.faults import link_latency
from slotproof.faults.probe import Answer
from slotproof.system import Address, Link, LinkName


@pytest.mark.parametrize(
    ("measured", "proven"), [([9.0, 1.0], False), ([9.0] * 8, True), ([1.0], False), ([9.0] * 7 + [2.0], False)]
)
def test_one_quick_probe_refutes(monkeypatch: pytest.MonkeyPatch, measured: list[float], proven: bool) -> None:
    answers = iter(measured)
    monkeypatch.setattr(link_latency, "ask", lambda link, timeout_s: Answer(next(answers)))
    here = Address("127.0.0.1", 1)
    link = Link(LinkName.CALCOM, here, here)
    fastest = link_latency._fastest(link, required_ms=5.0, timeout_s=1.0)
    assert (fastest.latency_ms is not None and fastest.latency_ms >= 5.0) is proven
