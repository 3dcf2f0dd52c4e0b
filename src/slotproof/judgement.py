"""The answer of a run, as data: what `judge` makes and what every report shows (CONTRACTS.md section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from slotproof.checks.base import CheckResult, Finding
from slotproof.slo.results import ObjectiveResult, ValidityItem


class Verdict(StrEnum):
    GO = "GO"
    NO_GO = "NO-GO"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"


@dataclass(frozen=True)
class Judgement:
    """`findings`: all, integrity first, then by time. `aborted`: by what, when the run did not end itself."""

    verdict: Verdict
    exit_code: int
    reason: str
    aborted: str | None
    findings: Sequence[Finding]
    checks: Mapping[str, CheckResult]
    objectives: Sequence[ObjectiveResult]
    validity: Sequence[ValidityItem]
