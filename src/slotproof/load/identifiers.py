"""Numbers that are unique in a run although its workers never ask each other (CONTRACTS.md section 1)."""

from __future__ import annotations

import hashlib
import itertools

_WORKER_SHIFT = 40


def trace_id(run_id: str, op: int) -> str:
    """W3C trace id of one attempt: 16 hex digits of the run, then 16 of the op (`int(trace_id[16:], 16)`)."""
    return hashlib.sha256(run_id.encode()).hexdigest()[:16] + f"{op:016x}"


def call_id(run_id: str, call: int) -> str:
    """A call id that looks like Retell's and differs between runs, so that one target can serve several."""
    return "call_" + hashlib.sha256(f"{run_id}/{call}".encode()).hexdigest()[:27]


class Identifiers:
    """Ops and requests are `worker << 40 | n`; processes (32 bit) are dealt out round-robin among the workers."""

    def __init__(self, run_id: str, worker: int = 0, workers: int = 1) -> None:
        self._run_id = run_id
        self._base = worker << _WORKER_SHIFT
        self._ops = itertools.count(1)
        self._requests = itertools.count(1)
        self._processes = itertools.count(worker, workers)

    def op(self) -> int:
        return self._base | next(self._ops)

    def request(self, parts: int = 1) -> int:
        """The number of a request; its further parts have the numbers that follow."""
        first = self._base | next(self._requests)
        for _ in range(parts - 1):
            next(self._requests)
        return first

    def process(self) -> int:
        """A logical process: one party that waits for each answer before it asks again."""
        return next(self._processes)

    def traceparent(self, op: int) -> str:
        """W3C `traceparent` header; the span id is the op again, which is never zero."""
        return f"00-{trace_id(self._run_id, op)}-{op:016x}-01"

    def call_id(self, call: int) -> str:
        return call_id(self._run_id, call)
