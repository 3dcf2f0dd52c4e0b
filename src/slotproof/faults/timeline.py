"""Runs an experiment: each fault injected at its time, proven, healed, proven healed, and all of it journalled.

Whatever happens, what was injected is healed (DESIGN.md section 6).
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from slotproof.errors import SlotproofError
from slotproof.faults.base import Deadline, Effect, Fault, ReadBack
from slotproof.plan.experiment import FaultUse
from slotproof.record.journal import JournalEntry, JournalWriter, Stage
from slotproof.system import LinkName, System
from slotproof.toxiproxy import ToxiproxyClient

_INJECT_LIMIT_S = 10.0
_HEAL_LIMIT_S = 15.0
_POLL_S = 0.1


class FaultState(StrEnum):
    WAITING = "waiting"
    INJECTED = "injected"
    BITING = "biting"
    HEALED = "healed"
    UNPROVEN = "unproven"
    FAILED = "failed"


@dataclass(frozen=True)
class FaultProgress:
    """One fault as progress displays see it."""

    fault_id: str
    sentence: str
    state: FaultState
    observed: str


@dataclass(frozen=True)
class _Use:
    use: FaultUse
    fault: Fault[Any]
    params: BaseModel

    @property
    def link(self) -> LinkName | None:
        """The link that the fault works on, if it works on one."""
        link = getattr(self.params, "link", None)
        return link if isinstance(link, LinkName) else None


class Timeline:
    """Drives the faults of one run, one thread each; `stop` heals at once, `join` waits for the end."""

    def __init__(
        self,
        system: System,
        uses: Sequence[FaultUse],
        kinds: Mapping[str, type[Fault[Any]]],
        journal: JournalWriter,
    ) -> None:
        self._system = system
        self._uses = [_Use(use, kinds[use.fault](), kinds[use.fault].Params.model_validate(use.params)) for use in uses]
        self._journal = journal
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._unhealed: queue.SimpleQueue[_Use] = queue.SimpleQueue()
        self._progress: dict[str, FaultProgress] = {}
        for item in self._uses:
            self._show(item, FaultState.WAITING, "")

    def start(self, t0_ns: int) -> None:
        """Journal the plan and begin; `t0_ns` is the start of the load."""
        for item in self._uses:
            plan = {"at_s": item.use.at_s, "for_s": item.use.for_s, "params": item.params.model_dump(mode="json")}
            self._write(item, Stage.PLANNED, plan)
        for item in self._uses:
            thread = threading.Thread(target=self._run, args=(item, t0_ns), name=f"fault-{item.use.id}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Heal now, whatever is on, and inject nothing more."""
        self._stopping.set()

    def join(self, timeout_s: float) -> bool:
        """Wait until every fault is healed; False when that did not happen in time."""
        deadline = Deadline.after(timeout_s)
        for thread in self._threads:
            thread.join(deadline.left_s)
        return not any(thread.is_alive() for thread in self._threads)

    def heal_by_force(self, restart_toxiproxy: Callable[[], None]) -> None:
        """Heal by ever stronger means what a fault could not heal itself, up to a restart of Toxiproxy.

        In the main thread only: a server that is started in a thread dies with it. Other faults' toxics go as well, so
        this is the last resort (FACTS-faults.md section 4.5).
        """
        while not self._unhealed.empty():
            self._force(self._unhealed.get(), restart_toxiproxy)

    def progress(self) -> list[FaultProgress]:
        return list(self._progress.values())

    def _run(self, item: _Use, t0_ns: int) -> None:
        scale = self._system.time_scale
        if self._stopped_before(t0_ns + round(item.use.at_s / scale * 1e9)):
            return
        try:
            self._inject(item)
            self._prove(item, t0_ns + round(item.use.until_s / scale * 1e9))
        except SlotproofError as error:
            self._fail(item, error)
        finally:
            self._heal(item)

    def _stopped_before(self, at_ns: int) -> bool:
        return self._stopping.wait(max(0.0, (at_ns - time.monotonic_ns()) / 1e9))

    def _inject(self, item: _Use) -> None:
        read_back = item.fault.inject(self._system, item.params, Deadline.after(_INJECT_LIMIT_S))
        self._write(item, Stage.INJECTED, read_back.attributes)
        self._show(item, FaultState.INJECTED, "")

    def _prove(self, item: _Use, until_ns: int) -> None:
        """Look for the effect until it is seen; then wait for the time of healing."""
        effect: Effect | None = None
        while not self._stopping.is_set() and time.monotonic_ns() < until_ns:
            effect = item.fault.verify(self._system, item.params)
            if effect.bitten:
                self._write(item, Stage.BITTEN, _effect(effect))
                self._show(item, FaultState.BITING, effect.observed)
                self._stopped_before(until_ns)
                return
            self._stopping.wait(_POLL_S)
        observed = _effect(effect) if effect else {"observed": "the run was stopped before anything could be seen"}
        self._write(item, Stage.NOT_BITTEN, observed)
        self._show(item, FaultState.UNPROVEN, str(observed["observed"]))

    def _heal(self, item: _Use) -> None:
        deadline = Deadline.after(_HEAL_LIMIT_S)
        try:
            read_back: ReadBack = item.fault.heal(self._system, item.params, deadline)
            self._write(item, Stage.HEALED, read_back.attributes)
            effect = self._verify_healed(item, deadline)
        except SlotproofError as error:
            self._fail(item, error)
            if item.link is not None:
                self._unhealed.put(item)
            return
        if self._progress[item.use.id].state is FaultState.BITING:
            self._show(item, FaultState.HEALED, effect.observed)

    def _verify_healed(self, item: _Use, deadline: Deadline) -> Effect:
        """Look until the fault is seen to be gone, and journal that. Raises FaultError when the deadline passes."""
        effect = item.fault.verify_healed(self._system, item.params)
        while not effect.bitten:
            deadline.require(f"healing {item.use.id}: {effect.observed}, required {effect.required};")
            time.sleep(_POLL_S)
            effect = item.fault.verify_healed(self._system, item.params)
        self._write(item, Stage.VERIFIED_HEALED, _effect(effect))
        return effect

    def _force(self, item: _Use, restart_toxiproxy: Callable[[], None]) -> None:
        assert item.link is not None  # only such are queued
        client = ToxiproxyClient(self._system.toxiproxy.host, self._system.toxiproxy.port)
        try:
            step = client.heal(item.link, restart_toxiproxy)
            self._write(item, Stage.HEALED, {"by_force": step.value})
            self._verify_healed(item, Deadline.after(_HEAL_LIMIT_S))
        except SlotproofError as error:
            self._fail(item, error)

    def _fail(self, item: _Use, error: SlotproofError) -> None:
        self._write(item, Stage.FAILED, {"what": error.what, "where": error.where, "hint": error.hint})
        self._show(item, FaultState.FAILED, error.what)

    def _write(self, item: _Use, stage: Stage, details: Mapping[str, Any]) -> None:
        sentence = item.fault.describe(item.params)
        self._journal.write(
            JournalEntry(item.use.id, item.use.fault, stage, time.monotonic_ns(), time.time_ns(), sentence, details)
        )

    def _show(self, item: _Use, state: FaultState, observed: str) -> None:
        self._progress[item.use.id] = FaultProgress(item.use.id, item.fault.describe(item.params), state, observed)


def _effect(effect: Effect) -> dict[str, Any]:
    return {"observed": effect.observed, "required": effect.required, **effect.details}
