"""`plan.json`: everything that a run resolved before it started, enough to judge and to repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from slotproof.errors import NewerSchemaError, RecordError
from slotproof.plan.base import Strict
from slotproof.plan.experiment import Experiment
from slotproof.plan.objective import Objective
from slotproof.plan.scenario import Scenario
from slotproof.record.clock import ClockPair


class Machine(Strict):
    cpus: int
    memory_bytes: int
    system: str
    python: str


class TargetPlan(Strict):
    """What was switched on in the target. For people and for repeating the run; the judge never reads it."""

    kind: Literal["reference", "external"]
    profile: str
    flaws: tuple[str, ...]
    url: str | None = None

    @property
    def label(self) -> str:
        return self.profile if self.profile != "custom" else f"hardened with {', '.join(self.flaws)}"


class Clock(Strict):
    monotonic_ns: int
    utc_ns: int

    def pair(self) -> ClockPair:
        return ClockPair(self.monotonic_ns, self.utc_ns)


class Plan(Strict):
    """One run, resolved. Durations and rates inside scenario and experiment are life-size."""

    schema_version: Literal["plan/1"] = Field(default="plan/1", alias="schema")
    run_id: str
    slotproof_version: str
    git_commit: str | None
    machine: Machine
    clock: Clock
    seed: int
    time_scale: float
    anchor_date: date
    scenario: Scenario
    experiment: Experiment | None
    target: TargetPlan
    callers_file: str
    command: str
    origins: Mapping[str, str] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The scenario's objectives, then the experiment's; of two with one id the experiment's counts."""
        of_experiment = self.experiment.objectives if self.experiment else ()
        ids = {objective.id for objective in of_experiment}
        return (*(o for o in self.scenario.objectives if o.id not in ids), *of_experiment)

    @property
    def title(self) -> str:
        return self.scenario.name + (f" under {self.experiment.name}" if self.experiment else "")

    def wall_s(self, life_s: float) -> float:
        """Wall seconds of a life-size wait."""
        return life_s / self.time_scale

    def save(self, path: Path) -> None:
        path.write_text(self.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read plan.json.

        Raises:
            NewerSchemaError: a newer slotproof wrote it.
            RecordError: it is not a plan.
        """
        text = path.read_text(encoding="utf-8")
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            if '"schema": "plan/' in text and '"schema": "plan/1"' not in text:
                raise NewerSchemaError("plan.json was written by a newer slotproof", where=str(path)) from error
            raise RecordError(f"not a plan: {error.errors()[0]['msg']}", where=str(path)) from error
