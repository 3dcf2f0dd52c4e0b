"""The answer of a run, as data: what `judge` makes and what every report shows (CONTRACTS.md section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from slotproof.checks.base import CheckResult, Finding
from slotproof.slo.results import ObjectiveResult, ValidityItem


class Verdict(StrEnum):
    GO = "GO"
    NO_GO = "NO-GO"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"


class ExitCode(IntEnum):
    GO = 0
    INTERNAL_ERROR = 1
    USAGE = 2
    OBJECTIVE_MISSED = 10
    INTEGRITY_BROKEN = 11
    REGRESSION = 12
    INCONCLUSIVE = 20
    INVALID = 21
    STOPPED = 30
    INTERRUPTED = 130
    TERMINATED = 143


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


_WORST_FIRST = (
    ExitCode.INTERNAL_ERROR,
    ExitCode.USAGE,
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
    ExitCode.INTEGRITY_BROKEN,
    ExitCode.STOPPED,
    ExitCode.INVALID,
    ExitCode.OBJECTIVE_MISSED,
    ExitCode.REGRESSION,
    ExitCode.INCONCLUSIVE,
    ExitCode.GO,
)


def worst_exit_code(codes: Sequence[int]) -> int:
    """Of several runs the worst wins, in the order of CONTRACTS.md section 4."""
    return min(codes, key=lambda code: _WORST_FIRST.index(ExitCode(code)), default=ExitCode.GO)
