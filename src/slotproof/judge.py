"""From results to the one answer: verdict, exit code, one sentence (CONTRACTS.md section 4).

It is given results only. Profile and flaws of the target are out of its reach, so they cannot sway it.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from slotproof.checks.base import CheckResult, CheckStatus, Finding, FindingClass, FindingKind
from slotproof.exit_codes import ExitCode
from slotproof.judgement import Judgement, Verdict
from slotproof.record.events import Phase, PhaseEvent
from slotproof.slo.results import ObjectiveResult, ObjectiveStatus, ValidityItem, ValidityStatus
from slotproof.slo.validity import RECORD_COMPLETE

_VERDICTS = {
    ExitCode.GO: Verdict.GO,
    ExitCode.OBJECTIVE_MISSED: Verdict.NO_GO,
    ExitCode.INTEGRITY_BROKEN: Verdict.NO_GO,
    ExitCode.INCONCLUSIVE: Verdict.INCONCLUSIVE,
    ExitCode.INVALID: Verdict.INVALID,
    ExitCode.STOPPED: Verdict.INVALID,
    ExitCode.INTERNAL_ERROR: Verdict.INVALID,
    ExitCode.INTERRUPTED: Verdict.INVALID,
    ExitCode.TERMINATED: Verdict.INVALID,
}


def judge(
    objectives: Sequence[ObjectiveResult],
    validity: Sequence[ValidityItem],
    checks: Mapping[str, CheckResult],
    phases: Sequence[PhaseEvent],
) -> Judgement:
    """The first that applies: a part failed (1) > signal (130, 143) > integrity (11) > stopped (30) > INVALID (21) >
    missed (10) > INCONCLUSIVE (20) > GO (0).

    The exit code of a failure or a signal stays when integrity is broken as well; the verdict is then NO-GO all the
    same. A finding outranks INVALID only when it is proved by complete records.
    """
    findings = _ordered(finding for result in checks.values() for finding in result.findings)
    broken = [finding for finding in findings if finding.finding_class is FindingClass.INTEGRITY]
    abort = next((event for event in phases if event.phase is Phase.ABORTED), None)
    facts = _Facts(
        broken=broken,
        proved=bool(broken) and _records_complete(validity),
        abort=abort,
        invalid=[item for item in validity if item.status is ValidityStatus.INVALID],
        missed=[result for result in objectives if result.status is ObjectiveStatus.MISSED],
        gaps=list(_gaps(objectives, validity, checks)),
    )
    code = _exit_code(facts)
    return Judgement(
        verdict=Verdict.NO_GO if facts.proved else _VERDICTS[code],
        exit_code=int(code),
        reason="; ".join([*_reasons(facts, code, objectives), *_promises_text(findings)]),
        aborted=_aborted_text(abort) if abort else None,
        findings=findings,
        checks=dict(checks),
        objectives=tuple(objectives),
        validity=tuple(validity),
    )


@dataclass(frozen=True)
class _Facts:
    """What the verdict depends on. `proved`: integrity is broken, and complete records say so."""

    broken: Sequence[Finding]
    proved: bool
    abort: PhaseEvent | None
    invalid: Sequence[ValidityItem]
    missed: Sequence[ObjectiveResult]
    gaps: Sequence[str]


def _exit_code(facts: _Facts) -> ExitCode:
    aborted = _abort_code(facts.abort) if facts.abort else None
    ordered = (
        (aborted is ExitCode.INTERNAL_ERROR, ExitCode.INTERNAL_ERROR),
        (aborted is ExitCode.INTERRUPTED, ExitCode.INTERRUPTED),
        (aborted is ExitCode.TERMINATED, ExitCode.TERMINATED),
        (facts.proved, ExitCode.INTEGRITY_BROKEN),
        (aborted is ExitCode.STOPPED, ExitCode.STOPPED),
        (bool(facts.invalid), ExitCode.INVALID),
        (bool(facts.missed), ExitCode.OBJECTIVE_MISSED),
        (bool(facts.broken), ExitCode.INCONCLUSIVE),
        (bool(facts.gaps), ExitCode.INCONCLUSIVE),
    )
    return next((code for applies, code in ordered if applies), ExitCode.GO)


def _reasons(facts: _Facts, code: ExitCode, objectives: Sequence[ObjectiveResult]) -> Iterator[str]:
    if facts.proved:
        yield _integrity_text(facts.broken)
        if facts.missed:
            yield _missed_text(facts.missed)
    if facts.abort is not None:
        yield f"the run was aborted by {_aborted_text(facts.abort)}"
    elif code is ExitCode.INVALID:
        yield _invalid_text(facts.invalid)
    elif facts.proved and facts.invalid:
        yield f"in all else {_invalid_text(facts.invalid)}"
    elif code is ExitCode.OBJECTIVE_MISSED:
        yield _missed_text(facts.missed)
    elif code is ExitCode.INCONCLUSIVE and facts.gaps:
        yield facts.gaps[0] + (f" (and {len(facts.gaps) - 1} more)" if len(facts.gaps) > 1 else "")
    elif code is ExitCode.GO:
        yield _go_text(objectives)
    if facts.broken and not facts.proved:
        yield f"not proved by complete records: {_integrity_text(facts.broken)}"


_SIGNALS = {int(each): each.name for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}


def _ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Integrity first, then by time; the rest makes the order certain."""
    return tuple(
        sorted(
            findings,
            key=lambda finding: (
                finding.finding_class is not FindingClass.INTEGRITY,
                finding.at_ns,
                finding.kind,
                finding.bookings,
                finding.rows,
            ),
        )
    )


