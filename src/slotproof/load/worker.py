"""One load worker: `python -m slotproof.load.worker RUN_DIR WORKER [--host URL] [--retell-control URL]`.

A Locust process of its own (gevent). It reads plan.json and world.json, makes the calls that are its share, writes
`record/ops-NN.arrow`, and speaks with the harness as `messages` says. Exit code 0: the record is complete; 1: a call
broke off or something else failed; 2: it was started wrongly.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import locust  # patches the socket module: before anything that opens sockets
from gevent.event import AsyncResult
from geventhttpclient.client import HTTPClientPool
from locust.env import Environment
from locust.util.load_locustfile import load_locustfile

from slotproof.errors import SlotproofError, UsageError
from slotproof.load import messages
from slotproof.load.arrivals import Arrival, own_arrivals
from slotproof.load.caller import PhoneCaller
from slotproof.load.calls import Calls
from slotproof.load.harness_pipe import HarnessGone, HarnessPipe
from slotproof.load.identifiers import Identifiers
from slotproof.load.recorder import Recorder
from slotproof.load.retell_stub import RetellStub
from slotproof.load.setting import Setting
from slotproof.load.signature import sign
from slotproof.load.transcripts import Conversations
from slotproof.load.voice_platform import FUNCTION_TIMEOUT_S
from slotproof.plan.plan import Plan
from slotproof.plan.world import World
from slotproof.record.clock import ClockPair
from slotproof.run_folder import RunFolder

STOP_TIMEOUT_S = 2.0
"""How long, in wall seconds, requests on their way may still take when the load is told to stop."""

_STATS_PERIOD_S = 1.0
_CONNECTIONS = 20_000  # one per call in progress at most; a smaller pool would make calls wait for each other
_SOCKET_TIMEOUT_S = FUNCTION_TIMEOUT_S + 10  # longer than any attempt: attempts have a total deadline of their own


@dataclass(frozen=True)
class Target:
    """Where the calls go and what signs them."""

    host: str | None
    api_key: str | None
    retell_control: str | None

    def unless(self, go: messages.Go) -> Target:
        """What the go names, and the rest of this one."""
        return Target(go.host or self.host, go.api_key or self.api_key, go.retell_control or self.retell_control)


class Worker:
    """Ready, go, calls, end. A background greenlet that fails takes the process with it."""

    def __init__(self, folder: RunFolder, worker: int, pipe: HarnessPipe, default_target: Target) -> None:
        self._folder = folder
        self._plan = Plan.load(folder.plan)
        self._worker = worker
        self._pipe = pipe
        self._default_target = default_target
        workers = self._plan.scenario.load.workers
        if not 0 <= worker < workers:
            raise UsageError(f"there is no worker {worker}: the plan has {workers}, counted from 0")
        self._identifiers = Identifiers(self._plan.run_id, worker, workers)
        self._caller_class = find_caller_class(Path(self._plan.callers_file))
        self._world = World.load(folder.world)
        self._conversations = Conversations(self._plan.seed, self._plan.scenario.retell.transcripts)
        self._recorder = Recorder(folder.ops(worker), _metadata(self._plan, worker))
        self._go: AsyncResult = AsyncResult()  # the harness's Go; None when stopped before it came
        self._end: AsyncResult = AsyncResult()  # wall seconds that requests on their way may still take

    def run(self) -> int:
        """Until the record is complete; returns the exit code.

        Raises what a background greenlet failed with; the record then keeps no end marker, so it counts as incomplete.
        """
        self._warm_up()
        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, self._stop)
        self._in_background(self._listen)
        self._in_background(self._recorder.run)
        try:
            self._pipe.tell(messages.READY)
            go = self._go.get()
        except HarnessGone:
            go = None
        done = messages.Done(0, 0, 0, 0) if go is None else self._make_calls(go)
        self._recorder.close()
        with contextlib.suppress(HarnessGone):
            self._pipe.tell(messages.DONE, done)
        return 1 if done.crashed else 0

    def _warm_up(self) -> None:
        """Do once what the first call would pay for; the collector never looks again at what lives now."""
        sign(b"{}", "key", time.time_ns() // 1_000_000)
        socket.getaddrinfo("127.0.0.1", 80)  # gevent's first look-up imports and starts its thread pool
        own_arrivals(self._plan, self._worker, 0)
        gc.collect()
        gc.freeze()

    def _make_calls(self, go: messages.Go) -> messages.Done:
        setting = self._setting(self._default_target.unless(go))
        environment = _environment(self._caller_class, setting)
        calls = Calls(setting, environment, self._caller_class)
        arrivals = own_arrivals(self._plan, self._worker, go.t0_ns)
        events: Any = environment.events
        events.test_start.fire(environment=environment)
        self._in_background(lambda: self._report(calls))
        self._in_background(lambda: self._call_and_drain(calls, arrivals))
        try:
            calls.end_all(self._end.get())
        except HarnessGone:
            calls.end_all(0)
        events.test_stop.fire(environment=environment)
        return messages.Done(len(arrivals), calls.started, self._recorder.tally.ops, calls.crashed)

    def _call_and_drain(self, calls: Calls, arrivals: Sequence[Arrival]) -> None:
        calls.start_when_due(arrivals)
        calls.wait_all_done(self._plan.wall_s(self._plan.scenario.load.drain_s))
        self._end_within(0)

    def _setting(self, target: Target) -> Setting:
        if not target.host:
            raise UsageError("no --host was given, and the plan names no target URL")
        if not target.api_key:
            raise UsageError(f"{messages.API_KEY_VARIABLE} is not set: nothing could be signed")
        self._caller_class.host = target.host
        return Setting(
            seed=self._plan.seed,
            time_scale=self._plan.time_scale,
            options=self._plan.scenario.options,
            world=self._world,
            api_key=target.api_key,
            identifiers=self._identifiers,
            conversations=self._conversations,
            sink=self._recorder,
            retell=self._plan.scenario.retell,
            retell_stub=RetellStub(target.retell_control) if target.retell_control else None,
        )

    def _listen(self) -> None:
        for message in self._pipe.listen():
            if "go" in message:
                self._go.set(messages.read_go(message))
            elif message.get("stop"):
                self._stop()

    def _report(self, calls: Calls) -> None:
        due_s = time.monotonic()
        while True:
            due_s += _STATS_PERIOD_S
            gevent.sleep(max(0.0, due_s - time.monotonic()))
            self._pipe.tell(messages.STATS, self._stats(calls))

    def _stats(self, calls: Calls) -> messages.Stats:
        tally = self._recorder.tally
        lag_p99_ms, lag_max_ms = tally.take_lags_ms()
        return messages.Stats(
            t_ns=time.monotonic_ns(),
            in_progress=calls.in_progress,
            started=calls.started,
            done=calls.done,
            ops=tally.ops,
            errors=tally.unknown,
            none=tally.none,
            confirmed=tally.confirmed,
            taken=tally.taken,
            lag_p99_ms=round(lag_p99_ms, 3),
            lag_max_ms=round(lag_max_ms, 3),
        )

    def _stop(self) -> None:
        if not self._go.ready():
            self._go.set(None)
        self._end_within(STOP_TIMEOUT_S)

    def _end_within(self, timeout_s: float) -> None:
        if not self._end.ready():
            self._end.set(timeout_s)

    def _in_background(self, work: Callable[[], None]) -> None:
        gevent.spawn(work).link_exception(self._fail)

    def _fail(self, greenlet: gevent.Greenlet) -> None:
        for waited_for in (self._go, self._end):
            if not waited_for.ready():
                waited_for.set_exception(greenlet.exception, exc_info=greenlet.exc_info)


def find_caller_class(callers_file: Path) -> type[PhoneCaller]:
    """Import the callers' file as Locust does. Raises UsageError unless it defines exactly one kind of caller."""
    if not callers_file.is_file():
        raise UsageError(f"there is no callers' file {callers_file}")
    user_classes, _ = load_locustfile(str(callers_file))
    found = [user_class for user_class in user_classes.values() if issubclass(user_class, PhoneCaller)]
    if len(found) != 1:
        names = ", ".join(sorted(user_class.__name__ for user_class in found)) or "none"
        raise UsageError(
            f"a callers' file defines exactly one subclass of PhoneCaller; found: {names}", where=str(callers_file)
        )
    return found[0]


