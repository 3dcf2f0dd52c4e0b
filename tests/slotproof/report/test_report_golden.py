"""The written files, compared with files that were read by a person once.

To renew them after a wanted change: SLOTPROOF_RENEW_GOLDEN=1 pytest tests/slotproof/report, then read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.slotproof.report.sample_run import SampleRun

from slotproof.report.evidence import evidence_sha256
from slotproof.report.html import report_html
from slotproof.report.junit import junit_xml
from slotproof.report.markdown import summary_markdown
from slotproof.report.terminal import FinishedRun, closing_text, side_by_side
from slotproof.report.verdict_json import write_verdict

_GOLDEN = Path(__file__).parent / "golden"


def _compare(name: str, text: str, run: SampleRun | None = None) -> None:
    """The hash of the evidence is left out: it holds bytes that another version of Arrow writes otherwise."""
    if run is not None:
        sha256 = evidence_sha256(run.folder)
        text = text.replace(sha256, "EVIDENCE").replace(sha256[:16], "EVIDENCE")
    path = _GOLDEN / name
    if os.environ.get("SLOTPROOF_RENEW_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def _finished(run: SampleRun) -> FinishedRun:
    return FinishedRun(run.plan, run.record, run.judgement, Path("reports/20261122T140310Z-rush-4f1c/report.html"))


@pytest.mark.parametrize("profile", ["flawed", "hardened"])
def test_summary(profile: str, request: pytest.FixtureRequest) -> None:
    run: SampleRun = request.getfixturevalue(profile)
    _compare(f"{profile}-summary.md", summary_markdown(run.plan, run.record, run.judgement), run)


@pytest.mark.parametrize("profile", ["flawed", "hardened"])
def test_junit(profile: str, request: pytest.FixtureRequest) -> None:
    run: SampleRun = request.getfixturevalue(profile)
    _compare(f"{profile}-junit.xml", junit_xml(run.plan, run.record, run.judgement), run)


@pytest.mark.parametrize("profile", ["flawed", "hardened"])
def test_closing_block(profile: str, request: pytest.FixtureRequest) -> None:
    _compare(f"{profile}-closing.txt", closing_text(_finished(request.getfixturevalue(profile))))


def test_verdict_json(flawed: SampleRun) -> None:
    write_verdict(flawed.folder, flawed.plan, flawed.record, flawed.judgement)
    _compare("flawed-verdict.json", flawed.folder.verdict.read_text(encoding="utf-8"), flawed)


def test_side_by_side(flawed: SampleRun, hardened: SampleRun) -> None:
    lines = side_by_side([_finished(flawed), _finished(hardened)])
    _compare("side-by-side.txt", "".join(f"{line.plain.rstrip()}\n" for line in lines))


def test_html_is_the_same_each_time(flawed: SampleRun) -> None:
    once = report_html(flawed.plan, flawed.record, flawed.judgement)
    again = report_html(flawed.plan, flawed.record, flawed.judgement)
    assert once == again
