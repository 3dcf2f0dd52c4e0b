"""summary.md: a GitHub step summary, worst first, never above 60 KB (GitHub drops a summary above 1 MB whole)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from slotproof.checks.base import CheckStatus, Finding
from slotproof.judgement import Judgement
from slotproof.plan.plan import Plan
from slotproof.record.record import Record
from slotproof.record.schemas import Outcome
from slotproof.report.evidence import evidence_sha256
from slotproof.report.headline import (
    bound_text,
    duration_text,
    exercised_text,
    faults_text,
    finding_line,
    integrity_findings,
    promise_findings,
    resolved_text,
    spoken,
    started_text,
    worst_first,
)
from slotproof.report.redaction import redacted_text
from slotproof.report.tally import Tally, tally_of
from slotproof.report.text import (
    CHECK_WORDS,
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
    seconds,
)
from slotproof.run_folder import RunFolder
from slotproof.slo.results import ValidityStatus

_MOST_BYTES = 59_500  # the note that something is missing comes on top
_MOST_REASON = 2_000
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~$@&])")
_AUTOLINK = re.compile(r"(https?)://|www\.", re.IGNORECASE)


def write_summary(folder: RunFolder, plan: Plan, record: Record, judgement: Judgement) -> None:
    folder.summary.write_text(summary_markdown(plan, record, judgement), encoding="utf-8")


def summary_markdown(plan: Plan, record: Record, judgement: Judgement) -> str:
    """GitHub-flavoured Markdown of at most 60 KB; what does not fit is counted and left to the other files."""
    tally = tally_of(record, judgement)
    head = "\n".join(_head(plan, record, judgement))
    blocks = [
        "\n".join(_findings("Integrity findings", integrity_findings(judgement), record)),
        "\n".join(_objectives(judgement)),
        "\n".join(_integrity(tally)),
        "\n".join(_checks(judgement)),
        "\n".join(_validity(judgement, record)),
        "\n".join(_findings("Promises not kept", promise_findings(judgement), record)),
    ]
    tail = "\n".join(["### Again", "", "```sh", redacted_text(clean(plan.command)).replace("`", ""), "```", ""])
    text = head
    for block in (block for block in blocks if block):
        if len((text + block + tail).encode()) > _MOST_BYTES:
            text += "\n\n_More did not fit here; report.html and verdict.json have all of it._"
            break
        text += "\n\n" + block
    return f"{text}\n\n{tail}"


def escaped(text: str) -> str:
    """Text from outside: nothing of it is markup, a link, a mention or HTML."""
    plain = _SPECIAL.sub(r"\\\1", clean(text))
    return _AUTOLINK.sub(lambda match: match[0].replace(":", "&#58;").replace(".", "&#46;"), plain)


def _head(plan: Plan, record: Record, judgement: Judgement) -> Iterator[str]:
    yield f"## {icon(judgement.verdict)} {judgement.verdict}: {escaped(plan.title)}"
    yield ""
    yield f"**{escaped(judgement.reason[:_MOST_REASON])}**"
    yield ""
    facts = [
        f"target {escaped(plan.target.label)}",
        duration_text(plan),
        f"seed {plan.seed}",
        f"commit {escaped(plan.git_commit[:10]) if plan.git_commit else 'unknown'}",
        started_text(plan, record),
    ]
    if record.folder:
        facts.append(f"evidence sha256 `{evidence_sha256(record.folder)[:16]}…`")
    yield " · ".join(facts)


def _findings(title: str, findings: Sequence[Finding], record: Record, most: int = 40) -> Iterator[str]:
    if not findings:
        return
    yield f"### {title}: {count(len(findings))}"
    yield ""
    for number, finding in enumerate(findings[:most], start=1):
        at = seconds(record.life_s(finding.at_ns))
        yield f"{number}. **{escaped(finding_line(finding, record))}** ({at}). {escaped(finding.sentence[:600])}"
    if len(findings) > most:
        yield f"\nand {counted(len(findings) - most, 'more', 'more')}: see report.html and verdict.json."


def _objectives(judgement: Judgement) -> Iterator[str]:
    yield "### Objectives"
    yield ""
    if not judgement.objectives:
        yield "None was declared: that is never GO."
        return
    yield from _table(
        ["", "objective", "window", "limit", "observed", "95 %", "n"],
        [
            [
                f"{icon(result.status)} {OBJECTIVE_WORDS[result.status]}",
                escaped(objective_title(result.objective)),
                escaped(result.objective.window_text),
                escaped(limit_text(result.objective)),
                figure(result.objective.measure, result.observed),
                interval_text(result),
                count(result.n),
            ]
            for result in worst_first(judgement.objectives)
        ],
        numbers=3,
    )


def _integrity(tally: Tally) -> Iterator[str]:
    yield "### What callers were told"
    yield ""
    named = (
        (Outcome.OK, "confirmed"),
        (Outcome.TAKEN, "refused: slot taken"),
        (Outcome.NONE, "not served"),
        (Outcome.PENDING, "pending"),
        (Outcome.UNKNOWN, "no answer"),
    )
    rows = [["booking attempts", count(tally.attempts), f"{counted(tally.contested, 'was', 'were')} contested"]]
    rows += [[word, count(tally.told(outcome)), resolved_text(tally, outcome)] for outcome, word in named]
    yield from _table(["", "requests", "what became of them"], rows)
    bound = bound_text(tally)
    if bound:
        yield ""
        yield bound


def _checks(judgement: Judgement) -> Iterator[str]:
    if not judgement.checks:
        return
    yield "### Checks"
    yield ""
    worst: Callable[[CheckStatus], int] = [
        CheckStatus.VIOLATION, CheckStatus.NOT_DECIDED, CheckStatus.NOT_EXERCISED, CheckStatus.PASS
    ].index  # fmt: skip
    rows = []
    for name, result in sorted(judgement.checks.items(), key=lambda item: (worst(item[1].status), item[0])):
        status = f"{icon(result.status)} {CHECK_WORDS[result.status]}"
        rows.append([status, escaped(spoken(name)), escaped(exercised_text(result))])
    yield from _table(["", "check", "exercised"], rows)


def _validity(judgement: Judgement, record: Record) -> Iterator[str]:
    yield "### Validity of the run"
    yield ""
    yield f"{faults_text(record)}."
    yield ""
    items = sorted(judgement.validity, key=lambda item: item.status is ValidityStatus.VALID)
    yield from _table(
        ["", "condition", "required", "observed"],
        [
            [
                f"{icon(i.status)} {VALIDITY_WORDS[i.status]}",
                escaped(spoken(i.name)),
                escaped(i.required),
                escaped(i.observed),
            ]
            for i in items
        ],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> Iterator[str]:
    """A table whose last `numbers` columns are aligned to the right."""
    right = range(len(head) - numbers, len(head))
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---:' if index in right else '---' for index in range(len(head)))} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"
