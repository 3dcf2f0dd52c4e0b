"""The run in a few words each, shared by page, summary and terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from slotproof.checks.base import CheckResult, CheckStatus, Finding, FindingClass, FindingKind
from slotproof.judgement import Judgement
from slotproof.plan.plan import Plan
from slotproof.record.record import Record
from slotproof.record.schemas import Outcome
from slotproof.report.tally import Resolution, Tally
from slotproof.report.text import count, counted, duration, joined, significant
from slotproof.report.verdict_json import fault_status
from slotproof.report.witness import callers_of, heading_of
from slotproof.slo.results import ObjectiveResult, ObjectiveStatus, ValidityItem, ValidityStatus

_RESOLUTION_WORDS = {
    Resolution.HAPPENED: "happened",
    Resolution.NEVER: "never happened",
    Resolution.UNDONE: "happened and were undone",
    Resolution.DIVERGED: "differ between calendar and database",
    Resolution.NOT_KNOWN: "not known, the ledger was not read",
}
_TELLING = ("confirmed", "contested_ranges", "overlapping_attempts")
_WORST_FIRST = (
    ObjectiveStatus.MISSED,
    ObjectiveStatus.NO_DATA,
    ObjectiveStatus.INCONCLUSIVE,
    ObjectiveStatus.MET,
    ObjectiveStatus.NOT_APPLICABLE,
)


def integrity_findings(judgement: Judgement) -> list[Finding]:
    return [finding for finding in judgement.findings if finding.finding_class is FindingClass.INTEGRITY]


def promise_findings(judgement: Judgement) -> list[Finding]:
    return [finding for finding in judgement.findings if finding.finding_class is FindingClass.PROMISE]


def finding_line(finding: Finding, record: Record) -> str:
    """`Anna Weber, Tue 2 Mar 10:15–11:00: sold twice, callers 412 and 437`."""
    calls = [str(call) for call in callers_of(finding, record)]
    heading = heading_of(finding, record)
    return f"{heading}, {'caller' if len(calls) == 1 else 'callers'} {joined(calls)}" if calls else heading


def objectives_text(results: Sequence[ObjectiveResult]) -> str:
    """`4 of 6 met, 1 missed, 1 too few to tell`."""
    judged = [result for result in results if result.status is not ObjectiveStatus.NOT_APPLICABLE]
    if not judged:
        return "no objective"
    counts = {status: sum(r.status is status for r in judged) for status in ObjectiveStatus}
    parts = [f"{counts[ObjectiveStatus.MET]} of {len(judged)} met"]
    words = {
        ObjectiveStatus.MISSED: "missed",
        ObjectiveStatus.INCONCLUSIVE: "too few to tell",
        ObjectiveStatus.NO_DATA: "without data",
    }
    parts += [f"{counts[status]} {word}" for status, word in words.items() if counts[status]]
    return ", ".join(parts)


def worst_first(results: Iterable[ObjectiveResult]) -> list[ObjectiveResult]:
    return sorted(results, key=lambda result: _WORST_FIRST.index(result.status))


def validity_status(items: Sequence[ValidityItem]) -> ValidityStatus:
    """The worst of all conditions; nothing known is not valid."""
    order = (ValidityStatus.INVALID, ValidityStatus.UNKNOWN, ValidityStatus.TOO_SHORT, ValidityStatus.VALID)
    statuses = {item.status for item in items}
    return next((status for status in order if status in statuses), ValidityStatus.UNKNOWN)


def unmet(items: Iterable[ValidityItem]) -> list[ValidityItem]:
    """The conditions that are not known to be met."""
    return [item for item in items if item.status is not ValidityStatus.VALID]


def validity_text(items: Sequence[ValidityItem]) -> str:
    """The names of the unmet conditions, or that all are met."""
    names = [spoken(item.name) for item in unmet(items)]
    if names:
        return joined(names)
    return f"all {counted(len(items), 'condition')} met" if items else "no condition was checked"


def exercised_text(result: CheckResult) -> str:
    """`299 confirmed, 41 contested ranges, 12 contested ranges during stall`: what could have gone wrong."""
    during = tuple(name for name in result.exercised if name.startswith("contested_ranges_during_"))
    telling = {name: n for name, n in result.exercised.items() if name in _TELLING + during} or result.exercised
    return ", ".join(f"{count(n)} {spoken(name)}" for name, n in telling.items())


def overlapping_text(judgement: Judgement) -> str | None:
    """`1,348 attempts overlapped another one on the same person, 1,033 of them during link`; None when none did."""
    exercised = judgement.checks["double_booking"].exercised if "double_booking" in judgement.checks else {}
    pairs = exercised.get("overlapping_attempts", 0)
    if not pairs:
        return None
    prefix = "overlapping_attempts_during_"
    during = [f"{count(n)} during {name.removeprefix(prefix)}" for name, n in exercised.items() if prefix in name]
    return ", ".join([f"{counted(pairs, 'pair')} of attempts overlapped in time and range", *during])


def spoken(name: str) -> str:
    """An identifier as words."""
    return name.replace("_", " ")


def faults_text(record: Record) -> str:
    """`2 of 2 faults proven and healed`."""
    spans = record.fault_spans
    if not spans:
        return "no fault was declared"
    proven = sum(fault_status(span) == "proven" for span in spans)
    return f"{proven} of {counted(len(spans), 'fault')} proven and healed"


def resolved_text(tally: Tally, outcome: Outcome) -> str:
    """`9 happened, 3 never happened`."""
    resolved = tally.resolved.get(outcome, {})
    return ", ".join(f"{count(n)} {_RESOLUTION_WORDS[word]}" for word, n in resolved.items())


def bound_text(tally: Tally) -> str | None:
    """What zero double bookings proves, and no more; None when some were found."""
    bound = tally.double_rate_bound
    if bound is not None:
        return (
            f"No double booking in {counted(tally.contested, 'contested attempt')}: with 95 % confidence "
            f"fewer than {significant(bound * 100, 2)} % of contested attempts end in one (3/n)."
        )
    if tally.findings(FindingKind.DOUBLE_BOOKING) == 0:
        return "No attempt was contested, so the run says nothing about double bookings."
    return None


def duration_text(plan: Plan) -> str:
    """`48 s at time scale 10 (8 min life-size)`."""
    life_s = plan.scenario.load.duration_s
    if plan.time_scale == 1:
        return duration(life_s)
    return f"{duration(plan.wall_s(life_s))} at time scale {plan.time_scale:g} ({duration(life_s)} life-size)"


def started_text(plan: Plan, record: Record) -> str:
    moment: datetime = record.clock.to_utc(record.load_started_ns)
    return f"{moment.day} {moment:%b %Y %H:%M:%S} UTC"


def is_decided(judgement: Judgement) -> bool:
    """Whether every check came to a result on something that the run exercised."""
    decided = (CheckStatus.PASS, CheckStatus.VIOLATION)
    return bool(judgement.checks) and all(result.status in decided for result in judgement.checks.values())
