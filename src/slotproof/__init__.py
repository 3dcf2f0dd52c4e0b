"""slotproof proves or refutes, with evidence, that a booking system never sells a slot twice under load and faults.

From Python: `slotproof.run(slotproof.Choices("rush", experiment="slow_calcom"))` plans, executes, judges and reports
one run; `slotproof.check_history(slotproof.read_history(path))` decides a history from any tool. Names are imported
when first used: a load worker must not import numpy or httpx before gevent.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slotproof.checks.exact import check_history
    from slotproof.pipeline import run
    from slotproof.plan.resolve import Choices
    from slotproof.record.exchange import read_history

__all__ = ["Choices", "check_history", "read_history", "run"]

_HOMES = {
    "Choices": "slotproof.plan.resolve",
    "check_history": "slotproof.checks.exact",
    "read_history": "slotproof.record.exchange",
    "run": "slotproof.pipeline",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
