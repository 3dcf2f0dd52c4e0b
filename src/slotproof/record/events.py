"""`phases.jsonl`: when the run's phases began. Progress, harness log and the judge read the same events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Phase(StrEnum):
    STACK_STARTING = "stack_starting"
    STACK_UP = "stack_up"
    LOAD_STARTED = "load_started"
    LOAD_ENDED = "load_ended"
    DRAINING = "draining"
    QUIESCENT = "quiescent"  # details: {"quiet": bool, "why": str, "waited_s": float}
    COLLECTED = "collected"
    ABORTED = "aborted"  # details: {"signal": int | None, "failed": bool, "why": str}
    WORKER_LOST = "worker_lost"
    ENDED = "ended"


@dataclass(frozen=True)
class PhaseEvent:
    phase: Phase
    t_ns: int
    details: Mapping[str, Any] = field(default_factory=dict)


def append_phase(path: Path, event: PhaseEvent) -> None:
    """One JSON line, written whole or not at all as far as a reader is concerned (it skips a cut last line)."""
    with path.open("a", encoding="utf-8") as file:
        line = {"schema": "phases/1", "phase": event.phase, "t_ns": event.t_ns, "details": dict(event.details)}
        file.write(json.dumps(line, sort_keys=True) + "\n")


def read_phases(path: Path) -> list[PhaseEvent]:
    if not path.exists():
        return []
    events = []
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        fields = json.loads(line)
        events.append(PhaseEvent(Phase(fields["phase"]), fields["t_ns"], fields["details"]))
    return events
