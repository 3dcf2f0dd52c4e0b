"""The corpus of named histories, and the page that explains findings by them."""

from __future__ import annotations

import pytest
from tests.slotproof.checks.exact.findings_page import MEANINGS, PAGE, Case, cases, render

from slotproof.checks.base import FindingKind
from slotproof.checks.exact import Verdict

CASES = {case.name: case for case in cases()}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_case_is_judged_as_its_name_says(case: Case) -> None:
    if case.name.startswith("good_"):
        assert case.result.verdict is Verdict.PASS
    elif case.name.startswith("not_decided_"):
        assert case.result.verdict is Verdict.NOT_DECIDED
    else:
        kind = next(kind for kind in sorted(FindingKind, key=len, reverse=True) if case.name.startswith(kind))
        assert [finding.kind for finding in case.result.findings] == [kind]


def test_every_kind_of_finding_has_a_case() -> None:
    assert {finding.kind for case in CASES.values() for finding in case.result.findings} == set(MEANINGS)


def test_the_page_says_what_the_checker_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == render()
