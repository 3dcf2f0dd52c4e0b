"""The pages for users name everything that the code offers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from booking_service.flaws import CATALOGUE
from slotproof.checks.base import FindingKind
from slotproof.exit_codes import ExitCode
from slotproof.faults.registry import fault_params
from slotproof.plan.experiment import Experiment, FaultUse, StopCondition
from slotproof.plan.objective import Measure, Objective, Statistic
from slotproof.plan.scenario import Calcom, Database, Integrity, Load, LoadPhase, Options, Risk, Scenario, Target
from slotproof.plan.yaml_file import read_yaml
from slotproof.record.schemas import LEDGER, OPS, SAMPLES, Outcome
from slotproof.system import LinkName

_ROOT = Path(__file__).parents[2]
_DOCS = _ROOT / "docs"
_MODELS = (
    Scenario,
    Risk,
    Target,
    Load,
    LoadPhase,
    Calcom,
    Database,
    Integrity,
    Options,
    Objective,
    Experiment,
    FaultUse,
    StopCondition,
)


def _page(name: str) -> str:
    return (_DOCS / name).read_text(encoding="utf-8")


def _code_words(page: str) -> set[str]:
    """Words that stand in `code` or in a fenced example."""
    code = re.findall(r"```.*?```|`[^`\n]+`", page, re.DOTALL)
    return set(re.findall(r"[\w-]+", " ".join(code)))


@pytest.mark.parametrize("model", _MODELS, ids=lambda model: str(model.__name__))
def test_every_key_is_explained(model: type[BaseModel]) -> None:
    keys = {field.alias or name for name, field in model.model_fields.items()}
    assert keys - _code_words(_page("writing-scenarios.md")) == set()


def test_every_fault_measure_statistic_and_link_is_explained() -> None:
    words = _code_words(_page("writing-scenarios.md"))
    params = {key for model in fault_params().values() for key in model.model_fields}
    named = {*fault_params(), *params, *Measure, *Statistic, *LinkName}
    assert {str(name) for name in named} - words == set()


def test_the_examples_are_valid(tmp_path: Path) -> None:
    scenario, experiment = re.findall(r"```yaml\n(.*?)```", _page("writing-scenarios.md"), re.DOTALL)
    for text, model in ((scenario, Scenario), (experiment, Experiment)):
        path = tmp_path / f"{model.__name__}.yaml"
        path.write_text(text, encoding="utf-8")
        model.model_validate(read_yaml(path).data)


def test_every_flaw_has_a_row_with_its_enablers() -> None:
    rows = {row[0].strip(" `"): row for row in (line.strip("|").split("|") for line in _table_rows("flaws.md"))}
    assert set(rows) == {flaw.value for flaw in CATALOGUE}
    for flaw, facts in CATALOGUE.items():
        assert set(re.findall(r"`(\w+)`", rows[flaw.value][3])) == {enabler.value for enabler in facts.enablers}


def _table_rows(name: str) -> list[str]:
    return [line for line in _page(name).splitlines() if line.startswith("| `")]


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in (_ROOT / "README.md", *_DOCS.glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize(
    "word",
    [
        *(name for schema in (OPS, LEDGER, SAMPLES) for name in schema.names),
        *Outcome,
        *FindingKind,
        *(str(int(code)) for code in ExitCode if code not in (ExitCode.USAGE, ExitCode.REGRESSION)),
    ],
)
def test_the_contracts_page_names_every_column_outcome_finding_and_exit_code(word: str) -> None:
    assert re.search(rf"(?<![\w.]){re.escape(word)}(?![\w])", _page("contracts.md")), word
