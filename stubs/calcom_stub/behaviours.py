"""Scripted misbehaviour: what Toxiproxy cannot do from outside (docs/interfaces.md, control listener).

`delay` holds a request at a stage inside the operation. FACTS-faults.md section 1.2 says why the stage between check
and insert matters; a delay before the reply that outlasts the client is a timeout after commit. The other kinds spoil
the reply: `status` (429 or 5xx), `malformed` (a cut JSON document), `ok_with_error` (200 with an error's body),
`existing` (the booking that takes the time, as if it were the new one: FACTS-calcom-retell.md section 4.1, incident 4).
Where they do so decides what has happened by then: before the check nothing, before the reply everything. `overtaken`
spoils no reply: between check and insert somebody books an overlapping time directly in the calendar. A behaviour ends
with its lease or by DELETE; either wakes the requests that it holds, at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from statistics import median
from typing import Any

from calcom_stub.trace import RequestTrace

_NS_PER_MS = 1_000_000


class Endpoint(StrEnum):
    BOOKINGS_CREATE = "bookings.create"
    BOOKINGS_CANCEL = "bookings.cancel"
    BOOKINGS_RESCHEDULE = "bookings.reschedule"
    BOOKINGS_CONFIRM = "bookings.confirm"
    BOOKINGS_DECLINE = "bookings.decline"
    BOOKINGS_LIST = "bookings.list"
    BOOKINGS_GET = "bookings.get"
    SLOTS_GET = "slots.get"


class Stage(StrEnum):
    """Where a request can be held. Reads have no `before_insert`."""

    BEFORE_CHECK = "before_check"
    BEFORE_INSERT = "before_insert"
    BEFORE_REPLY = "before_reply"


class Kind(StrEnum):
    DELAY = "delay"
    STATUS = "status"
    MALFORMED = "malformed"
    OK_WITH_ERROR = "ok_with_error"
    EXISTING = "existing"
    OVERTAKEN = "overtaken"


ANY_ENDPOINT = "any"
STATUSES = (429, 500, 502, 503, 504)
_FIELDS = {"endpoint", "stage", "kind", "lease_s"}
_OF_KIND = {Kind.DELAY: "delay_ms", Kind.STATUS: "status"}
"""The field that only this kind has."""


class SpoiltReplyError(Exception):
    """The request is to be answered as the behaviour says. `status` belongs to kind `status` only."""

    def __init__(self, kind: Kind, status: int | None = None) -> None:
        super().__init__(kind.value)
        self.kind = kind
        self.status = status


class BehaviourError(ValueError):
    """The body of a PUT does not describe a behaviour."""


@dataclass(frozen=True)
class BehaviourSpec:
    """What to do and where: `endpoint` None is any; delay and lease are wall time, already scaled. `share`: which part
    of the matching requests is concerned."""

    endpoint: Endpoint | None
    stage: Stage
    kind: Kind
    delay_ms: float
    lease_s: float
    status: int | None = None
    share: float = 1.0

    @classmethod
    def parse(cls, body: object) -> BehaviourSpec:
        """Raises BehaviourError. A delay of 0 is accepted: that it has no effect is for the observer to find."""
        if not isinstance(body, Mapping):
            raise BehaviourError("a behaviour is a JSON object")
        try:
            kind = Kind(body.get("kind", Kind.DELAY))
        except ValueError as error:
            raise BehaviourError(str(error)) from error
        fields = _FIELDS | ({_OF_KIND[kind]} if kind in _OF_KIND else set())
        unknown, missing = sorted(body.keys() - fields - {"share"}), sorted(fields - body.keys())
        if unknown or missing:
            raise BehaviourError(f"unknown keys {unknown}, missing keys {missing}")
        try:
            endpoint = None if body["endpoint"] == ANY_ENDPOINT else Endpoint(body["endpoint"])
            stage = Stage(body["stage"])
        except ValueError as error:
            raise BehaviourError(str(error)) from error
        delay_ms = _number(body, "delay_ms") if kind is Kind.DELAY else 0.0
        lease_s, share = _number(body, "lease_s"), _number({"share": 1.0, **body}, "share")
        if delay_ms < 0 or lease_s <= 0 or not 0 < share <= 1:
            raise BehaviourError("delay_ms must not be negative, lease_s positive, share above 0 and at most 1")
        status = body.get("status")
        if kind is Kind.STATUS and status not in STATUSES:
            raise BehaviourError(f"status must be one of {', '.join(map(str, STATUSES))}")
        if kind is Kind.EXISTING and (endpoint is not Endpoint.BOOKINGS_CREATE or stage is not Stage.BEFORE_CHECK):
            raise BehaviourError("an existing booking is returned by bookings.create, before_check")
        if kind is Kind.OVERTAKEN and (endpoint is not Endpoint.BOOKINGS_CREATE or stage is Stage.BEFORE_REPLY):
            raise BehaviourError("bookings.create is overtaken before_check or before_insert")
        return cls(endpoint, stage, kind, delay_ms, lease_s, status, share)

    def as_json(self) -> dict[str, Any]:
        return {
            "endpoint": ANY_ENDPOINT if self.endpoint is None else self.endpoint.value,
            "stage": self.stage.value,
            "kind": self.kind.value,
            **({"delay_ms": self.delay_ms} if self.kind is Kind.DELAY else {}),
            **({"status": self.status} if self.kind is Kind.STATUS else {}),
            "lease_s": self.lease_s,
            **({"share": self.share} if self.share != 1 else {}),
        }

    def matches(self, endpoint: Endpoint, stage: Stage) -> bool:
        return self.endpoint in (None, endpoint) and self.stage is stage


def _number(body: Mapping[str, Any], name: str) -> float:
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BehaviourError(f"{name} must be a number")
    return value


@dataclass
class _Active:
    """A behaviour in force and what was seen of it; `first_ns` and `last_ns` are when requests were matched."""

    spec: BehaviourSpec
    lease: asyncio.TimerHandle
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    matched: int = 0
    delays_ms: list[float] = field(default_factory=list)
    first_ns: int | None = None
    last_ns: int | None = None

    def view(self) -> dict[str, Any]:
        delays = self.delays_ms
        return {
            **self.spec.as_json(),
            "matched": self.matched,
            "completed": len(delays),
            "delays_ms": {
                "n": len(delays),
                "min": min(delays, default=None),
                "p50": median(delays) if delays else None,
                "max": max(delays, default=None),
            },
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
        }


class Behaviours:
    """The behaviours in force, by id. Must be used inside a running event loop. `clock_ns` is monotonic."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._active: dict[str, _Active] = {}
        self._random = Random("behaviours")

    def put(self, behaviour_id: str, spec: BehaviourSpec) -> dict[str, Any]:
        """Starts a behaviour. The same body again renews its lease and keeps the counts; another one starts afresh."""
        active = self._active.get(behaviour_id)
        if active is not None and active.spec == spec:
            active.lease.cancel()
            active.lease = self._begin_lease(behaviour_id, spec)
            return active.view()
        self.delete(behaviour_id)
        self._active[behaviour_id] = _Active(spec, self._begin_lease(behaviour_id, spec))
        return self._active[behaviour_id].view()

    def view(self, behaviour_id: str) -> dict[str, Any] | None:
        """The spec and what was observed; None when absent."""
        active = self._active.get(behaviour_id)
        return active.view() if active else None

    def delete(self, behaviour_id: str) -> None:
        """Ends the behaviour, if it is in force, and wakes all that it holds."""
        active = self._active.pop(behaviour_id, None)
        if active is not None:
            active.lease.cancel()
            active.ended.set()

    async def hold(self, endpoint: Endpoint, stage: Stage, trace: RequestTrace) -> None:
        """Holds a request at a stage for as long as the matching behaviours say, one after the other.

        Raises SpoiltReplyError where one of them is to spoil its reply.
        """
        for behaviour_id, active in list(self._active.items()):
            spec = active.spec
            concerned = spec.matches(endpoint, stage) and not active.ended.is_set()
            if not concerned or (spec.share < 1 and self._random.random() >= spec.share):
                continue
            if spec.kind is Kind.DELAY:
                await self._delay(behaviour_id, active, trace)
            else:
                self._see(active)
                trace.emit("spoilt", behaviour=behaviour_id, kind=spec.kind.value)
                raise SpoiltReplyError(spec.kind, spec.status)

    def _begin_lease(self, behaviour_id: str, spec: BehaviourSpec) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(spec.lease_s, self.delete, behaviour_id)

    async def _delay(self, behaviour_id: str, active: _Active, trace: RequestTrace) -> None:
        began_ns = self._see(active)
        try:
            async with asyncio.timeout(active.spec.delay_ms / 1000):
                await active.ended.wait()
        except TimeoutError:
            pass  # held for the whole delay
        delayed_ms = (self._clock_ns() - began_ns) / _NS_PER_MS
        active.delays_ms.append(delayed_ms)
        trace.emit("stalled", behaviour=behaviour_id, ms=delayed_ms)

    def _see(self, active: _Active) -> int:
        now_ns = self._clock_ns()
        active.matched += 1
        active.first_ns = active.first_ns or now_ns
        active.last_ns = now_ns
        return now_ns
