"""A made-up but consistent run for the report's tests: `rush` under `slow_calcom`, three slots sold twice.

Everything is computed from a fixed seed and written as a real run folder; nothing here measures anything.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from slotproof.checks.base import CheckResult, CheckStatus, Finding, FindingKind
from slotproof.exit_codes import ExitCode
from slotproof.judgement import Judgement, Verdict
from slotproof.plan.arrivals import arrival_times_s
from slotproof.plan.experiment import Experiment
from slotproof.plan.objective import Objective
from slotproof.plan.plan import Clock, Machine, Plan, TargetPlan
from slotproof.plan.scenario import Scenario
from slotproof.record.arrow_files import ArrowWriter
from slotproof.record.events import Phase, PhaseEvent, append_phase
from slotproof.record.journal import JournalEntry, JournalWriter, Stage
from slotproof.record.record import Record, load_record
from slotproof.record.schemas import LEDGER, OPS, SAMPLES
from slotproof.run_folder import RunFolder
from slotproof.slo.results import ObjectiveResult, ObjectiveStatus, ValidityItem, ValidityStatus

SCALE = 10.0
START_NS = 5_000_000_000_000
UTC_NS = 1_795_356_190_000_000_000  # 2026-11-22T14:03:10Z
DAY_S = 1_803_859_200  # 2027-03-01T00:00:00Z, a Monday
STALL_S, HEAL_S = 120.0, 300.0
PEOPLE = {
    "1": "Anna Weber", "2": "Jürgen Öztürk", "3": "Mia Hoffmann", "4": "Lena Vogt",
    "5": "Paul Krämer", "6": "Emre Yıldız", "7": "Sofia Brandt", "8": "Noah Winter",
}  # fmt: skip


@dataclass(frozen=True)
class SampleRun:
    folder: RunFolder
    plan: Plan
    record: Record
    judgement: Judgement


def ns(life_s: float) -> int:
    """Monotonic nanoseconds of a life-size second."""
    return START_NS + round(life_s / SCALE * 1e9)


def make_sample_run(path: Path, *, profile: str = "as-reviewed", calls_per_s: float = 1.5) -> SampleRun:
    """Write the run folder and read it back. `as-reviewed` sells three slots twice, `hardened` none."""
    folder = RunFolder(path)
    for directory in (folder.record, folder.ledger, folder.trace):
        directory.mkdir(parents=True)
    plan = sample_plan(profile, calls_per_s)
    plan.save(folder.plan)
    story = _Story(plan, flawed=profile == "as-reviewed")
    story.tell()
    _write(folder, story)
    record = load_record(
        folder,
        clock=plan.clock.pair(),
        time_scale=plan.time_scale,
        grace_s=plan.scenario.integrity.grace_s,
        staleness_s=plan.scenario.integrity.staleness_s,
        person_names=PEOPLE,
        time_zone="Europe/Berlin",
    )
    return SampleRun(folder, plan, record, sample_judgement(plan, story))


def sample_plan(profile: str, calls_per_s: float = 1.5) -> Plan:
    scenario = Scenario.model_validate(
        {
            "schema": 1,
            "name": "rush",
            "callers": "rush.py",
            "risk": {"id": "R1", "title": "A slot is sold twice", "likelihood": 4, "impact": 5},
            "target": {"kind": "reference", "profile": profile},
            "time_scale": SCALE,
            "load": {"warm_up_s": 30, "phases": [{"calls_per_s": calls_per_s, "duration_s": 420}], "drain_s": 120},
            "calcom": {"requests_per_min": 600},
            "options": {"custom": {"crm_api_key": "very-secret", "greeting": "<b>Hallo</b>"}},
            "objectives": [
                _objective("webhook-p95", "Webhook answered", "webhook", "latency_ms", "p95", "steady", "computing",
                           below=50),
                _objective("booking-answered", "Booking answered", "book", "answered_within_s", "share", "steady",
                           "delays", above=0.95, limit_s=10),
                _objective("availability-served", "Free times told", "availability", "served", "share", "steady",
                           "delays", above=0.95),
                _objective("calcom-budget", "Cal.com requests in any minute", "any", "calcom_requests_per_min", "max",
                           "all", "delays", below=600),
            ],
        }
    )  # fmt: skip
    experiment = Experiment.model_validate(
        {
            "schema": 1,
            "name": "slow_calcom",
            "recovery_s": 30,
            "faults": [
                {"id": "stall", "fault": "calcom_stall", "at_s": 120, "for_s": 180, "delay_s": 35},
                {"id": "link", "fault": "link_latency", "at_s": 120, "for_s": 180, "link": "calcom", "latency_ms": 500},
            ],
            "objectives": [
                _objective("answered-during-stall", "Booking answered", "book", "answered_within_s", "share",
                           {"during": "stall"}, "delays", above=0.95, limit_s=10),
                _objective("webhook-during-stall", "Webhook answered", "webhook", "latency_ms", "p95",
                           {"during": "stall"}, "computing", below=100),
                _objective("redis-served", "Booking decided", "book", "served", "share", {"during": "stall"}, "delays",
                           above=0.6),
            ],
        }
    )  # fmt: skip
    flaws = ("lock_shorter_than_upstream", "no_exclusion_constraint") if profile == "as-reviewed" else ()
    return Plan(
        run_id="20261122T140310Z-rush-4f1c",
        slotproof_version="0.1.0",
        git_commit="4f1c9ae07b5d2c6e8f90123456789abcdef01234",
        machine=Machine(cpus=2, memory_bytes=8_225_000_000, system="Linux 6.1", python="3.11.2"),
        clock=Clock(monotonic_ns=START_NS - 3_000_000_000, utc_ns=UTC_NS - 3_000_000_000),
        seed=7,
        time_scale=SCALE,
        anchor_date=date(2027, 3, 1),
        scenario=scenario,
        experiment=experiment,
        target=TargetPlan(kind="reference", profile=profile, flaws=flaws),
        callers_file="rush.py",
        command=f"slotproof run rush --experiment slow_calcom --profile {profile} --time-scale 10 --seed 7",
        warnings=("objective redis-served: 270 requests are expected, which can decide it",),
    )


def _objective(
    id: str, title: str, kind: str, measure: str, statistic: str, window: object, waits_on: str, **limits: float
) -> dict[str, Any]:
    return {
        "id": id, "title": title, "kind": kind, "measure": measure, "statistic": statistic, "window": window,
        "waits_on": waits_on, **limits,
    }  # fmt: skip


@dataclass
class _Story:
    """Makes ops, rows and trace lines call by call."""

    plan: Plan
    flawed: bool
    ops: list[dict[str, Any]] = field(default_factory=list)
    database: list[dict[str, Any]] = field(default_factory=list)
    calendar: list[dict[str, Any]] = field(default_factory=list)
    service_trace: list[dict[str, Any]] = field(default_factory=list)
    calcom_trace: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[float, float]] = field(default_factory=list)
    doubles: list[tuple[int, int]] = field(default_factory=list)
    """Pairs of ops that were both told a slot is theirs."""

    def __post_init__(self) -> None:
        self._random = random.Random("sample run")
        self._sold: dict[tuple[str, int], float] = {}

    def tell(self) -> None:
        arrivals = arrival_times_s(self.plan.scenario.load, self.plan.seed)
        for call, at in enumerate(arrivals, start=1):
            self._call(call, at)
        if self.flawed:
            for number, at in enumerate((126.4, 171.9, 240.2)):
                self._double(len(arrivals) + 1 + 2 * number, at, str(number + 1))
        self.ops.sort(key=lambda op: op["op"])

    def _call(self, call: int, at: float) -> None:
        begun = at + self._random.uniform(0.0, 0.03)
        stalled = STALL_S <= at < HEAL_S
        self._op(call, "webhook", at, begun, self._random.lognormvariate(-2.1, 0.35), "ok")
        asked = begun + 1.0
        self._op(call, "availability", asked, asked, self._random.lognormvariate(-0.4 + 0.4 * stalled, 0.3), "ok")
        book = asked + self._random.uniform(15, 30)
        done = self._book(call, book)
        self._op(call, "webhook", done + 1, done + 1.02, self._random.lognormvariate(-2.1, 0.35), "ok")
        self.calls.append((begun, done + 1.2))

    def _book(self, call: int, at: float) -> float:
        """One booking attempt of an ordinary call: when its reply came."""
        person = str(self._random.randint(1, 8))
        start_s = DAY_S + int(at // 60) * 86_400 + 8 * 3600 + self._random.randrange(0, 6) * 2700
        stalled = STALL_S <= at < HEAL_S
        free = (person, start_s) not in self._sold
        latency = self._random.lognormvariate(0.2, 0.25)
        outcome, error = ("ok", None) if free else ("taken", None)
        if stalled and free:
            latency = 35.6 + self._random.uniform(0, 1.5)
        lucky = self._random.random()
        if stalled and lucky < 0.10:
            outcome, error, latency = "unknown", "timeout", 45.0
        elif stalled and lucky < 0.22:
            outcome, error, latency = "none", "http_503", self._random.uniform(0.2, 0.5)
        if stalled and not self.flawed and outcome == "ok":
            outcome, latency = "pending", 7.9 + self._random.uniform(0, 0.3)
        op = self._op(call, "book", at, at, latency, outcome, error, person, start_s, start_s + 2700)
        happened = outcome in ("ok", "pending") or (outcome == "unknown" and free and call % 4 != 0)
        if happened and free:
            self._sold[person, start_s] = at
            self._rows(op, at, at + (36.0 if stalled else latency - 0.1), person, start_s, start_s + 2700)
        return at + latency

    def _double(self, call: int, at: float, person: str) -> None:
        """Two callers, one person, overlapping times: the first one's lock expires while Cal.com works."""
        base = DAY_S + int(at // 60) * 86_400 + 14 * 3600
        first = self._op(call, "book", at, at, 36.3, "ok", None, person, base, base + 2700)
        self._rows(first, at, at + 35.9, person, base, base + 2700)
        taken_at = at + 30.0 + 0.6
        second = self._op(
            call + 1, "book", taken_at - 4, taken_at - 4, 40.4, "ok", None, person, base + 900, base + 3600
        )
        self._rows(second, taken_at, taken_at + 35.9, person, base + 900, base + 3600)
        key = f"person:1:{person}"
        self._lock(first, key, at + 0.1, None, 30.0)
        self._lock(second, key, taken_at, None, 30.0)
        for op, noticed in ((first, at + 36.2), (second, taken_at + 36.2)):
            lost = {"event": "lock_lost", "key": key, "token": f"token-{op}", "noticed": "release"}
            self._trace(self.service_trace, op, noticed, lost)
        self.doubles.append((first, second))
        self.calls += [(at - 20, at + 37), (taken_at - 24, taken_at + 37)]

    def _lock(self, op: int, key: str, at: float, released: float | None, ttl_s: float) -> None:
        token = f"token-{op}"
        taken = {
            "event": "lock_acquired",
            "key": key,
            "token": token,
            "ttl_ms": round(ttl_s / SCALE * 1000),
            "person": 1,
        }
        self._trace(self.service_trace, op, at, {**taken, "request": str(op)})
        if released is not None and released - at < ttl_s:
            self._trace(self.service_trace, op, released, {"event": "lock_released", "key": key, "token": token})

    def _op(
        self, call: int, kind: str, intended: float, invoke: float, latency: float, outcome: str,
        error: str | None = None, person: str | None = None, start_s: int | None = None, end_s: int | None = None,
    ) -> int:  # fmt: skip
        op = len(self.ops) + 1
        self.ops.append(
            {
                "op": op, "call": call, "request": op, "attempt": 1, "process": call, "actor": "platform", "kind": kind,
                "outcome": outcome, "error": error, "tenant": "1", "person": person, "start_s": start_s, "end_s": end_s,
                "intended_ns": ns(intended), "invoke_ns": ns(invoke), "complete_ns": ns(invoke + latency),
                "http_status": {"ok": 200, "taken": 409, "none": 503, "pending": 202}.get(outcome),
                "call_ref": f"call_{call}", "external_id": None,
            }
        )  # fmt: skip
        return op

    def _rows(self, op: int, at: float, live: float, person: str, start_s: int, end_s: int) -> None:
        uid = f"uid-{op}"
        common = {
            "uid": uid, "request": op, "call_ref": f"call_{op}", "phone": f"+4915{op:08d}", "tenant": "1",
            "person": person, "start_s": start_s, "end_s": end_s, "actor": "caller",
        }  # fmt: skip
        self.calendar.append({**common, "row": uid, "state": "live", "at_ns": ns(live)})
        self.database.append({**common, "row": f"row-{op}", "uid": None, "state": "pending", "at_ns": ns(at + 0.2)})
        self.database.append({**common, "row": f"row-{op}", "state": "live", "at_ns": ns(live + 0.3)})
        self._trace(self.calcom_trace, op, at + 0.6, {"event": "checked", "host": int(person), "free": True})
        self._trace(self.calcom_trace, op, live, {"event": "inserted", "uid": uid, "host": int(person)})

    def _trace(self, lines: list[dict[str, Any]], op: int, at: float, line: Mapping[str, Any]) -> None:
        lines.append({"t_ns": ns(at), "trace": f"{0x5AFE:016x}{op:016x}", **line})


def _write(folder: RunFolder, story: _Story) -> None:
    _arrow(folder.ops(0), OPS, "ops", story.ops)
    for name, rows in (("database", story.database), ("calendar", story.calendar)):
        _arrow(folder.ledger / f"{name}.arrow", LEDGER, "ledger", sorted(rows, key=lambda row: row["at_ns"]))
    _arrow(folder.samples, SAMPLES, "samples", list(_samples(story)))
    for phase, at in ((Phase.LOAD_STARTED, 0.0), (Phase.LOAD_ENDED, 450.0), (Phase.QUIESCENT, 520.0)):
        details = {"quiet": True, "why": "", "waited_s": 4.0} if phase is Phase.QUIESCENT else {}
        append_phase(folder.phases, PhaseEvent(phase, ns(at), details))
    writer = JournalWriter(folder.faults)
    for entry in _journal():
        writer.write(entry)
    writer.close()
    for name, lines in (("service", story.service_trace), ("calcom", story.calcom_trace)):
        text = "".join(json.dumps(line) + "\n" for line in sorted(lines, key=lambda line: line["t_ns"]))
        (folder.trace / f"{name}.jsonl").write_text(text, encoding="utf-8")


def _arrow(path: Path, schema: Any, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    writer = ArrowWriter(path, schema, name)
    writer.write(rows)
    writer.close()


def _samples(story: _Story) -> Iterator[dict[str, Any]]:
    asked = sorted(op["invoke_ns"] for op in story.ops if op["kind"] != "webhook")
    for second in range(58):
        t_ns = START_NS + second * 1_000_000_000
        seen = sum(t_ns - 60_000_000_000 < at <= t_ns for at in asked)
        yield {"t_ns": t_ns, "source": "calcom", "metric": "requests_last_min", "value": float(seen) * 2.2}
        yield {"t_ns": t_ns, "source": "machine", "metric": "foreign_cpu_cores", "value": 0.04 + 0.02 * (second % 5)}
        yield {"t_ns": t_ns, "source": "machine", "metric": "own_cpu_cores", "value": 0.9 + 0.1 * (second % 7)}


def _journal() -> Iterator[JournalEntry]:
    told = {
        "stall": ("calcom_stall", "Cal.com works 35 s between check and insert",
                  {"observed": "p50 35.1 s over 88 bookings", "required": "p50 of at least 31.5 s", "bitten": True}),
        "link": ("link_latency", "each reply of Cal.com comes 500 ms later",
                 {"observed": "round trip 512 ms (12 ms before)", "required": "at least 450 ms more", "bitten": True}),
    }  # fmt: skip
    for stage, at in (
        (Stage.PLANNED, -1.0), (Stage.INJECTED, 120.1), (Stage.BITTEN, 171.0), (Stage.HEALED, 300.2),
        (Stage.VERIFIED_HEALED, 301.5),
    ):  # fmt: skip
        for fault_id, (fault, sentence, effect) in told.items():
            details = effect if stage is Stage.BITTEN else {}
            yield JournalEntry(fault_id, fault, stage, ns(at), UTC_NS, sentence, details)


def sample_judgement(plan: Plan, story: _Story) -> Judgement:
    findings = tuple(_finding(story, first, second) for first, second in story.doubles)
    exercised = {"attempts": 676, "confirmed": 299, "contested_ranges": 158, "contested_ranges_during_stall": 71}
    passed = CheckResult(CheckStatus.PASS, exercised={"confirmed": 299})
    found = CheckResult(CheckStatus.VIOLATION if findings else CheckStatus.PASS, findings, exercised=exercised)
    objectives = {objective.id: objective for objective in plan.objectives}
    return Judgement(
        verdict=Verdict.NO_GO if findings else Verdict.GO,
        exit_code=ExitCode.INTEGRITY_BROKEN if findings else ExitCode.GO,
        reason="3 slots were sold twice, the first 166.8 s into the run; 1 objective was missed"
        if findings
        else "nothing was sold twice, lost or invented, and every objective was met",
        aborted=None,
        findings=findings,
        checks={
            "double_booking": found,
            "lost_booking": passed,
            "phantom_booking": passed,
            "divergent_booking": passed,
        },
        objectives=tuple(
            ObjectiveResult(objectives[id], *figures) for id, *figures in (_FIGURES if findings else _GOOD_FIGURES)
        ),
        validity=(
            ValidityItem("arrivals_achieved", ValidityStatus.VALID, "99.8 % of planned", "at least 98 %"),
            ValidityItem("generator_lag", ValidityStatus.VALID, "p99 3 ms", "p99 at most 5 ms"),
            ValidityItem("foreign_cpu", ValidityStatus.VALID, "0.04 cores on average", "at most 0.5 cores"),
            ValidityItem("faults_proven", ValidityStatus.VALID, "2 of 2 bit and healed", "all"),
            ValidityItem("steady_state", ValidityStatus.VALID, "210 s life-size", "at least 60 s"),
        ),
    )


_MET, _MISSED, _UNSURE = ObjectiveStatus.MET, ObjectiveStatus.MISSED, ObjectiveStatus.INCONCLUSIVE
_FIGURES: tuple[tuple[Any, ...], ...] = (
    ("webhook-p95", _MET, 21.4, 20.1, 23.0, 815, "the upper bound 23 ms is below 50 ms"),
    ("booking-answered", _MET, 1.0, 0.987, 1.0, 302, "the lower bound 98.7 % is above 95 %"),
    ("availability-served", _MET, 1.0, 0.991, 1.0, 410, "the lower bound 99.1 % is above 95 %"),
    ("calcom-budget", _MET, 132.0, None, None, 1, "132 requests in the worst minute"),
    ("answered-during-stall", _MISSED, 0.412, 0.354, 0.472, 271, "the upper bound 47.2 % is below 95 %"),
    ("webhook-during-stall", _MET, 23.1, 21.6, 25.2, 540, "the upper bound 25.2 ms is below 100 ms"),
    ("redis-served", _UNSURE, 0.63, 0.571, 0.686, 271, "the interval holds 60 %; 1,150 s of fault would decide it"),
)
_GOOD_FIGURES: tuple[tuple[Any, ...], ...] = tuple(
    (id, _MET, 0.99, 0.974, 1.0, 271, "the lower bound is above the limit") if status is not _MET
    else (id, status, *rest)
    for id, status, *rest in _FIGURES
)  # fmt: skip


def _finding(story: _Story, first: int, second: int) -> Finding:
    ops = {op["op"]: op for op in story.ops}
    person = PEOPLE[ops[first]["person"]]
    return Finding(
        check="double_booking",
        kind=FindingKind.DOUBLE_BOOKING,
        resource=f"person {ops[first]['person']}",
        ops=(first, second),
        rows=tuple(row for op in (first, second) for row in (f"database:row-{op}", f"calendar:uid-{op}")),
        bookings=(first, second),
        at_ns=ops[second]["complete_ns"],
        sentence=f"{person} was sold to two callers for times that overlap: both were told so, both bookings are live.",
    )


def plain_objective(**changes: Any) -> Objective:
    """An objective to vary in tests of wording."""
    base = _objective("o", "Webhook answered", "webhook", "latency_ms", "p95", "steady", "computing", below=100)
    return Objective.model_validate({**base, **changes})
