"""The faults there are: entry points `slotproof.faults`; the bundled ones use them too (CONTRACTS.md section 7)."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel

from slotproof.faults.base import Fault


@cache
def fault_kinds() -> dict[str, type[Fault[Any]]]:
    """Fault classes by name, sorted."""
    kinds = [entry.load() for entry in entry_points(group="slotproof.faults")]
    return {kind.name: kind for kind in sorted(kinds, key=lambda kind: str(kind.name))}


def fault_params() -> dict[str, type[BaseModel]]:
    """Parameter model of each fault by name, for the plan."""
    return {name: kind.Params for name, kind in fault_kinds().items()}
