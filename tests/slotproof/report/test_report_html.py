"""The page: complete, offline, escaped, small, and the same drawing in words."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.slotproof.report.sample_run import SampleRun, make_sample_run

from slotproof.checks.base import Finding, FindingKind
from slotproof.checks.registry import all_checks
from slotproof.judgement import Judgement
from slotproof.record.record import Record
from slotproof.report.html import report_html, write_report
from slotproof.report.page import MEANINGS
from slotproof.report.verdict_json import verdict_document

_EVIL = "<script>alert('x')</script>\"'><img src=//evil.example/x></title></svg>"
_VOID = {"meta", "br", "link", "img", "hr", "input"}


class _Page(HTMLParser):
    """Collects ids, links, attributes that load something, and checks that tags are balanced."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.tags: Counter[str] = Counter()
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag not in _VOID:
            self._open.append(tag)
        self._attributes(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self._attributes(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def _attributes(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            assert not name.startswith("on"), f"{tag} has a handler: {name}"
            if name == "id":
                self.ids.append(value or "")
            elif name in ("href", "xlink:href"):
                self.links.append(value or "")
            elif name in ("src", "srcset", "data", "action", "poster"):
                self.loads.append(value or "")


@pytest.fixture(scope="module")
def html(flawed: SampleRun) -> str:
    return report_html(flawed.plan, flawed.record, flawed.judgement)


@pytest.fixture(scope="module")
def page(html: str) -> _Page:
    return _Page(html)


def test_links_lead_somewhere_inside_the_page(page: _Page) -> None:
    assert [name for name, n in Counter(page.ids).items() if n > 1] == []
    assert page.links
    assert all(link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links} <= set(page.ids)


def test_page_needs_no_network_and_no_script(page: _Page, html: str) -> None:
    assert page.loads == []
    assert page.tags["script"] == 1  # the data; it does not run
    assert re.findall(r"<script[^>]*>", html) == ['<script type="application/json" id="verdict">']
    assert "@import" not in html
    assert "url(http" not in html


def test_page_without_its_data_is_small(html: str) -> None:
    data = re.search(r'<script type="application/json".*?</script>', html, re.DOTALL)
    assert data
    assert len(html.encode()) - len(data[0].encode()) <= 400_000


def test_every_section_is_there(page: _Page) -> None:
    for anchor in ("objectives", "integrity", "findings", "validity", "faults", "charts", "risk", "again", "finding-3"):
        assert anchor in page.ids


def test_every_drawing_has_a_text_alternative(html: str) -> None:
    drawings = re.findall(r'<svg class="(?:chart|witness|strip|interval-bar)"[^>]*>', html)
    assert len(drawings) >= 3 + 1 + 7 + 6
    for drawing in drawings:
        assert 'role="img"' in drawing
        labelled = re.search(r'aria-labelledby="([^"]+)"', drawing)
        assert labelled
        assert all(f'id="{id}"' in html for id in labelled[1].split())


def test_objective_leads_to_its_chart(html: str) -> None:
    assert re.search(r'<a href="#chart-webhook-latency">Webhook answered, p95</a>', html)
    assert re.search(r'<a href="#chart-calcom">Cal\.com requests in any minute</a>', html)


def test_embedded_data_is_the_verdict_document(html: str, flawed: SampleRun) -> None:
    found = re.search(r'<script type="application/json" id="verdict">(.*?)</script>', html, re.DOTALL)
    assert found
    assert json.loads(found[1]) == verdict_document(flawed.plan, flawed.record, flawed.judgement)


def test_drawn_witness_shows_the_lock_expiring_and_says_why(html: str) -> None:
    assert html.count("lock of caller 671 expires") == 1
    assert "The lock of caller 671 expired at 156.5 s, 30.0 s after it was taken." in html
    assert "Caller 672 took it 0.5 s later." in html


def test_colours_are_variables_of_the_page(html: str) -> None:
    charts = re.findall(r'<svg class="chart".*?</svg>', html, re.DOTALL)
    assert charts
    for chart in charts:
        assert not re.search(r"(?:fill|stroke): ?#", chart)
        assert set(re.findall(r"var\((--[a-z-]+)\)", chart)) <= set(re.findall(r"(--[a-z-]+):", html))


def test_secrets_are_redacted(html: str) -> None:
    assert "very-secret" not in html
    assert "[redacted]" in html


def test_nothing_from_outside_becomes_markup(flawed: SampleRun, html: str) -> None:
    plan = flawed.plan.model_copy(update={"command": _EVIL, "run_id": _EVIL, "warnings": (_EVIL,), "git_commit": _EVIL})
    record = replace(flawed.record, person_names={"1": _EVIL, "2": _EVIL, "3": _EVIL})
    judgement = replace(
        flawed.judgement,
        reason=_EVIL,
        aborted=_EVIL,
        findings=[replace(finding, sentence=_EVIL, resource=_EVIL) for finding in flawed.judgement.findings],
        validity=[replace(item, observed=_EVIL, required=_EVIL) for item in flawed.judgement.validity],
        objectives=[replace(result, reason=_EVIL) for result in flawed.judgement.objectives],
    )
    evil = report_html(plan, record, judgement)
    assert "<script>alert" not in evil
    assert "<img" not in evil
    tags = _Page(evil).tags
    before = _Page(html).tags
    assert tags["script"] == before["script"]
    assert tags["title"] == before["title"]


def _with_findings(judgement: Judgement, kind: FindingKind, n: int) -> Judgement:
    first = judgement.findings[0]
    return replace(judgement, findings=[replace(first, kind=kind, at_ns=first.at_ns + i * 10**7) for i in range(n)])


def test_many_findings_are_listed_and_few_are_drawn(flawed: SampleRun) -> None:
    judgement = _with_findings(flawed.judgement, FindingKind.DOUBLE_BOOKING, 700)
    html = report_html(flawed.plan, flawed.record, judgement)
    assert html.count('<svg class="witness"') == 6
    assert "More integrity findings: 694" in html
    _Page(html)


def test_promises_stand_apart(flawed: SampleRun) -> None:
    judgement = _with_findings(flawed.judgement, FindingKind.TRANSIENT_OVERLAP, 2)
    ids = _Page(report_html(flawed.plan, flawed.record, judgement)).ids
    assert "promises" in ids
    assert "findings" not in ids


def test_good_run_prints_what_zero_proves(hardened: SampleRun) -> None:
    html = report_html(hardened.plan, hardened.record, hardened.judgement)
    assert re.search(r"No double booking in [\d,]+ contested attempts", html)
    assert "(3/n)" in html


def test_run_that_was_killed_early_still_has_a_page(flawed: SampleRun) -> None:
    record = replace(
        flawed.record,
        ops=flawed.record.ops[:0],
        samples=flawed.record.samples[:0],
        database=None,
        calendar=None,
        phases=[],
        journal=flawed.record.journal[:4],
        folder=None,
    )
    bare = Finding("c", FindingKind.PHANTOM_BOOKING, "person 9", (), (), (), record.clock.monotonic_ns, "no witness")
    judgement = replace(flawed.judgement, objectives=(), validity=(), checks={}, findings=(bare,))
    html = report_html(flawed.plan, record, judgement)
    _Page(html)
    assert "No objective was declared" in html
    assert "not healed" in html


def test_report_is_written_into_the_folder(tmp_path: Path) -> None:
    run = make_sample_run(tmp_path / "run", calls_per_s=0.2)
    write_report(run.folder, run.plan, run.record, run.judgement)
    assert run.folder.report.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_record_in_memory_needs_no_folder(flawed: SampleRun) -> None:
    record: Record = replace(flawed.record, folder=None)
    html = report_html(flawed.plan, record, flawed.judgement)
    assert "evidence sha256" not in html
    assert "expires" not in html  # no trace, so no claim about a lock


def test_every_bundled_check_is_explained() -> None:
    assert set(MEANINGS) == {check.name for check in all_checks()}
