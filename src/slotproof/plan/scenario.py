"""A scenario: load, objectives and risk, in YAML (CONTRACTS.md section 6). Durations and rates are life-size."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from slotproof.plan.base import Name, PositiveRate, PositiveSeconds, Seconds, Strict
from slotproof.plan.objective import Objective

MAX_TIME_SCALE = 30
"""Above it a 30 s lock would live less than a second, the order of magnitude of the guards on computing, which keep
a floor of 250 ms: the order deadline < lock life < stall could turn around."""


class Risk(Strict):
    id: str
    title: str
    likelihood: Annotated[int, Field(ge=1, le=5)]
    impact: Annotated[int, Field(ge=1, le=5)]


class Target(Strict):
    """What is tested. `reference` is the bundled booking service; `url` is for a target of one's own."""

    kind: Literal["reference", "external"] = "reference"
    profile: str = "hardened"
    flaws: tuple[str, ...] = ()
    url: str | None = None

    @model_validator(mode="after")
    def _is_coherent(self) -> Target:
        if (self.kind == "external") != (self.url is not None):
            raise ValueError("`url` belongs to kind external, and kind external needs it")
        return self


class LoadPhase(Strict):
    arrivals: Literal["poisson", "fixed"] = "poisson"
    calls_per_s: PositiveRate
    duration_s: PositiveSeconds


class Load(Strict):
    """Open arrivals: calls begin when they are due, however slow the system is (MEASURING.md section 1)."""

    warm_up_s: Seconds = 30
    phases: Annotated[tuple[LoadPhase, ...], Field(min_length=1)]
    drain_s: PositiveSeconds = 120
    workers: Annotated[int, Field(ge=1, le=16)] = 1

    @property
    def duration_s(self) -> float:
        """Life-size length of the load, warm-up included."""
        return self.warm_up_s + sum(phase.duration_s for phase in self.phases)


class Calcom(Strict):
    requests_per_min: Annotated[int, Field(ge=1)] = 120
    latency: Literal["real", "none"] = "real"
    webhooks: bool = False
    """Whether Cal.com tells the service of every change of a booking, also of those made directly in the calendar."""


Locale = Literal["de_DE", "en_US"]


class Transcripts(Strict):
    """What is said in the calls: `turns` [fewest, most] of the usual ones; `long_share` of the calls have a transcript
    of `long_kb` instead, which the times of its words make about eight times as large on the wire."""

    locales: Annotated[tuple[Locale, ...], Field(min_length=1)] = ("de_DE", "en_US")
    turns: tuple[Annotated[int, Field(ge=4, le=1000)], Annotated[int, Field(ge=4, le=1000)]] = (6, 20)
    long_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    long_kb: Annotated[float, Field(ge=1, le=1500)] = 300

    @model_validator(mode="after")
    def _is_in_order(self) -> Transcripts:
        if self.turns[0] > self.turns[1]:
            raise ValueError("turns is [fewest, most]")
        return self


class Retell(Strict):
    """How the voice platform behaves. A late webhook is sent `late_s` [shortest, longest] after its time, so that those
    of later events overtake it; a duplicate is sent again though it was accepted."""

    inbound_webhook: bool = False
    duplicate_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    late_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    late_s: tuple[Seconds, Seconds] = (5, 60)
    transcripts: Transcripts = Transcripts()

    @model_validator(mode="after")
    def _is_in_order(self) -> Retell:
        if self.late_s[0] > self.late_s[1]:
            raise ValueError("late_s is [shortest, longest]")
        return self


class Database(Strict):
    pool_size: Annotated[int, Field(ge=1, le=200)] = 50


class Integrity(Strict):
    """Declared allowances: how long a compensation may take (G), how old external data may be (S)."""

    grace_s: Seconds = 60
    staleness_s: Seconds = 5


class Options(Strict):
    """The world's size, and what the callers want. `custom` is for callers files of one's own."""

    companies: Annotated[int, Field(ge=1, le=50)] = 1
    people: Annotated[int, Field(ge=1, le=500)] = 8
    service_min: Annotated[int, Field(ge=5, le=480)] = 45
    grid_min: Annotated[int, Field(ge=5, le=480)] = 15
    opens_min: Annotated[int, Field(ge=0, le=1440)] = 540
    closes_min: Annotated[int, Field(ge=0, le=1440)] = 1080
    days: Annotated[int, Field(ge=1, le=60)] = 5
    parts_min: tuple[tuple[int, int], ...] = ()
    """Begin and length of each part of the service, when it has several; the person is free between them."""
    wave_s: PositiveSeconds | None = None
    talk_s: tuple[Seconds, Seconds] = (15, 45)
    cancel_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    move_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    custom: dict[str, str | int | float | bool] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_a_day(self) -> Options:
        if self.closes_min - self.opens_min < self.service_min:
            raise ValueError("the day (opens_min to closes_min) is shorter than one service (service_min)")
        if self.talk_s[0] > self.talk_s[1]:
            raise ValueError("talk_s is [shortest, longest]")
        ends = [begin + length for begin, length in self.parts_min]
        begins = [begin for begin, _ in self.parts_min]
        if self.parts_min and (
            begins[0] != 0
            or any(length <= 0 for _, length in self.parts_min)
            or any(begin < end for begin, end in zip(begins[1:], ends, strict=False))
            or ends[-1] != self.service_min
        ):
            raise ValueError(
                "parts_min lists [begin, length] of each part in order: the first begins at 0, none overlaps the next, "
                f"and the last ends after service_min ({self.service_min})"
            )
        if self.parts_min and self.move_share:
            raise ValueError("a service of several parts cannot be moved: move_share must be 0")
        return self


class Scenario(Strict):
    schema_version: Annotated[Literal[1], Field(alias="schema")]
    name: Name
    title: str | None = None
    callers: str
    risk: Risk
    target: Target = Target()
    time_scale: Annotated[float, Field(ge=1, le=MAX_TIME_SCALE)] = 1
    experiment: str | None = None
    load: Load
    calcom: Calcom = Calcom()
    retell: Retell = Retell()
    database: Database = Database()
    integrity: Integrity = Integrity()
    options: Options = Options()
    objectives: tuple[Objective, ...] = ()

    @model_validator(mode="after")
    def _objective_ids_are_unique(self) -> Scenario:
        ids = [objective.id for objective in self.objectives]
        doubles = sorted({name for name in ids if ids.count(name) > 1})
        if doubles:
            raise ValueError(f"objective ids must be unique; twice: {', '.join(doubles)}")
        return self
