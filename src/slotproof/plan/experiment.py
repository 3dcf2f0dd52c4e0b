"""An experiment: faults on a timeline, in YAML (CONTRACTS.md section 6). Times are life-size, from the load's start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from slotproof.plan.base import Name, PositiveSeconds, Seconds, Strict
from slotproof.plan.objective import Objective

FaultParams = Mapping[str, type[BaseModel]]
"""Parameter model of each known fault by name. The faults hand it in: `plan` does not import them."""


class FaultUse(Strict):
    """One fault on the timeline. In YAML the fault's own parameters stand beside these keys; its model checks them."""

    id: Name
    fault: str
    at_s: Seconds
    for_s: PositiveSeconds
    params: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather_params(cls, fields: Any) -> Any:
        if not isinstance(fields, dict) or "params" in fields:
            return fields
        own = {key: value for key, value in fields.items() if key in cls.model_fields}
        return {**own, "params": {key: value for key, value in fields.items() if key not in cls.model_fields}}

    @property
    def until_s(self) -> float:
        return self.at_s + self.for_s


class StopCondition(Strict):
    """Abort the run (exit 30) when a sampled figure stays above a limit."""

    measure: Literal["calls_in_progress", "unanswered_share"]
    above: float
    for_s: PositiveSeconds


class Experiment(Strict):
    schema_version: Annotated[Literal[1], Field(alias="schema")]
    name: Name
    title: str | None = None
    faults: Annotated[tuple[FaultUse, ...], Field(min_length=1)]
    recovery_s: Seconds = 30
    objectives: tuple[Objective, ...] = ()
    stop_when: tuple[StopCondition, ...] = ()

    @model_validator(mode="after")
    def _ids_are_coherent(self) -> Experiment:
        ids = [use.id for use in self.faults]
        doubles = sorted({name for name in ids if ids.count(name) > 1})
        if doubles:
            raise ValueError(f"fault ids must be unique; twice: {', '.join(doubles)}")
        for objective in self.objectives:
            if objective.fault_id is not None and objective.fault_id not in ids:
                raise ValueError(
                    f"objective {objective.id} names fault {objective.fault_id}; there is {', '.join(ids)}"
                )
        return self
