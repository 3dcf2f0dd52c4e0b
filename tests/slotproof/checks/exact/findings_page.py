"""Renders docs/findings.md from the corpus.

To renew the page: `python -m tests.slotproof.checks.exact.findings_page > docs/findings.md`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from slotproof.checks.base import FindingKind
from slotproof.checks.exact import HistoryResult, Verdict, check_history
from slotproof.record.exchange import read_history

CORPUS = Path(__file__).resolve().parents[3] / "corpus"
PAGE = CORPUS.parents[1] / "docs" / "findings.md"

MEANINGS = {
    FindingKind.DOUBLE_BOOKING: "Two bookings that exclude each other were certainly held at one time.",
    FindingKind.OVER_CAPACITY: "More bookings were certainly held at one time than there are people to serve them.",
    FindingKind.LOST_BOOKING: "A caller was told that a booking stands, and the ledger does not have it so.",
    FindingKind.PHANTOM_BOOKING: "The ledger has a booking that nobody asked for, or whose caller was refused.",
    FindingKind.LOST_CANCEL: "A caller was told that a booking is cancelled, and the ledger still has it live.",
    FindingKind.DUPLICATE_BOOKING: "One request has two live rows.",
    FindingKind.IMPOSSIBLE_MOVES: "Moves were confirmed that no order of events allows.",
    FindingKind.FALSE_FREE: "A time was called free while a booking certainly held it.",
    FindingKind.FALSE_REFUSAL: "A caller was refused though nothing can have held the time.",
    FindingKind.INCONSISTENT_REPLIES: "Replies that no order of events explains, though each alone might be true.",
}
_INTRODUCTION = """\
# What each finding means

`slotproof check-history HISTORY.jsonl --ledger LEDGER.jsonl` decides whether any order of the operations, each at one
instant between its call and its reply, explains every reply and the ledger at rest. Each finding names the operations
that prove it: they cannot have happened as told, whatever happened to the others.

The examples are the histories in `tests/corpus`; this page is made from them, and a test compares the two.
"""


@dataclass(frozen=True)
class Case:
    """One named history of the corpus, and what the checker says of it."""

    name: str
    comment: str
    result: HistoryResult


def cases() -> list[Case]:
    return [_case(folder) for folder in sorted(CORPUS.iterdir()) if (folder / "case.json").exists()]


def _case(folder: Path) -> Case:
    about = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    ledger = folder / "ledger.jsonl"
    history = read_history(folder / "history.jsonl", ledger if ledger.exists() else None)
    return Case(folder.name, about["comment"], check_history(history, capacity=about["capacity"]))


def render() -> str:
    known = cases()
    parts = [_INTRODUCTION]
    for kind, meaning in MEANINGS.items():
        examples = [case for case in known if any(finding.kind is kind for finding in case.result.findings)]
        parts.append(f"## {kind}\n\n{meaning} Class: {kind.finding_class}.\n")
        parts.extend(map(_example, examples))
    parts.append("## No finding\n\nHistories that look odd and are in order.\n")
    parts.extend(_example(case) for case in known if case.result.verdict is Verdict.PASS)
    parts.append("## Not decided\n\nNo finding, and yet no pass.\n")
    parts.extend(_example(case) for case in known if case.result.verdict is Verdict.NOT_DECIDED)
    return "\n".join(parts)


def _example(case: Case) -> str:
    lines = [f"**{case.name}** {case.comment}"]
    for finding in case.result.findings:
        ops = f" (ops {', '.join(map(str, finding.ops))})" if finding.ops else ""
        lines.append(f"- {finding.sentence}{ops}")
    if case.result.verdict is Verdict.NOT_DECIDED:
        lines.extend(f"- not decided: {each.resource}: {each.reason}" for each in case.result.not_decided)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
