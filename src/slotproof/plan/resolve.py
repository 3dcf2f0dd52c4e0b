"""From what the user asked for to a plan: files read, names resolved, everything checked before anything starts."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil
from pydantic import ValidationError

from slotproof.errors import InputFileError, InputProblem, UnsafeTargetError, UsageError
from slotproof.plan.experiment import Experiment, FaultParams
from slotproof.plan.locate import Shelf, find
from slotproof.plan.plan import Clock, Machine, Plan, TargetPlan
from slotproof.plan.scenario import MAX_TIME_SCALE, Scenario
from slotproof.plan.world import default_anchor
from slotproof.plan.yaml_file import YamlFile, parse, problems_of, read_yaml, suggestion
from slotproof.record.clock import ClockPair
from slotproof.safety import require_safe


@dataclass(frozen=True)
class Known:
    """Names that `plan` cannot know by itself: faults with their parameter models, flaws, profiles of the target."""

    fault_params: FaultParams
    flaws: frozenset[str]
    profiles: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Choices:
    """What the user said beside the scenario file; None = not said. `origins` tells who said it."""

    scenario: str
    experiment: str | None = None
    profile: str | None = None
    flaws: tuple[str, ...] | None = None
    time_scale: float | None = None
    seed: int | None = None
    origins: Mapping[str, str] = field(default_factory=dict)


def read_scenario(path: Path, known: Known) -> Scenario:
    """A scenario file, checked.

    Raises:
        InputFileError: with every problem, each with its line.
    """
    file = read_yaml(path)
    scenario = parse(file, Scenario)
    problems = _target_problems(file, scenario, known)
    if not _callers_file(path, scenario).is_file():
        problems.append(file.problem(("callers",), f"there is no file {scenario.callers} beside the scenario"))
    if problems:
        raise InputFileError(problems)
    return scenario


def read_experiment(path: Path, known: Known) -> Experiment:
    """An experiment file, each fault's parameters checked by the fault's own model.

    Raises:
        InputFileError: with every problem, each with its line.
    """
    file = read_yaml(path)
    experiment = parse(file, Experiment)
    problems: list[InputProblem] = []
    for index, use in enumerate(experiment.faults):
        model = known.fault_params.get(use.fault)
        if model is None:
            right = suggestion(use.fault, known.fault_params)
            problems.append(file.problem(("faults", index, "fault"), f"unknown fault {use.fault!r}", right))
            continue
        try:
            model.model_validate(use.params)
        except ValidationError as error:
            problems.extend(problems_of(file, error, model, ("faults", index)))
    if problems:
        raise InputFileError(problems)
    return experiment


def resolve(choices: Choices, known: Known, run_id: str) -> Plan:
    """The plan of one run.

    Raises:
        UsageError: something asked for does not exist or does not fit; InputFileError for files, with their lines.
    """
    path = find(choices.scenario, Shelf.SCENARIOS, "command line: SCENARIO")
    scenario = read_scenario(path, known)
    experiment = _experiment(choices, scenario, path, known)
    time_scale = scenario.time_scale if choices.time_scale is None else choices.time_scale
    if not 1 <= time_scale <= MAX_TIME_SCALE:
        raise UsageError(
            f"time scale {time_scale:g} is out of range",
            where="command line: --time-scale",
            hint=f"1 to {MAX_TIME_SCALE}: above it guards on computing would be longer than the scaled lock life",
        )
    seed = choices.seed if choices.seed is not None else int.from_bytes(os.urandom(3), "big")
    target = _target(choices, scenario, known)
    clock = ClockPair.now()
    return Plan(
        schema="plan/1",
        run_id=run_id,
        slotproof_version=version("slotproof"),
        git_commit=_git_commit(path.parent),
        machine=Machine(
            cpus=os.cpu_count() or 1,
            memory_bytes=psutil.virtual_memory().total,
            system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
        ),
        clock=Clock(monotonic_ns=clock.monotonic_ns, utc_ns=clock.utc_ns),
        seed=seed,
        time_scale=time_scale,
        anchor_date=default_anchor(datetime.now(UTC).date()),
        scenario=scenario,
        experiment=experiment,
        target=target,
        callers_file=str(_callers_file(path, scenario)),
        command=_command(choices, target, experiment, time_scale, seed),
        origins=dict(choices.origins),
        warnings=tuple(_warnings(scenario, experiment)),
    )


def _experiment(choices: Choices, scenario: Scenario, path: Path, known: Known) -> Experiment | None:
    if choices.experiment is not None:
        where, name = "command line: --experiment", choices.experiment
    elif scenario.experiment is not None:
        where, name = f"{path}:{read_yaml(path).line(('experiment',))}", scenario.experiment
    else:
        return None
    experiment = read_experiment(find(name, Shelf.CHAOS, where), known)
    late = [use.id for use in experiment.faults if use.until_s > scenario.load.duration_s]
    if late:
        raise UsageError(
            f"fault {late[0]} would end after the load, which lasts {scenario.load.duration_s:g} s life-size",
            where=where,
            hint="lengthen the scenario's load or let the fault begin earlier",
        )
    return experiment


def _target_problems(file: YamlFile, scenario: Scenario, known: Known) -> list[InputProblem]:
    problems = []
    target = scenario.target
    if target.profile not in known.profiles:
        right = suggestion(target.profile, known.profiles)
        problems.append(file.problem(("target", "profile"), f"unknown profile {target.profile!r}", right))
    for index, flaw in enumerate(target.flaws):
        if flaw not in known.flaws:
            right = suggestion(flaw, known.flaws)
            problems.append(file.problem(("target", "flaws", index), f"unknown flaw {flaw!r}", right))
    if target.url is not None:
        where = f"{file.path}:{file.line(('target', 'url'))}"
        try:
            require_safe(target.url, where)
        except UnsafeTargetError as error:
            problems.append(file.problem(("target", "url"), error.what, error.hint))
        else:
            problems.append(
                file.problem(("target", "kind"), "external targets cannot be run yet", "use kind: reference")
            )
    return problems


def _target(choices: Choices, scenario: Scenario, known: Known) -> TargetPlan:
    profile, flaws = scenario.target.profile, scenario.target.flaws
    if choices.profile is not None and choices.flaws is not None:
        raise UsageError("--profile and --flaws exclude each other", where="command line", hint="give one of them")
    if choices.profile is not None:
        profile, flaws = choices.profile, ()
    if choices.flaws is not None:
        profile, flaws = "custom", choices.flaws
    for flaw in flaws:
        if flaw not in known.flaws:
            raise UsageError(
                f"unknown flaw {flaw!r}", where="command line: --flaws", hint=suggestion(flaw, known.flaws)
            )
    if profile != "custom" and profile not in known.profiles:
        raise UsageError(
            f"unknown profile {profile!r}", where="command line: --profile", hint=suggestion(profile, known.profiles)
        )
    switched_on = set(flaws) | (known.profiles[profile] if profile != "custom" else set())
    if profile != "custom" and flaws:
        profile = "custom"
    return TargetPlan(kind="reference", profile=profile, flaws=tuple(sorted(switched_on)))


def _callers_file(path: Path, scenario: Scenario) -> Path:
    return (path.parent / scenario.callers).resolve()


def _command(choices: Choices, target: TargetPlan, experiment: Experiment | None, time_scale: float, seed: int) -> str:
    words = ["slotproof", "run", choices.scenario]
    if experiment is not None:
        words += ["--experiment", choices.experiment or experiment.name]
    words += ["--flaws", ",".join(target.flaws)] if target.profile == "custom" else ["--profile", target.profile]
    words += ["--time-scale", f"{time_scale:g}", "--seed", str(seed)]
    return shlex.join(words)


def _git_commit(folder: Path) -> str | None:
    """Commit of the checkout that holds the scenario, or None; "+changes" when the tree is not clean."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=7", "--exclude=*", "--dirty=+changes"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None


def _warnings(scenario: Scenario, experiment: Experiment | None) -> list[str]:
    warnings = []
    if scenario.calcom.requests_per_min != 120:
        warnings.append(
            f"the Cal.com budget is set to {scenario.calcom.requests_per_min} requests a minute; "
            "Cal.com's default for an API key is 120"
        )
    if not scenario.objectives and (experiment is None or not experiment.objectives):
        warnings.append("no objective is declared: the answer cannot be GO")
    return warnings
