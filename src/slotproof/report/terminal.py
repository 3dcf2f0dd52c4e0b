"""The last block on the terminal: the verdict, why, and where to read on (shared/look)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group
from rich.text import Text

from slotproof.checks.base import FindingKind
from slotproof.judgement import Judgement
from slotproof.plan.plan import Plan
from slotproof.record.record import Record
from slotproof.record.schemas import Outcome
from slotproof.report.headline import (
    bound_text,
    faults_text,
    finding_line,
    integrity_findings,
    objectives_text,
    overlapping_text,
    promise_findings,
    resolved_text,
    spoken,
    unmet,
    validity_status,
    validity_text,
    worst_first,
)
from slotproof.report.redaction import redacted_text
from slotproof.report.tally import Tally, tally_of
from slotproof.report.text import (
    OBJECTIVE_WORDS,
    VALIDITY_WORDS,
    clean,
    count,
    counted,
    figure,
    icon,
    interval_text,
    limit_text,
    objective_title,
    tone,
)
from slotproof.slo.results import ObjectiveResult, ObjectiveStatus, ValidityStatus

_LABEL_WIDTH = 14
_TITLE_WIDTH = 50
_STYLES = {"good": "green", "bad": "red", "invalid": "magenta", "unsure": "yellow", "quiet": "dim"}
_MOST_FINDINGS = 5


@dataclass(frozen=True)
class FinishedRun:
    """One finished run, for the closing block and for runs side by side."""

    plan: Plan
    record: Record
    judgement: Judgement
    report_path: Path


def closing_block(run: FinishedRun) -> Group:
    """The block as rich text; a plain console prints the same without colours."""
    return Group(*closing_lines(run))


def closing_text(run: FinishedRun) -> str:
    """The same for pipes and logs: no colours, no control characters."""
    return "\n".join(line.plain.rstrip() for line in closing_lines(run)) + "\n"


def closing_lines(run: FinishedRun) -> list[Text]:
    judgement, tally = run.judgement, tally_of(run.record, run.judgement)
    lines = [_verdict_line(judgement), Text()]
    lines += _integrity(run, tally)
    lines += _objectives(judgement.objectives)
    status = validity_status(judgement.validity)
    lines.append(_labelled("validity", f"{VALIDITY_WORDS[status]}: {validity_text(judgement.validity)}", status))
    for item in unmet(judgement.validity):
        text = f"{icon(item.status)} {spoken(item.name)}: {item.observed} (required: {item.required})"
        lines.append(_labelled("", text))
    lines.append(_labelled("faults", faults_text(run.record)))
    lines += [Text(), _labelled("report", str(run.report_path)), _labelled("again", redacted_text(run.plan.command))]
    return lines


def _verdict_line(judgement: Judgement) -> Text:
    style = f"bold {_STYLES[tone(judgement.verdict)]}"
    return Text.assemble((f"{icon(judgement.verdict)} {judgement.verdict}", style), f"   {clean(judgement.reason)}")


def _integrity(run: FinishedRun, tally: Tally) -> list[Text]:
    told = [
        counted(tally.attempts, "booking attempt"),
        f"{count(tally.told(Outcome.OK))} confirmed",
        f"{count(tally.told(Outcome.TAKEN))} taken",
        f"{count(tally.told(Outcome.NONE))} not served",
    ]
    for outcome, word in ((Outcome.PENDING, "pending"), (Outcome.UNKNOWN, "no answer")):
        if tally.told(outcome):
            told.append(f"{count(tally.told(outcome))} {word} ({resolved_text(tally, outcome)})")
    lines = [_labelled("integrity", "   ".join(told))]
    findings = integrity_findings(run.judgement)
    for number, finding in enumerate(findings[:_MOST_FINDINGS], start=1):
        lines.append(_labelled(f"✕ {number}", finding_line(finding, run.record), style="red"))
    if len(findings) > _MOST_FINDINGS:
        lines.append(_labelled("", f"and {len(findings) - _MOST_FINDINGS} more, all in the report"))
    lines += [_labelled("", text) for text in (overlapping_text(run.judgement), bound_text(tally)) if text]
    promises = promise_findings(run.judgement)
    if promises:
        lines.append(_labelled("promises", f"{counted(len(promises), 'finding')} of a promise not kept"))
    return lines


def _objectives(results: Sequence[ObjectiveResult]) -> list[Text]:
    if not results:
        return [_labelled("objectives", "none, so there is nothing to meet")]
    head = f"  {'objectives':<{_TITLE_WIDTH - 2}}{'limit':<11}{'observed':<11}{'95 %':<14}{'n':>7}"
    return [Text(head, style="dim"), *(_objective(result) for result in worst_first(results))]


def _objective(result: ObjectiveResult) -> Text:
    objective = result.objective
    title = clean(f"{objective_title(objective)}, {objective.window_text}")
    width = _TITLE_WIDTH - 4
    title = title if len(title) <= width - 1 else f"{title[: width - 2]}…"
    observed = figure(objective.measure, result.observed)
    cells = f"{title:<{width}}{limit_text(objective):<11}{observed:<11}{interval_text(result):<14}{count(result.n):>7}"
    line = Text.assemble("  ", (f"{icon(result.status)} ", _STYLES[tone(result.status)]), cells)
    if result.status not in (ObjectiveStatus.MET, ObjectiveStatus.MISSED):
        line.append(f"   {OBJECTIVE_WORDS[result.status]}", style=_STYLES[tone(result.status)])
    return line


def _labelled(label: str, text: str, status: ValidityStatus | None = None, style: str = "") -> Text:
    colour = style or (_STYLES[tone(status)] if status is not None else "dim")
    return Text.assemble("  ", (f"{label:<{_LABEL_WIDTH}}", colour), clean(text))


def side_by_side(runs: Sequence[FinishedRun]) -> list[Text]:
    """Finished runs as columns, one line a fact: what `demo` ends with."""
    tallies = [tally_of(run.record, run.judgement) for run in runs]
    rows: list[tuple[str, list[tuple[str, str]]]] = [
        ("", [(run.plan.target.label, "bold") for run in runs]),
        ("verdict", [_verdict_cell(run.judgement) for run in runs]),
        ("sold twice", [_found_cell(tally.findings(FindingKind.DOUBLE_BOOKING)) for tally in tallies]),
        ("lost, phantom", [
            _found_cell(tally.findings(FindingKind.LOST_BOOKING) + tally.findings(FindingKind.PHANTOM_BOOKING))
            for tally in tallies
        ]),
        ("confirmed", [
            (f"{count(tally.told(Outcome.OK))} of {counted(tally.attempts, 'attempt')}", "") for tally in tallies
        ]),
        ("contested", [(count(tally.contested), "") for tally in tallies]),
        ("objectives", [(objectives_text(run.judgement.objectives), "") for run in runs]),
        ("validity", [(VALIDITY_WORDS[validity_status(run.judgement.validity)], "") for run in runs]),
        ("faults", [(faults_text(run.record), "") for run in runs]),
    ]  # fmt: skip
    widths = [max(len(cells[column][0]) for _, cells in rows) + 3 for column in range(len(runs))]
    lines = []
    for label, cells in rows:
        line = Text.assemble("  ", (f"{label:<{_LABEL_WIDTH}}", "dim"))
        for (text, style), width in zip(cells, widths, strict=True):
            line.append(f"{clean(text):<{width}}", style=style)
        line.rstrip()
        lines.append(line)
    lines.append(Text())
    lines += [_labelled("report", f"{run.report_path}  ({run.plan.target.label})") for run in runs]
    return lines


def _verdict_cell(judgement: Judgement) -> tuple[str, str]:
    return f"{icon(judgement.verdict)} {judgement.verdict}", f"bold {_STYLES[tone(judgement.verdict)]}"


def _found_cell(found: int) -> tuple[str, str]:
    return count(found), _STYLES["bad" if found else "good"]
