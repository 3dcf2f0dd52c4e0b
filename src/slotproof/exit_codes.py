"""What a command ends with, and which code wins (CONTRACTS.md section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    GO = 0
    INTERNAL_ERROR = 1
    USAGE = 2
    OBJECTIVE_MISSED = 10
    INTEGRITY_BROKEN = 11
    REGRESSION = 12
    INCONCLUSIVE = 20
    INVALID = 21
    STOPPED = 30
    INTERRUPTED = 130
    TERMINATED = 143


_WORST_FIRST = (
    ExitCode.INTERNAL_ERROR,
    ExitCode.USAGE,
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
    ExitCode.INTEGRITY_BROKEN,
    ExitCode.STOPPED,
    ExitCode.INVALID,
    ExitCode.OBJECTIVE_MISSED,
    ExitCode.REGRESSION,
    ExitCode.INCONCLUSIVE,
    ExitCode.GO,
)


def worst_exit_code(codes: Sequence[int]) -> int:
    """Of several runs the worst wins, in the order of CONTRACTS.md section 4."""
    return min(codes, key=lambda code: _WORST_FIRST.index(ExitCode(code)), default=ExitCode.GO)