def _records_complete(validity: Sequence[ValidityItem]) -> bool:
    return all(item.status is ValidityStatus.VALID for item in validity if item.name == RECORD_COMPLETE)


def _abort_code(abort: PhaseEvent) -> ExitCode:
    number = abort.details.get("signal")
    if number is None:
        return ExitCode.INTERNAL_ERROR if abort.details.get("failed") else ExitCode.STOPPED
    return ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED


def _aborted_text(abort: PhaseEvent) -> str:
    number = abort.details.get("signal")
    unsignalled = "the failure of a part" if abort.details.get("failed") else "a stop condition"
    by = unsignalled if number is None else _SIGNALS.get(number, f"signal {number}")
    why = abort.details.get("why")
    return f"{by} ({why})" if why else by


def _gaps(
    objectives: Sequence[ObjectiveResult], validity: Sequence[ValidityItem], checks: Mapping[str, CheckResult]
) -> Iterator[str]:
    """Everything that stands between this run and a GO, the most fundamental first."""
    if not checks:
        yield "no check was made"
    if not validity:
        yield "whether the run can be trusted was not judged"
    for status, words in (
        (CheckStatus.NOT_DECIDED, "could not be decided"),
        (CheckStatus.NOT_EXERCISED, "was not exercised: nothing that could have failed happened"),
    ):
        for name, result in sorted(checks.items()):
            if result.status is status:
                reason = f": {result.undecided[0].reason}" if result.undecided else ""
                yield f"the check {name} {words}{reason}"
    for item in validity:
        if item.status in (ValidityStatus.UNKNOWN, ValidityStatus.TOO_SHORT):
            yield f"{_words(item.name)}: {item.observed}, required is {item.required}"
    judged = [each for each in objectives if each.status is not ObjectiveStatus.NOT_APPLICABLE]
    if not judged:
        yield "no objective was judged"
    for each in judged:
        if each.status in (ObjectiveStatus.NO_DATA, ObjectiveStatus.INCONCLUSIVE):
            said = "has no data" if each.status is ObjectiveStatus.NO_DATA else "is not decided"
            yield f"objective {each.objective.id} {said}" + (f": {each.reason}" if each.reason else "")


_INTEGRITY_WORDS = {
    FindingKind.DOUBLE_BOOKING: ("slot was sold twice", "slots were sold twice"),
    FindingKind.LOST_BOOKING: ("booking was lost", "bookings were lost"),
    FindingKind.PHANTOM_BOOKING: ("booking stands that nobody holds", "bookings stand that nobody holds"),
    FindingKind.DIVERGENT_BOOKING: (
        "booking differs between calendar and database",
        "bookings differ between calendar and database",
    ),
    FindingKind.LOST_CANCEL: ("cancelled booking still stands", "cancelled bookings still stand"),
    FindingKind.RESURRECTED_BOOKING: ("cancelled booking came back", "cancelled bookings came back"),
    FindingKind.DUPLICATE_BOOKING: ("booking was made more than once", "bookings were made more than once"),
    FindingKind.CLAIMED_TWICE: ("booking was given to two callers", "bookings were given to two callers"),
}


def _integrity_text(broken: Sequence[Finding]) -> str:
    counts = Counter(finding.kind for finding in broken)
    parts = [f"{n} {_kind_words(kind, n)}" for kind, n in sorted(counts.items(), key=lambda each: _rank(each[0]))]
    return _listed(parts)


def _rank(kind: FindingKind) -> int:
    return list(FindingKind).index(kind)


def _kind_words(kind: FindingKind, n: int) -> str:
    one, several = _INTEGRITY_WORDS.get(kind, (f"{_words(kind)} was found", f"{_words(kind)} were found"))
    return one if n == 1 else several


def _invalid_text(invalid: Sequence[ValidityItem]) -> str:
    worst = invalid[0]
    text = f"the run cannot be trusted: {_words(worst.name)}: {worst.observed}, required is {worst.required}"
    return text + (f" (and {len(invalid) - 1} more)" if len(invalid) > 1 else "")


def _missed_text(missed: Sequence[ObjectiveResult]) -> str:
    names = _listed([result.objective.title or result.objective.id for result in missed])
    return f"{len(missed)} objective{'' if len(missed) == 1 else 's'} missed: {names}"


def _go_text(objectives: Sequence[ObjectiveResult]) -> str:
    met = sum(result.status is ObjectiveStatus.MET for result in objectives)
    judged = "the only objective is met" if met == 1 else f"all {met} objectives are met"
    return f"no slot was sold twice, nothing was lost or invented, and {judged}"


def _promises_text(findings: Sequence[Finding]) -> Iterator[str]:
    """Findings of the promise class decide nothing here, and are never left unsaid."""
    promises = Counter(finding.kind for finding in findings if finding.finding_class is FindingClass.PROMISE)
    if promises:
        counted = _listed([f"{n} {_words(kind)}" for kind, n in sorted(promises.items())])
        yield f"besides, promises broken: {counted}"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _words(name: str) -> str:
    return name.replace("_", " ")