def _environment(caller_class: type[PhoneCaller], setting: Setting) -> Environment:
    """Locust's surroundings of a call; its runner counts requests, but spawns nobody: calls arrive by our plan."""
    caller_class.setting = setting
    caller_class.client_pool = HTTPClientPool(
        concurrency=_CONNECTIONS, connection_timeout=_SOCKET_TIMEOUT_S, network_timeout=_SOCKET_TIMEOUT_S
    )
    environment = Environment(events=locust.events, user_classes=[caller_class], host=caller_class.host)
    runner = environment.create_local_runner()
    events: Any = environment.events
    events.init.fire(environment=environment, runner=runner, web_ui=None)
    return environment


def _metadata(plan: Plan, worker: int) -> dict[str, str]:
    clock = ClockPair.now()
    return {
        "run_id": plan.run_id,
        "worker": str(worker),
        "seed": str(plan.seed),
        "clock": "CLOCK_MONOTONIC",
        "monotonic_ns": str(clock.monotonic_ns),
        "utc_ns": str(clock.utc_ns),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m slotproof.load.worker", description="One load worker of a run.")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("worker", type=int, help="number of this worker, from 0")
    parser.add_argument(
        "--host", help="where the service answers, when the harness does not say; default: the plan's target"
    )
    parser.add_argument("--retell-control", help="control listener of the Retell stub, when there is one")
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    pipe = HarnessPipe()
    try:
        folder = RunFolder.open(arguments.run_dir)
        host = arguments.host or Plan.load(folder.plan).target.url
        target = Target(host, os.environ.get(messages.API_KEY_VARIABLE), arguments.retell_control)
        return Worker(folder, arguments.worker, pipe, target).run()
    except SlotproofError as error:
        sys.stderr.write("\n".join(error.lines()) + "\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
