"""verdict.json: the verdict for machines (MEASURING.md section 5, schema in verdict.schema.json).

Everything in it comes from the run folder; no clock is read, so that the same folder gives the same bytes.
"""

from __future__ import annotations

import json
import math
from importlib.resources import files
from typing import Any

from slotproof.checks.base import CheckResult, Finding
from slotproof.judgement import Judgement
from slotproof.plan.plan import Plan
from slotproof.record.events import Phase
from slotproof.record.record import FaultSpan, Record
from slotproof.report.evidence import evidence_sha256
from slotproof.report.redaction import redacted, redacted_text
from slotproof.report.text import unit, utc_stamp
from slotproof.run_folder import RunFolder
from slotproof.slo.results import ObjectiveResult, ValidityItem

SCHEMA = "verdict/1"
_SIGNIFICANT_DIGITS = 9


def verdict_schema() -> dict[str, Any]:
    """The published JSON Schema of verdict.json."""
    text = files("slotproof.report").joinpath("verdict.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def write_verdict(folder: RunFolder, plan: Plan, record: Record, judgement: Judgement) -> None:
    text = json.dumps(verdict_document(plan, record, judgement), sort_keys=True, indent=1, ensure_ascii=False)
    folder.verdict.write_text(text + "\n", encoding="utf-8")


def verdict_document(plan: Plan, record: Record, judgement: Judgement) -> dict[str, Any]:
    """The document as JSON-like data. Times named `at_s` are life-size seconds from the load's start."""
    document = {
        "schema": SCHEMA,
        "verdict": judgement.verdict.value,
        "exit_code": int(judgement.exit_code),
        "reason": judgement.reason,
        "findings": [_finding(finding, record) for finding in judgement.findings],
        "objectives": [_objective(result) for result in judgement.objectives],
        "checks": [_check(name, result) for name, result in sorted(judgement.checks.items())],
        "faults": [_fault(span, plan, record) for span in record.fault_spans],
        "validity": [_validity(item) for item in judgement.validity],
        "run": _run(plan, record, judgement),
    }
    rounded: dict[str, Any] = _rounded(document)
    return rounded


def _finding(finding: Finding, record: Record) -> dict[str, Any]:
    return {
        "check": finding.check,
        "kind": finding.kind.value,
        "class": finding.finding_class.value,
        "resource": finding.resource,
        "ops": list(finding.ops),
        "rows": list(finding.rows),
        "bookings": list(finding.bookings),
        "at_s": record.life_s(finding.at_ns),
        "sentence": finding.sentence,
    }


def _objective(result: ObjectiveResult) -> dict[str, Any]:
    objective = result.objective
    comparator, limit = ("below", objective.below) if objective.below is not None else ("above", objective.above)
    return {
        "id": objective.id,
        "title": objective.title,
        "kind": str(objective.kind),
        "measure": objective.measure.value,
        "statistic": objective.statistic.value,
        "unit": unit(objective.measure),
        "waits_on": objective.waits_on.value,
        "window": objective.window_text,
        "within_s": objective.limit_s,
        "comparator": comparator,
        "limit": limit,
        "observed": result.observed,
        "ci_low": result.ci_low,
        "ci_high": result.ci_high,
        "n": int(result.n),
        "status": result.status.value,
        "reason": result.reason,
    }


def _check(name: str, result: CheckResult) -> dict[str, Any]:
    return {
        "name": name,
        "status": result.status.value,
        "findings": len(result.findings),
        "exercised": {key: int(value) for key, value in result.exercised.items()},
        "undecided": [{"resource": item.resource, "reason": item.reason} for item in result.undecided],
    }


def _fault(span: FaultSpan, plan: Plan, record: Record) -> dict[str, Any]:
    uses = plan.experiment.faults if plan.experiment else ()
    planned = next((use for use in uses if use.id == span.fault_id), None)

    def at_s(t_ns: int | None) -> float | None:
        return None if t_ns is None else record.life_s(t_ns)

    return {
        "id": span.fault_id,
        "fault": span.fault,
        "sentence": span.sentence,
        "planned_at_s": planned.at_s if planned else None,
        "planned_for_s": planned.for_s if planned else None,
        "injected_at_s": at_s(span.injected_ns),
        "healed_at_s": at_s(span.healed_ns),
        "verified_healed_at_s": at_s(span.verified_healed_ns),
        "status": fault_status(span),
        "effect": redacted(dict(span.effect)),
    }


def fault_status(span: FaultSpan) -> str:
    """proven (it bit and is verified healed), bitten, not_bitten, not_injected."""
    if span.injected_ns is None:
        return "not_injected"
    if not span.bitten:
        return "not_bitten"
    return "proven" if span.verified_healed_ns is not None else "bitten"


def _validity(item: ValidityItem) -> dict[str, Any]:
    return {"name": item.name, "status": item.status.value, "observed": item.observed, "required": item.required}


def _run(plan: Plan, record: Record, judgement: Judgement) -> dict[str, Any]:
    started, ended = record.load_started_ns, record.phase_ns(Phase.LOAD_ENDED)
    return {
        "id": plan.run_id,
        "scenario": plan.scenario.name,
        "experiment": plan.experiment.name if plan.experiment else None,
        "target": {
            "kind": plan.target.kind,
            "profile": plan.target.profile,
            "flaws": list(plan.target.flaws),
            "label": plan.target.label,
            "url": redacted_text(plan.target.url) if plan.target.url else None,
        },
        "risk": plan.scenario.risk.model_dump(mode="json"),
        "seed": plan.seed,
        "time_scale": plan.time_scale,
        "load_started_utc": utc_stamp(record.clock.to_utc(started)),
        "load_wall_s": None if ended is None else (ended - started) / 1e9,
        "load_life_size_s": None if ended is None else record.life_s(ended),
        "aborted": judgement.aborted,
        "ops": record.ops.num_rows,
        "ops_complete": "complete" if record.ops_complete else "cut_short",
        "evidence_sha256": evidence_sha256(record.folder) if record.folder else None,
        "git_commit": plan.git_commit,
        "slotproof_version": plan.slotproof_version,
        "machine": plan.machine.model_dump(mode="json"),
        "calcom_requests_per_min": plan.scenario.calcom.requests_per_min,
        "command": redacted_text(plan.command),
        "warnings": list(plan.warnings),
    }


def _rounded(value: Any) -> Any:
    """Floats to nine significant digits, so that no noise of the last bits gets into the bytes; NaN becomes null."""
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{_SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else None
    return value
