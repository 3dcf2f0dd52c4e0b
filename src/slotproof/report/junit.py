"""junit.xml (xunit2): one suite a scenario, one case per objective, per check and per condition of validity.

Missed or broken is a failure; no data, undecided or invalid is an error (MEASURING.md section 5).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from slotproof.checks.base import CheckResult, CheckStatus
from slotproof.judgement import Judgement
from slotproof.plan.plan import Plan
from slotproof.record.events import Phase
from slotproof.record.record import Record
from slotproof.report.evidence import evidence_sha256
from slotproof.report.redaction import redacted_text
from slotproof.report.text import (
    clean,
    counted,
    figure,
    interval_text,
    limit_text,
    objective_title,
    seconds,
    utc_stamp,
)
from slotproof.run_folder import RunFolder
from slotproof.slo.results import ObjectiveResult, ObjectiveStatus, ValidityItem, ValidityStatus

_MOST_SENTENCES = 50


@dataclass(frozen=True)
class _Problem:
    """What makes a case fail; `tag` is failure, error or skipped."""

    tag: str
    kind: str
    message: str
    text: str = ""


def write_junit(folder: RunFolder, plan: Plan, record: Record, judgement: Judgement) -> None:
    folder.junit.write_text(junit_xml(plan, record, judgement), encoding="utf-8")


def junit_xml(plan: Plan, record: Record, judgement: Judgement) -> str:
    suite = ET.Element("testsuite")
    _properties(suite, plan, record, judgement)
    problems: list[_Problem | None] = []
    for result in judgement.objectives:
        problem = _of_objective(result)
        problems.append(problem)
        name = f"{objective_title(result.objective)} ({result.objective.window_text})"
        _case(suite, f"{plan.scenario.name}.objectives", name, problem, _facts(result))
    for name, check in sorted(judgement.checks.items()):
        problem = _of_check(check, record)
        problems.append(problem)
        _case(suite, f"{plan.scenario.name}.checks", name, problem, {k: str(v) for k, v in check.exercised.items()})
    for item in judgement.validity:
        problem = _of_validity(item)
        problems.append(problem)
        facts = {"observed": item.observed, "required": item.required}
        _case(suite, f"{plan.scenario.name}.validity", item.name, problem, facts)
    tags = [problem.tag for problem in problems if problem]
    totals = {
        "tests": str(len(problems)),
        "failures": str(tags.count("failure")),
        "errors": str(tags.count("error")),
        "skipped": str(tags.count("skipped")),
        "time": f"{_wall_s(record):.3f}",
    }
    suite.attrib.update(
        {"name": plan.title, **totals, "timestamp": utc_stamp(record.clock.to_utc(record.load_started_ns))[:-1]}
    )
    root = ET.Element("testsuites", {"name": "slotproof", **totals})
    root.append(suite)
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, classname: str, name: str, problem: _Problem | None, facts: dict[str, str]) -> None:
    case = ET.SubElement(suite, "testcase", {"classname": classname, "name": clean(name), "time": "0.000"})
    if facts:
        _property_list(case, facts)
    if problem:
        attributes = (
            {"message": clean(problem.message)}
            if problem.tag == "skipped"
            else {
                "type": problem.kind,
                "message": clean(problem.message),
            }
        )
        ET.SubElement(case, problem.tag, attributes).text = problem.text or None


def _properties(suite: ET.Element, plan: Plan, record: Record, judgement: Judgement) -> None:
    facts = {
        "verdict": judgement.verdict.value,
        "exit_code": str(int(judgement.exit_code)),
        "reason": judgement.reason,
        "run": plan.run_id,
        "target": plan.target.label,
        "seed": str(plan.seed),
        "time_scale": f"{plan.time_scale:g}",
        "commit": plan.git_commit or "unknown",
        "command": redacted_text(plan.command),
    }
    if record.folder:
        facts["evidence_sha256"] = evidence_sha256(record.folder)
    _property_list(suite, facts)


def _property_list(parent: ET.Element, facts: dict[str, str]) -> None:
    properties = ET.SubElement(parent, "properties")
    for name, value in facts.items():
        ET.SubElement(properties, "property", {"name": name, "value": clean(value)})


def _facts(result: ObjectiveResult) -> dict[str, str]:
    return {
        "window": result.objective.window_text,
        "limit": limit_text(result.objective),
        "observed": figure(result.objective.measure, result.observed),
        "interval_95": interval_text(result),
        "n": str(result.n),
    }


def _of_objective(result: ObjectiveResult) -> _Problem | None:
    observed = figure(result.objective.measure, result.observed)
    message = f"{result.objective.window_text}: {observed}, limit {limit_text(result.objective)}; {result.reason}"
    match result.status:
        case ObjectiveStatus.MET:
            return None
        case ObjectiveStatus.MISSED:
            return _Problem("failure", "objective_missed", message)
        case ObjectiveStatus.NOT_APPLICABLE:
            return _Problem("skipped", result.status, result.reason)
        case ObjectiveStatus.INCONCLUSIVE | ObjectiveStatus.NO_DATA:
            return _Problem("error", result.status, message)


def _of_check(result: CheckResult, record: Record) -> _Problem | None:
    match result.status:
        case CheckStatus.PASS:
            return None
        case CheckStatus.VIOLATION:
            told = [f"{seconds(record.life_s(f.at_ns))}: {clean(f.sentence)}" for f in result.findings]
            rest = len(told) - _MOST_SENTENCES
            lines = told[:_MOST_SENTENCES] + ([f"and {rest} more: see verdict.json"] if rest > 0 else [])
            first = result.findings[0]
            return _Problem(
                "failure", first.kind, f"{counted(len(told), 'finding')}: {first.sentence}", "\n".join(lines)
            )
        case CheckStatus.NOT_DECIDED | CheckStatus.NOT_EXERCISED:
            why = "; ".join(f"{item.resource}: {item.reason}" for item in result.undecided[:5])
            return _Problem("error", result.status, why or "the run did not exercise it")


def _of_validity(item: ValidityItem) -> _Problem | None:
    if item.status is ValidityStatus.VALID:
        return None
    return _Problem("error", item.status, f"required {item.required}, observed {item.observed}")


def _wall_s(record: Record) -> float:
    ended = record.phase_ns(Phase.LOAD_ENDED)
    return 0.0 if ended is None else (ended - record.load_started_ns) / 1e9
