"""What judging an objective, and the run itself, answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from slotproof.plan.objective import Objective


class ObjectiveStatus(StrEnum):
    MET = "met"
    MISSED = "missed"
    INCONCLUSIVE = "inconclusive"  # the interval straddles the limit
    NO_DATA = "no_data"
    NOT_APPLICABLE = "not_applicable"  # its fault is not part of this run


@dataclass(frozen=True)
class ObjectiveResult:
    """Figures are in the objective's own unit: life-size for `waits_on: delays`, wall for `computing`."""

    objective: Objective
    status: ObjectiveStatus
    observed: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    reason: str


class ValidityStatus(StrEnum):
    VALID = "valid"
    INVALID = "invalid"
    TOO_SHORT = "too_short"  # a smoke run: trustworthy, but inconclusive at best
    UNKNOWN = "unknown"  # the record does not tell; never a pass


@dataclass(frozen=True)
class ValidityItem:
    """One condition of a trustworthy run: what was required, what was seen."""

    name: str
    status: ValidityStatus
    observed: str
    required: str
