"""One function call at work: repeats join it, its caller is told something in time, and it goes on regardless.

A flow runs in a task of its own, so a caller who hangs up cannot stop it half-way. Up to the moment when Cal.com is
asked it can be withdrawn with no effect; after that its caller is told 202 at the deadline while it goes on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from booking_service import errors
from booking_service.appointments import Operation, Reply, pending_reply
from booking_service.metrics import Metrics

_log = logging.getLogger(__name__)


class WithdrawnError(Exception):
    """The caller was told "nothing happened" before Cal.com was asked."""


@dataclass
class CalcomTiming:
    """How long one request waited for Cal.com: `None` when it did not."""

    ms: float | None = None

    def add(self, seconds: float) -> None:
        self.ms = (self.ms or 0.0) + seconds * 1000


class Flow:
    """The state that a flow and its waiting callers share."""

    def __init__(self, reply_deadline_s: float) -> None:
        self.operation_id: UUID = uuid4()
        self.deadline_at = time.monotonic() + reply_deadline_s
        self.operation: Operation | None = None
        self.asked_at: float | None = None
        self.replied_at: float | None = None
        self._withdrawn = False

    def begin_to_ask(self, operation: Operation) -> None:
        """The point of no return. Raises `WithdrawnError` when the caller was told already that nothing happened."""
        if self._withdrawn:
            raise WithdrawnError
        self.operation = operation
        self.asked_at = time.monotonic()

    def replied(self) -> None:
        self.replied_at = time.monotonic()

    def withdraw(self) -> None:
        self._withdrawn = True

    def waited_s(self, since: float) -> float | None:
        """The part of the time since `since` that was spent waiting for Cal.com."""
        if self.asked_at is None:
            return None
        end = time.monotonic() if self.replied_at is None else self.replied_at
        return max(0.0, end - max(self.asked_at, since))


Work = Callable[[Flow], Coroutine[Any, Any, Reply]]


class Flows:
    """All flows of this process, by idempotency key.

    With `late_resolution` a flow outlives its caller's deadline; without it (the flaw `no_reconciler`) it ends there,
    whatever Cal.com may still do.
    """

    def __init__(self, reply_deadline_s: float, *, late_resolution: bool, metrics: Metrics) -> None:
        self._reply_deadline_s = reply_deadline_s
        self._late_resolution = late_resolution
        self._metrics = metrics
        self._running: dict[str, tuple[Flow, asyncio.Task[Reply]]] = {}
        self._background: set[asyncio.Task[None]] = set()

    @property
    def operation_ids(self) -> frozenset[UUID]:
        """The operations that a flow of this process will decide."""
        return frozenset(flow.operation_id for flow, _ in self._running.values())

    async def answer(self, key: str, work: Work, timing: CalcomTiming) -> Reply:
        """The reply of the flow with this key, which is started unless it runs.

        Raises:
            ServiceError: a refusal, or the deadline passed before Cal.com was asked.
        """
        began = time.monotonic()
        flow, task = self._running.get(key) or self._start(key, work)
        try:
            await asyncio.wait({task}, timeout=max(0.0, flow.deadline_at - began))
        finally:
            waited_s = flow.waited_s(began)
            if waited_s is not None:
                timing.add(waited_s)
        if task.done():
            return task.result()
        return self._at_deadline(flow, task)

    def in_background(self, work: Awaitable[None]) -> None:
        """Runs something that no caller waits for; a failure is logged."""
        task = asyncio.ensure_future(_logged(work))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def drain(self, limit_s: float) -> None:
        """Waits for everything at work, then cancels the rest: their rows are for the next process's reconciler."""
        tasks: set[asyncio.Task[Any]] = {task for _, task in self._running.values()} | self._background
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=limit_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _start(self, key: str, work: Work) -> tuple[Flow, asyncio.Task[Reply]]:
        flow = Flow(self._reply_deadline_s)
        task = asyncio.create_task(work(flow), name=f"flow {key[:8]}")
        self._running[key] = (flow, task)
        self._metrics.operations_in_progress.inc()
        task.add_done_callback(lambda done: self._finished(key, done))
        return flow, task

    def _finished(self, key: str, task: asyncio.Task[Reply]) -> None:
        del self._running[key]
        self._metrics.operations_in_progress.dec()
        if task.cancelled():
            return
        failure = task.exception()
        if failure is not None and not isinstance(failure, errors.ServiceError):
            _log.error("a flow failed", exc_info=failure)

    def _at_deadline(self, flow: Flow, task: asyncio.Task[Reply]) -> Reply:
        if flow.operation is None:
            flow.withdraw()
            raise errors.overloaded("The request could not be started in time.")
        if self._late_resolution:
            return pending_reply(flow.operation.appointment)
        task.cancel()
        raise errors.calcom_unavailable(effect=errors.Effect.UNKNOWN)


async def _logged(work: Awaitable[None]) -> None:
    try:
        await work
    except Exception:  # noqa: BLE001 - nobody awaits it: the log is where its failure is seen
        _log.exception("background work failed")
