"""The error tree. Every error that a user can meet carries its exit code, where it arose and what to do.

    SlotproofError (1)
    ├── UsageError (2)
    │   ├── InputFileError (2)      an input file is wrong: file, line, what, what would be right
    │   ├── UnsafeTargetError (2)   the load would go to a stranger
    │   └── MissingPartError (2)    a server or tool of the stack cannot be had on this machine
    ├── StackError (1)              a server did not come up, or died
    ├── ToxiproxyError (1)          the proxy's API answered wrongly or not in time
    ├── RecordError (1)             a run folder cannot be read
    │   └── NewerSchemaError (2)    … because a newer slotproof wrote it
    └── FaultError (1)              a fault could not be injected or healed

Exit codes: CONTRACTS.md section 4. Codes that belong to a verdict (10, 11, 12, 20, 21, 30) live in `judge`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


class SlotproofError(Exception):
    """Root of the tree: `what` happened, `where` (file:line or part), `hint` (what to do)."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def lines(self) -> list[str]:
        """At most three lines for a terminal: what, where, what to do."""
        return [
            self.what,
            *([f"at {self.where}"] if self.where else []),
            *([f"hint: {self.hint}"] if self.hint else []),
        ]


class UsageError(SlotproofError):
    """The user asked for something that cannot be: exit 2 before anything starts."""

    exit_code = 2


@dataclass(frozen=True)
class InputProblem:
    """One thing wrong in an input file. `line` counts from 1; `right` says what would be right."""

    file: Path
    line: int
    what: str
    right: str | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}" + (f" ({self.right})" if self.right else "")


class InputFileError(UsageError):
    """One or more problems in input files; all of them are reported at once."""

    def __init__(self, problems: Sequence[InputProblem]) -> None:
        if not problems:
            raise ValueError("an InputFileError needs at least one problem")
        first = problems[0]
        super().__init__(first.what, where=f"{first.file}:{first.line}", hint=first.right)
        self.problems = tuple(problems)

    def lines(self) -> list[str]:
        if len(self.problems) == 1:
            return super().lines()
        return [f"{len(self.problems)} problems", *(str(problem) for problem in self.problems)]


class UnsafeTargetError(UsageError):
    """The load or a fault would reach a host that nobody allowed (DESIGN.md section 6)."""


class MissingPartError(UsageError):
    """A part of the stack cannot be had here; the hint names the ways to get it."""


class StackError(SlotproofError):
    """A server did not become ready, or died while it was needed."""


class ToxiproxyError(SlotproofError):
    """Toxiproxy's API failed, answered something else than was set, or missed its deadline."""


class RecordError(SlotproofError):
    """A run folder, or a file in it, cannot be read."""


class NewerSchemaError(RecordError):
    """The file was written by a newer slotproof."""

    exit_code = 2


class FaultError(SlotproofError):
    """A fault could not be injected, verified or healed."""
