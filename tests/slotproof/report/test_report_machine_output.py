"""verdict.json against its published schema, JUnit and Markdown against what their readers require."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from tests.slotproof.report.sample_run import SampleRun

from slotproof.checks.base import CheckResult, CheckStatus, Undecided
from slotproof.report.evidence import evidence_sha256
from slotproof.report.junit import junit_xml, write_junit
from slotproof.report.markdown import escaped, summary_markdown, write_summary
from slotproof.report.redaction import redacted, redacted_text
from slotproof.report.verdict_json import verdict_document, verdict_schema, write_verdict
from slotproof.run_folder import RunFolder
from slotproof.slo.results import ObjectiveStatus, ValidityItem, ValidityStatus


@pytest.mark.parametrize("profile", ["flawed", "hardened"])
def test_verdict_keeps_its_schema(profile: str, request: pytest.FixtureRequest) -> None:
    run: SampleRun = request.getfixturevalue(profile)
    schema = verdict_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(verdict_document(run.plan, run.record, run.judgement), schema)


def test_verdict_of_a_run_without_anything_keeps_the_schema(flawed: SampleRun) -> None:
    record = replace(flawed.record, ops=flawed.record.ops[:0], phases=[], journal=[], folder=None, ops_complete=False)
    plan = flawed.plan.model_copy(update={"git_commit": None, "experiment": None})
    judgement = replace(flawed.judgement, findings=(), objectives=(), checks={}, validity=(), aborted="SIGKILL")
    jsonschema.validate(verdict_document(plan, record, judgement), verdict_schema())


def test_verdict_has_the_same_bytes_each_time(flawed: SampleRun) -> None:
    write_verdict(flawed.folder, flawed.plan, flawed.record, flawed.judgement)
    once = flawed.folder.verdict.read_bytes()
    write_verdict(flawed.folder, flawed.plan, flawed.record, flawed.judgement)
    assert flawed.folder.verdict.read_bytes() == once


def test_verdict_gives_life_size_times(flawed: SampleRun) -> None:
    document = verdict_document(flawed.plan, flawed.record, flawed.judgement)
    assert document["run"]["load_wall_s"] == 45.0
    assert document["run"]["load_life_size_s"] == 450.0
    assert document["findings"][0]["at_s"] == pytest.approx(193.4)
    assert [fault["status"] for fault in document["faults"]] == ["proven", "proven"]
    assert document["faults"][0]["injected_at_s"] == pytest.approx(120.1)


def test_evidence_changes_with_the_record_and_with_nothing_else(flawed: SampleRun, tmp_path: Path) -> None:
    copy = RunFolder(tmp_path / "copy")
    shutil.copytree(flawed.folder.path, copy.path)
    before = evidence_sha256(copy)
    assert before == evidence_sha256(flawed.folder)
    (copy.trace / "service.jsonl").write_text("", encoding="utf-8")
    copy.verdict.write_text("{}", encoding="utf-8")
    assert evidence_sha256(copy) == before
    with copy.faults.open("a", encoding="utf-8") as journal:
        journal.write("\n")
    assert evidence_sha256(copy) != before


def _cases(xml: str) -> dict[str, ET.Element]:
    return {f"{case.get('classname')}/{case.get('name')}": case for case in ET.fromstring(xml).iter("testcase")}


def test_junit_counts_agree_with_its_cases(flawed: SampleRun) -> None:
    root = ET.fromstring(junit_xml(flawed.plan, flawed.record, flawed.judgement))
    suite = root[0]
    assert (root.tag, suite.tag) == ("testsuites", "testsuite")
    for tag, attribute in (("testcase", "tests"), ("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert int(suite.get(attribute, "-1")) == len(list(suite.iter(tag)))


def test_junit_tells_failure_from_error(flawed: SampleRun) -> None:
    results = list(flawed.judgement.objectives)
    results[0] = replace(results[0], status=ObjectiveStatus.NO_DATA, observed=None)
    results[1] = replace(results[1], status=ObjectiveStatus.NOT_APPLICABLE, reason="its fault is not part of this run")
    undecided = CheckResult(CheckStatus.NOT_DECIDED, undecided=(Undecided("person 3", "no ledger"),))
    judgement = replace(
        flawed.judgement,
        objectives=results,
        checks={**flawed.judgement.checks, "lost_booking": undecided},
        validity=[ValidityItem("foreign_cpu", ValidityStatus.INVALID, "0.9 cores", "at most 0.5 cores")],
    )
    cases = _cases(junit_xml(flawed.plan, flawed.record, judgement))

    def problem(name: str) -> str | None:
        return next((child.tag for child in cases[name] if child.tag != "properties"), None)

    assert problem("rush.objectives/Webhook answered, p95 (steady)") == "error"
    assert problem("rush.objectives/Booking answered, within 10 s (steady)") == "skipped"
    assert problem("rush.objectives/Booking answered, within 10 s (during stall)") == "failure"
    assert problem("rush.checks/double_booking") == "failure"
    assert problem("rush.checks/lost_booking") == "error"
    assert problem("rush.checks/phantom_booking") is None
    assert problem("rush.validity/foreign_cpu") == "error"


def test_junit_survives_what_xml_forbids(flawed: SampleRun) -> None:
    finding = replace(flawed.judgement.findings[0], sentence="a\x00b\x1b[31m <&> \ud800 ]]> \ufffe\nnext")
    check = CheckResult(CheckStatus.VIOLATION, (finding,))
    judgement = replace(flawed.judgement, findings=(finding,), checks={"double_booking": check})
    failure = _cases(junit_xml(flawed.plan, flawed.record, judgement))["rush.checks/double_booking"].find("failure")
    assert failure is not None
    assert "ab[31m <&>  ]]>  next" in (failure.text or "")


def test_summary_stays_below_its_limit(flawed: SampleRun) -> None:
    findings = [replace(flawed.judgement.findings[0], sentence="ü" * 4000) for _ in range(900)]
    results = [replace(result, reason="x" * 2000) for result in flawed.judgement.objectives] * 60
    judgement = replace(flawed.judgement, reason="r" * 100_000, findings=findings, objectives=results)
    text = summary_markdown(flawed.plan, flawed.record, judgement)
    assert len(text.encode()) <= 60_000
    assert "more" in text


def test_summary_has_the_worst_first(flawed: SampleRun) -> None:
    text = summary_markdown(flawed.plan, flawed.record, flawed.judgement)
    assert text.startswith("## ✕ NO-GO")
    assert text.index("### Integrity findings") < text.index("### Objectives")
    assert text.index("✕ missed") < text.index("✓ met")


def test_markdown_from_outside_is_no_markup() -> None:
    assert escaped("<b>[x](http://e)|`a`\n@you") == r"\<b\>\[x\]\(http&#58;//e\)\|\`a\` \@you"


def test_files_are_written(flawed: SampleRun) -> None:
    write_junit(flawed.folder, flawed.plan, flawed.record, flawed.judgement)
    write_summary(flawed.folder, flawed.plan, flawed.record, flawed.judgement)
    assert ET.parse(flawed.folder.junit).getroot().tag == "testsuites"
    assert flawed.folder.summary.read_text(encoding="utf-8").endswith("```\n")


def test_redaction() -> None:
    assert redacted({"api_key": "k", "Password": "p", "nested": [{"token": 1}], "seed": 7, "token": None}) == {
        "api_key": "[redacted]",
        "Password": "[redacted]",
        "nested": [{"token": "[redacted]"}],
        "seed": 7,
        "token": None,
    }
    assert redacted_text("run --set crm_api_key=abc --url http://me:pw@host/x") == (
        "run --set crm_api_key=[redacted] --url http://[redacted]@host/x"
    )


def test_schema_is_readable_json() -> None:
    assert json.dumps(verdict_schema())
