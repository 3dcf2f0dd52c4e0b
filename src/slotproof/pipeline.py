"""One run: plan -> stack up -> load + faults -> collect (DESIGN.md section 3). The answer is read from its folder."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slotproof.collect.ledgers import CalendarLedger, DatabaseLedger, LedgerReader, save_ledger
from slotproof.collect.quiescence import Quiet, await_quiet
from slotproof.collect.sampler import Sampler
from slotproof.collect.sources import SourceUnreachableError, service_health
from slotproof.errors import MissingPartError, RecordError, UsageError
from slotproof.evaluate import Evaluation, evaluate
from slotproof.faults.registry import fault_kinds, fault_params
from slotproof.faults.timeline import Timeline
from slotproof.load.supervisor import LoadSupervisor
from slotproof.plan.plan import Plan
from slotproof.plan.resolve import Choices, Known, resolve
from slotproof.plan.world import World, make_world
from slotproof.progress import (
    Aborted,
    Drained,
    Judged,
    Listener,
    LoadEnded,
    LoadTick,
    RunPlanned,
    StackMessage,
    StackUp,
)
from slotproof.record.events import Phase, PhaseEvent, append_phase
from slotproof.record.journal import JournalWriter
from slotproof.run_folder import RunFolder
from slotproof.slo.foresight import foresee
from slotproof.stack import catalogue
from slotproof.stack.embedded import EmbeddedStack, StackSettings
from slotproof.stack.processes import log_tail
from slotproof.stopping import StopWatch
from slotproof.system import System

_TICK_S = 0.2
_START_MARGIN_S = 0.2
_HEAL_LIMIT_S = 20.0
_STOP_LIMIT_S = 10.0


@dataclass
class Interruption:
    """Set by a signal handler; looked at by every wait of the pipeline."""

    signal_number: int | None = None
    _event: threading.Event = field(default_factory=threading.Event, repr=False)

    def interrupt(self, signal_number: int) -> None:
        """Called by a signal handler: the first asks the run to come to an end.

        Raises:
            KeyboardInterrupt: it was asked before, so the user does not want to wait for that end.
        """
        if self.asked:
            raise KeyboardInterrupt
        self.signal_number = signal_number
        self._event.set()

    @property
    def asked(self) -> bool:
        return self._event.is_set()

    @property
    def why(self) -> str:
        return f"stopped by {signal.Signals(self.signal_number).name}" if self.signal_number else "stopped"


def known() -> Known:
    """Everything that may be named in files and on the command line."""
    return Known(fault_params(), frozenset(catalogue.flaws()), catalogue.profiles())


def plan_run(choices: Choices, out: Path) -> tuple[Plan, RunFolder]:
    """Check everything that the user said, then make the run folder with plan and world in it.

    Raises:
        UsageError: before anything was created, or because nothing can be created in `out`.
    """
    draft = resolve(choices, known(), run_id="")
    try:
        folder = RunFolder.create(out, draft.scenario.name)
    except OSError as error:
        raise UsageError(
            f"no run folder can be made: {error.strerror}", where=str(out), hint="name another folder with --out"
        ) from error
    plan = draft.model_copy(update={"run_id": folder.name, "warnings": (*draft.warnings, *foresee(draft))})
    plan.save(folder.plan)
    make_world(plan.scenario.options, plan.seed, plan.anchor_date).save(folder.world)
    return plan, folder


def run(
    choices: Choices,
    out: Path = Path("reports"),
    listener: Listener = lambda event: None,
    interruption: Interruption | None = None,
) -> Evaluation:
    """Plan, execute, judge and report one run; also `slotproof.run` for use from Python.

    Args:
        choices: the scenario, and what is wanted beside it.
        out: where the run folder lands.
        listener: is told what happens, in the thread that called.
        interruption: lets another thread or a signal handler end the run early.

    Raises:
        UsageError: the plan is refused, or a part of the stack cannot be had; nothing was started, no folder is left.
        StackError: the stack did not come up. A server that dies later aborts the run, which is judged all the same.
    """
    plan, folder = plan_run(choices, out)
    listener(RunPlanned(plan, folder))
    try:
        _Run(plan, folder, listener, interruption or Interruption()).execute()
    except MissingPartError:
        shutil.rmtree(folder.path)  # it holds a plan that nothing was done with
        raise
    began = time.monotonic()
    evaluation = evaluate(folder)
    listener(Judged(evaluation.judgement, plan, folder, time.monotonic() - began))
    return evaluation


class _InterruptedError(Exception):
    """The user wants an end before there is anything to judge."""


class _Run:
    """The states of one execution; each method is one phase."""

    def __init__(self, plan: Plan, folder: RunFolder, listener: Listener, interruption: Interruption) -> None:
        self._plan = plan
        self._folder = folder
        self._tell = listener
        self._interruption = interruption
        self._aborted: str | None = None

    def execute(self) -> None:
        with ExitStack() as ends:
            load = ends.enter_context(LoadSupervisor(self._folder, self._plan.scenario.load.workers))
            load.start()
            stack = EmbeddedStack(self._stack_settings(), self._stack_says)
            ends.callback(stack.stop)
            try:
                system = self._bring_up(stack)
            except _InterruptedError:
                self._abort(self._interruption.why, signal_number=self._interruption.signal_number)
                return
            journal = JournalWriter(self._folder.faults)
            ends.callback(journal.close)
            sampler = Sampler(self._folder.samples, system, lambda: _roots(system, load))
            sampler.start()
            ends.callback(sampler.stop)
            uses = self._plan.experiment.faults if self._plan.experiment else ()
            timeline = Timeline(system, uses, fault_kinds(), journal)
            ends.callback(lambda: timeline.join(_HEAL_LIMIT_S))
            ends.callback(timeline.stop)
            self._drive(stack, system, load, timeline, sampler)
            self._collect(stack, system, timeline)
        self._phase(Phase.ENDED)

    def _stack_settings(self) -> StackSettings:
        scenario = self._plan.scenario
        return StackSettings(
            run_dir=self._folder.path,
            world_file=self._folder.world,
            flaws=frozenset(self._plan.target.flaws),
            time_scale=self._plan.time_scale,
            seed=self._plan.seed,
            calcom_requests_per_min=scenario.calcom.requests_per_min,
            calcom_webhooks=scenario.calcom.webhooks,
            calcom_latency=scenario.calcom.latency,
            db_pool_size=scenario.database.pool_size,
        )

    def _bring_up(self, stack: EmbeddedStack) -> System:
        began = time.monotonic()
        self._phase(Phase.STACK_STARTING)
        system = stack.start()
        self._require_uninterrupted()
        took_s = time.monotonic() - began
        self._phase(Phase.STACK_UP, took_s=took_s)
        parts = tuple(
            f"{process.name} {process.version}" if process.version else process.name
            for process in system.processes.values()
        )
        self._tell(StackUp(took_s, parts, tuple(str(name) for name in system.links)))
        return system

    def _stack_says(self, text: str) -> None:
        """A step of the start. The first run on a machine may build for a minute: an interruption is heeded here."""
        self._require_uninterrupted()
        self._tell(StackMessage(text))

    def _require_uninterrupted(self) -> None:
        if self._interruption.asked:
            raise _InterruptedError

    def _drive(
        self, stack: EmbeddedStack, system: System, load: LoadSupervisor, timeline: Timeline, sampler: Sampler
    ) -> None:
        """Load and faults, until the last call has ended or something stops the run."""
        load.wait_ready(timeout_s=30)
        t0_ns = time.monotonic_ns() + round(_START_MARGIN_S * 1e9)
        load.go(t0_ns, system)
        timeline.start(t0_ns)
        self._phase(Phase.LOAD_STARTED, t_ns=t0_ns)
        _import_ahead()
        conditions = self._plan.experiment.stop_when if self._plan.experiment else ()
        stop_watch = StopWatch(conditions, self._plan.time_scale)
        try:
            while not load.finished:
                for worker, stats in load.poll(_TICK_S):
                    sampler.put(f"load-{worker:02d}", stats.figures(), stats.t_ns)
                if self._interruption.asked:
                    self._abort(self._interruption.why, signal_number=self._interruption.signal_number)
                    break
                figures = load.totals()
                self._tell_tick(figures, t0_ns, timeline)
                stopped_by = stop_watch.look(figures)
                if stopped_by is not None:
                    self._abort(stopped_by)
                    break
                dead = _last_words(stack)
                if dead:
                    self._abort(dead, failed=True)
                    break
                timeline.heal_by_force(stack.restart_toxiproxy)
        finally:
            timeline.stop()
            if self._aborted is not None or not load.finished:
                load.stop()
                load.wait_finished(_STOP_LIMIT_S)
            for lost in load.lost:
                self._phase(Phase.WORKER_LOST, worker=lost.worker, exit_code=lost.exit_code, why=lost.why)
            self._phase(Phase.LOAD_ENDED)
            self._tell(LoadEnded(int(load.totals()["done"])))

    def _collect(self, stack: EmbeddedStack, system: System, timeline: Timeline) -> None:
        """Heal everything, wait until nothing moves any more, read the ledgers."""
        self._phase(Phase.DRAINING)
        healed = timeline.join(_HEAL_LIMIT_S)
        if self._aborted is None:
            timeline.heal_by_force(stack.restart_toxiproxy)
        if not healed:
            self._phase(Phase.QUIESCENT, quiet=False, stable=False, why="a fault could not be healed", waited_s=0.0)
            return
        if self._aborted is not None:
            return  # rows are still in motion: reading them now would make lost bookings out of a Ctrl-C
        quiet = self._await_quiet(system)
        self._phase(
            Phase.QUIESCENT, quiet=quiet.quiet, stable=quiet.stable, why=quiet.why, waited_s=round(quiet.waited_s, 3)
        )
        self._tell(Drained(quiet.quiet, quiet.why, quiet.waited_s))
        dead = _last_words(stack)
        if self._interruption.asked:
            self._abort(self._interruption.why, signal_number=self._interruption.signal_number)
        elif dead:
            self._abort(dead, failed=True)
        elif quiet.stable:
            for source, rows in quiet.ledgers.items():
                save_ledger(self._folder.ledger / f"{source}.arrow", rows)
            self._phase(Phase.COLLECTED)

    def _await_quiet(self, system: System) -> Quiet:
        readers: list[LedgerReader] = [DatabaseLedger(system.admin_database_url, self._plan.clock.pair())]
        if system.calcom_control is not None:
            readers.append(CalendarLedger(system.calcom_control, World.load(self._folder.world)))
        try:
            period_life_s = float(service_health(system).get("reconcile_period_s") or 0.0)
            return await_quiet(
                system,
                readers,
                period_s=self._plan.wall_s(period_life_s),
                limit_s=self._plan.wall_s(self._plan.scenario.load.drain_s),
                stopped=lambda: self._interruption.asked,
            )
        except (SourceUnreachableError, RecordError) as error:
            return Quiet(False, False, str(error), 0.0, {})

    def _tell_tick(self, figures: Mapping[str, float], t0_ns: int, timeline: Timeline) -> None:
        self._tell(
            LoadTick(
                elapsed_s=max(0.0, (time.monotonic_ns() - t0_ns) / 1e9),
                total_s=self._plan.wall_s(self._plan.scenario.load.duration_s),
                in_progress=int(figures["in_progress"]),
                done=int(figures["done"]),
                unknown=int(figures["errors"]),
                confirmed=int(figures["confirmed"]),
                lag_ms=figures["lag_p99_ms"],
                faults=tuple(timeline.progress()),
            )
        )

    def _abort(self, why: str, signal_number: int | None = None, *, failed: bool = False) -> None:
        """Say why the run ends early: by a signal, because a part of the stack `failed`, else by a stop condition."""
        self._aborted = why
        self._phase(Phase.ABORTED, why=why, signal=signal_number, failed=failed)
        self._tell(Aborted(why))

    def _phase(self, phase: Phase, t_ns: int | None = None, **details: Any) -> None:
        append_phase(self._folder.phases, PhaseEvent(phase, t_ns or time.monotonic_ns(), details))


def _last_words(stack: EmbeddedStack) -> str:
    """Which servers died, and how their logs end; empty when all live."""
    return "; ".join(
        f"{process.name} died, its log {process.log} ends: {' | '.join(log_tail(process.log, 2)) or 'empty'}"
        for process in stack.dead()
        if process.log is not None
    )


def _roots(system: System, load: LoadSupervisor) -> dict[str, int]:
    """Process trees that count as ours when the machine's CPU is shared out."""
    servers = {process.name: process.pid for process in system.processes.values()}
    workers = {f"load-{worker:02d}": pid for worker, pid in load.pids.items()}
    return {"harness": os.getpid(), **servers, **workers}


def _import_ahead() -> None:
    """Import the slow libraries of judge and report while the load runs, so that the answer comes sooner after it."""
    modules = ("slotproof.report.html", "matplotlib.backends.backend_svg")
    threading.Thread(target=lambda: [importlib.import_module(name) for name in modules], daemon=True).start()
