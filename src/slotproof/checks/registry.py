"""Finds the checks: the bundled ones and those of other packages come through the same entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from slotproof.checks.base import Check
from slotproof.errors import SlotproofError

GROUP = "slotproof.checks"


def all_checks() -> list[Check]:
    """Every registered check, in order of its entry point's name.

    Raises:
        SlotproofError: a check cannot be imported or made; leaving it out would turn its question into a pass.
    """
    return [_make(entry) for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value))]


def _make(entry: EntryPoint) -> Check:
    try:
        check: Check = entry.load()()
    except (ImportError, AttributeError, TypeError) as error:
        raise SlotproofError(
            f"the check {entry.name} cannot be loaded: {error}",
            where=f"entry point {GROUP}: {entry.value}",
            hint="reinstall the package that brings it, or remove it",
        ) from error
    return check
