"""From findings to a check's status, the same way for all checks."""

from __future__ import annotations

from collections.abc import Sequence

from slotproof.checks.base import CheckResult, CheckStatus, Finding, FindingClass, Undecided
from slotproof.checks.bookings import Resolved
from slotproof.checks.exercised import count_exercised, exercises_integrity


def conclude(resolved: Resolved, findings: Sequence[Finding], undecided: Sequence[Undecided]) -> CheckResult:
    """Violation (an integrity finding) > not decided > not exercised > pass.

    Findings of the promise class are reported and leave the status alone: they count against limits, not against
    integrity.
    """
    exercised = count_exercised(resolved)
    if any(finding.finding_class is FindingClass.INTEGRITY for finding in findings):
        status = CheckStatus.VIOLATION
    elif undecided:
        status = CheckStatus.NOT_DECIDED
    elif not exercises_integrity(exercised, resolved.record.fault_spans):
        status = CheckStatus.NOT_EXERCISED
    else:
        status = CheckStatus.PASS
    ordered = sorted(findings, key=lambda finding: (finding.at_ns, finding.kind, finding.bookings, finding.rows))
    return CheckResult(status, tuple(ordered), tuple(undecided), exercised)
