"""The order of verdicts and exit codes, to the letter (CONTRACTS.md section 4)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from slotproof.checks.base import CheckResult, CheckStatus, Finding, FindingKind, Undecided
from slotproof.judge import judge
from slotproof.judgement import Judgement, Verdict
from slotproof.plan.objective import Objective
from slotproof.record.events import Phase, PhaseEvent
from slotproof.slo.results import ObjectiveResult, ObjectiveStatus, ValidityItem, ValidityStatus
from slotproof.slo.validity import RECORD_COMPLETE


def finding(kind: FindingKind = FindingKind.DOUBLE_BOOKING, at_ns: int = 5) -> Finding:
    return Finding("double_booking", kind, "1", (1, 2), (), (1, 2), at_ns, "Anna Weber was sold twice")


def objective(status: ObjectiveStatus, reason: str = "") -> ObjectiveResult:
    declared = Objective.model_validate(
        {
            "id": "answered",
            "title": "Booking answered within 10 s",
            "kind": "book",
            "measure": "served",
            "statistic": "share",
            "above": 0.95,
            "window": "all",
            "waits_on": "delays",
        }
    )
    return ObjectiveResult(declared, status, None, None, None, 0, reason)


def validity(status: ValidityStatus = ValidityStatus.VALID, name: str = "arrivals_achieved") -> list[ValidityItem]:
    complete = ValidityItem(RECORD_COMPLETE, ValidityStatus.VALID, "12 ops", "every op")
    return [complete, ValidityItem(name, status, "97.0%", "at least 98 %")]


PASSED = {"double_booking": CheckResult(CheckStatus.PASS)}
BROKEN = {"double_booking": CheckResult(CheckStatus.VIOLATION, (finding(),))}
STOPPED: dict[str, Any] = {"signal": None, "why": "calls_in_progress above 2000"}
FAILED: dict[str, Any] = {
    "signal": None,
    "why": "service died, its log service.log ends: out of memory",
    "failed": True,
}


def judged(
    *,
    objectives: Sequence[ObjectiveStatus] = (ObjectiveStatus.MET,),
    valid: Sequence[ValidityItem] | None = None,
    checks: Mapping[str, CheckResult] = PASSED,
    aborted: Mapping[str, Any] | None = None,
) -> Judgement:
    phases = [PhaseEvent(Phase.LOAD_STARTED, 0)]
    phases += [PhaseEvent(Phase.ABORTED, 9, aborted)] if aborted is not None else []
    return judge([objective(status) for status in objectives], validity() if valid is None else valid, checks, phases)


INVALID = validity(ValidityStatus.INVALID)
MISSED = (ObjectiveStatus.MISSED, ObjectiveStatus.MET)


@pytest.mark.parametrize(
    ("facts", "verdict", "exit_code"),
    [
        ({}, Verdict.GO, 0),
        ({"objectives": ()}, Verdict.INCONCLUSIVE, 20),
        ({"objectives": (ObjectiveStatus.NOT_APPLICABLE,)}, Verdict.INCONCLUSIVE, 20),
        ({"objectives": (ObjectiveStatus.MET, ObjectiveStatus.NOT_APPLICABLE)}, Verdict.GO, 0),
        ({"objectives": (ObjectiveStatus.NO_DATA,)}, Verdict.INCONCLUSIVE, 20),
        ({"objectives": (ObjectiveStatus.INCONCLUSIVE,)}, Verdict.INCONCLUSIVE, 20),
        ({"valid": validity(ValidityStatus.TOO_SHORT)}, Verdict.INCONCLUSIVE, 20),
        ({"valid": validity(ValidityStatus.UNKNOWN)}, Verdict.INCONCLUSIVE, 20),
        ({"valid": []}, Verdict.INCONCLUSIVE, 20),
        ({"checks": {}}, Verdict.INCONCLUSIVE, 20),
        ({"checks": {"x": CheckResult(CheckStatus.NOT_EXERCISED)}}, Verdict.INCONCLUSIVE, 20),
        ({"checks": {"x": CheckResult(CheckStatus.NOT_DECIDED)}}, Verdict.INCONCLUSIVE, 20),
        # what a check left open beside its question does not block GO by itself
        ({"checks": {"x": CheckResult(CheckStatus.PASS, (), (Undecided("1", "too many"),))}}, Verdict.GO, 0),
        ({"objectives": MISSED}, Verdict.NO_GO, 10),
        ({"objectives": MISSED, "valid": validity(ValidityStatus.TOO_SHORT)}, Verdict.NO_GO, 10),
        ({"objectives": MISSED, "valid": INVALID}, Verdict.INVALID, 21),
        ({"valid": INVALID}, Verdict.INVALID, 21),
        ({"valid": INVALID, "aborted": STOPPED}, Verdict.INVALID, 30),
        ({"objectives": MISSED, "aborted": STOPPED}, Verdict.INVALID, 30),
        ({"checks": BROKEN}, Verdict.NO_GO, 11),
        ({"checks": BROKEN, "objectives": ()}, Verdict.NO_GO, 11),
        ({"checks": BROKEN, "objectives": MISSED, "valid": INVALID, "aborted": STOPPED}, Verdict.NO_GO, 11),
        ({"aborted": {"signal": 2}}, Verdict.INVALID, 130),
        ({"aborted": {"signal": 15}, "objectives": MISSED}, Verdict.INVALID, 143),
        ({"aborted": {"signal": 2}, "checks": BROKEN}, Verdict.NO_GO, 130),
        ({"aborted": {"signal": 15}, "checks": BROKEN, "valid": INVALID}, Verdict.NO_GO, 143),
        # a finding outranks INVALID only when it is proved by complete records
        ({"checks": BROKEN, "valid": validity(ValidityStatus.INVALID, RECORD_COMPLETE)}, Verdict.INVALID, 21),
    ],
)
def test_the_first_that_applies(facts: dict[str, Any], verdict: Verdict, exit_code: int) -> None:
    judgement = judged(**facts)
    assert (judgement.verdict, judgement.exit_code) == (verdict, exit_code)
    assert judgement.reason


@pytest.mark.parametrize("kind", list(FindingKind))
def test_only_the_integrity_class_decides(kind: FindingKind) -> None:
    status = CheckStatus.VIOLATION if kind.finding_class == "integrity" else CheckStatus.PASS
    judgement = judged(checks={"x": CheckResult(status, (finding(kind),))})
    assert judgement.exit_code == (11 if kind.finding_class == "integrity" else 0)


def test_findings_come_integrity_first_then_by_time() -> None:
    findings = [finding(FindingKind.TRANSIENT_OVERLAP, 1), finding(at_ns=9), finding(FindingKind.LOST_BOOKING, 3)]
    judgement = judged(checks={"x": CheckResult(CheckStatus.VIOLATION, tuple(findings))})
    assert [each.at_ns for each in judgement.findings] == [3, 9, 1]


class TestReason:
    def test_go(self) -> None:
        reason = "no slot was sold twice, nothing was lost or invented, and the only objective is met"
        assert judged().reason == reason

    def test_integrity_counts_kinds_and_names_broken_promises(self) -> None:
        findings = (finding(), finding(at_ns=6), finding(FindingKind.LOST_BOOKING), finding(FindingKind.STUCK_PENDING))
        reason = judged(checks={"x": CheckResult(CheckStatus.VIOLATION, findings)}).reason
        assert reason == "2 slots were sold twice and 1 booking was lost; besides, promises broken: 1 stuck pending"

    def test_missed(self) -> None:
        assert judged(objectives=MISSED).reason == "1 objective missed: Booking answered within 10 s"

    def test_invalid(self) -> None:
        reason = "the run cannot be trusted: arrivals achieved: 97.0%, required is at least 98 %"
        assert judged(valid=INVALID).reason == reason

    def test_integrity_does_not_hide_that_the_run_is_invalid(self) -> None:
        reason = judged(checks=BROKEN, valid=INVALID).reason
        assert reason.startswith("1 slot was sold twice; in all else the run cannot be trusted: arrivals achieved")

    def test_aborted(self) -> None:
        judgement = judged(aborted={"signal": 2, "why": "Ctrl-C"}, checks=BROKEN)
        assert judgement.aborted == "SIGINT (Ctrl-C)"
        assert judgement.reason == "1 slot was sold twice; the run was aborted by SIGINT (Ctrl-C)"
        assert judged(aborted=STOPPED).aborted == "a stop condition (calls_in_progress above 2000)"
        assert judged().aborted is None

    def test_not_proved(self) -> None:
        judgement = judged(checks=BROKEN, valid=validity(ValidityStatus.INVALID, RECORD_COMPLETE))
        assert judgement.reason.endswith("not proved by complete records: 1 slot was sold twice")

    def test_inconclusive_says_the_most_fundamental_gap_and_how_many_more(self) -> None:
        checks = {"double_booking": CheckResult(CheckStatus.NOT_DECIDED, (), (Undecided("ops", "a file was cut"),))}
        reason = judged(checks=checks, objectives=()).reason
        assert reason == "the check double_booking could not be decided: a file was cut (and 1 more)"


def test_profile_and_flaws_are_out_of_its_reach() -> None:
    assert list(inspect.signature(judge).parameters) == ["objectives", "validity", "checks", "phases"]


def test_a_part_that_failed_is_an_error_and_what_was_proved_still_counts() -> None:
    judgement = judged(aborted=FAILED)
    assert (judgement.verdict, judgement.exit_code) == (Verdict.INVALID, 1)
    assert "the failure of a part (service died, its log service.log ends: out of memory)" in judgement.reason
    judgement = judged(aborted=FAILED, checks=BROKEN)
    assert (judgement.verdict, judgement.exit_code) == (Verdict.NO_GO, 1)
