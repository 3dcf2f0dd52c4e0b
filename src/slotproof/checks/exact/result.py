"""What the exact checker answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from slotproof.checks.base import FindingKind


class Verdict(StrEnum):
    PASS = "pass"
    VIOLATION = "violation"
    NOT_DECIDED = "not_decided"


@dataclass(frozen=True)
class HistoryFinding:
    """One violation. `ops` are its witness, with the ledger rows of `bookings`; `sentence` says it plainly.

    The witness is a violation by itself, whatever happened to the rest. It is minimal: were the times of any one of
    its requests unknown, or the reply of any one of its reads, the others could be explained.
    """

    kind: FindingKind
    resource: str
    ops: tuple[int, ...]
    bookings: tuple[str, ...]
    sentence: str

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": str(self.kind),
            "resource": self.resource,
            "ops": list(self.ops),
            "bookings": list(self.bookings),
            "sentence": self.sentence,
        }


@dataclass(frozen=True)
class NotDecided:
    resource: str
    reason: str


@dataclass(frozen=True)
class HistoryResult:
    """`exercised`: how many bookings, conflicts, unknown outcomes and cancels the history had."""

    verdict: Verdict
    findings: tuple[HistoryFinding, ...]
    not_decided: tuple[NotDecided, ...]
    exercised: Mapping[str, int]

    def lines(self) -> list[str]:
        """For a terminal: the verdict, the findings with their ops, what was not decided, what was exercised."""
        counts = ", ".join(f"{count} {what}" for what, count in self.exercised.items())
        lines = [f"{str(self.verdict).replace('_', ' ').upper()}  ({counts})"]
        for finding in self.findings:
            ops = f"  [ops {', '.join(map(str, finding.ops))}]" if finding.ops else ""
            lines.append(f"  {finding.kind}: {finding.sentence}{ops}")
        lines.extend(f"  not decided: {each.resource}: {each.reason}" for each in self.not_decided)
        return lines

    def as_json(self) -> dict[str, Any]:
        """The object that `check-history --json` prints (CHECKER.md section 6)."""
        return {
            "verdict": str(self.verdict),
            "findings": [finding.as_json() for finding in self.findings],
            "not_decided": [{"resource": each.resource, "reason": each.reason} for each in self.not_decided],
            "exercised": dict(self.exercised),
        }
