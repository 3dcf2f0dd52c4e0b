"""Check -> judge -> report on a run folder: later, offline, on another machine, also on what a killed run left."""

from __future__ import annotations

from dataclasses import dataclass

from slotproof.checks.registry import all_checks
from slotproof.judge import judge
from slotproof.judgement import Judgement
from slotproof.plan.plan import Plan
from slotproof.plan.world import World
from slotproof.record.record import Record, load_record
from slotproof.report.html import write_report
from slotproof.report.junit import write_junit
from slotproof.report.markdown import write_summary
from slotproof.report.verdict_json import write_verdict
from slotproof.run_folder import RunFolder
from slotproof.slo.evaluate import evaluate_objectives
from slotproof.slo.validity import judge_validity


@dataclass(frozen=True)
class Evaluation:
    plan: Plan
    record: Record
    judgement: Judgement


def read_run(folder: RunFolder) -> tuple[Plan, Record]:
    """Plan and record of a run folder. Raises RecordError when a file is not what its name says."""
    plan = Plan.load(folder.plan)
    world = World.load(folder.world)
    record = load_record(
        folder,
        clock=plan.clock.pair(),
        time_scale=plan.time_scale,
        grace_s=plan.scenario.integrity.grace_s,
        staleness_s=plan.scenario.integrity.staleness_s,
        person_names={str(person.id): person.name for _, _, person in world.people()},
        time_zone=world.companies[0].branches[0].time_zone,
    )
    return plan, record


def judge_run(folder: RunFolder) -> Evaluation:
    """Run every check and objective over the record; deterministic: the same folder gives the same answer."""
    plan, record = read_run(folder)
    judgement = judge(
        objectives=evaluate_objectives(plan, record),
        validity=judge_validity(plan, record),
        checks={check.name: check(record) for check in all_checks()},
        phases=record.phases,
    )
    return Evaluation(plan, record, judgement)


def write_machine_output(folder: RunFolder, evaluation: Evaluation) -> None:
    """verdict.json, junit.xml and summary.md."""
    write_verdict(folder, evaluation.plan, evaluation.record, evaluation.judgement)
    write_junit(folder, evaluation.plan, evaluation.record, evaluation.judgement)
    write_summary(folder, evaluation.plan, evaluation.record, evaluation.judgement)


def evaluate(folder: RunFolder) -> Evaluation:
    """Judge a run folder and write every report into it."""
    evaluation = judge_run(folder)
    write_machine_output(folder, evaluation)
    write_report(folder, evaluation.plan, evaluation.record, evaluation.judgement)
    return evaluation
