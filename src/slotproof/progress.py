"""What happens during a run, as typed events: terminal, harness log and tests consume the same stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from slotproof.faults.timeline import FaultProgress
from slotproof.judgement import Judgement
from slotproof.plan.plan import Plan
from slotproof.run_folder import RunFolder


@dataclass(frozen=True)
class RunPlanned:
    plan: Plan
    folder: RunFolder


@dataclass(frozen=True)
class StackMessage:
    """Something worth telling while the stack comes up, for instance that Toxiproxy is being built."""

    text: str


@dataclass(frozen=True)
class StackUp:
    took_s: float
    parts: tuple[str, ...]
    links: tuple[str, ...]


@dataclass(frozen=True)
class LoadTick:
    """The load, a few times a second. Seconds are wall seconds; `lag_ms` is the generator's p99 of the last second."""

    elapsed_s: float
    total_s: float
    in_progress: int
    done: int
    unknown: int
    confirmed: int
    lag_ms: float
    faults: tuple[FaultProgress, ...]


@dataclass(frozen=True)
class LoadEnded:
    calls: int


@dataclass(frozen=True)
class Drained:
    quiet: bool
    why: str
    waited_s: float


@dataclass(frozen=True)
class Aborted:
    why: str


@dataclass(frozen=True)
class Judged:
    judgement: Judgement
    plan: Plan
    folder: RunFolder
    took_s: float


Event = RunPlanned | StackMessage | StackUp | LoadTick | LoadEnded | Drained | Aborted | Judged
Listener = Callable[[Event], None]
