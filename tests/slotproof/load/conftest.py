"""Run folders for load workers, and a stand-in for the booking service.

The stand-in answers by docs/interfaces.md, misbehaves by person, and remembers every request. Nothing here imports
Locust, which would patch the sockets of the test process: it lives in the workers' processes only.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from slotproof.plan.plan import Clock, Machine, Plan, TargetPlan
from slotproof.plan.scenario import Scenario
from slotproof.plan.world import make_world
from slotproof.record.clock import ClockPair
from slotproof.run_folder import RunFolder

API_KEY = "stand-in-key"
STALL_S = 60.0

PENDING_FOR_EVER, PENDING_ONCE, TAKEN, BUSY, BROKEN, CUT_SHORT, UNTOLD = range(2, 9)
"""Person ids whose bookings go otherwise than well; everyone else's are confirmed. UNTOLD: no availability either."""

Message = MutableMapping[str, Any]


@dataclass
class Seen:
    """One request as it came over the wire."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    signature_ok: bool


@dataclass
class StandIn:
    """`slow_webhooks` stalls the first delivery of each call_started; `stall` holds back every function call; the first
    `inbound_refusals` deliveries of an inbound-call webhook fail."""

    slow_webhooks: bool = False
    stall: bool = False
    inbound_refusals: int = 0
    seen: list[Seen] = field(default_factory=list)
    published: list[dict[str, Any]] = field(default_factory=list)
    attempts: Counter[str] = field(default_factory=Counter)
    port: int = 0

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        raw = await _body(receive)
        if scope["path"].startswith("/control/calls/"):  # it stands in for the Retell stub too
            self.published.append(json.loads(raw))
            await _reply(send, 204)
            return
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        seen = Seen(scope["path"], headers, json.loads(raw), _signature_ok(raw, headers["x-retell-signature"]))
        self.seen.append(seen)
        self.attempts[headers["x-request-id"]] += 1
        attempt = self.attempts[headers["x-request-id"]]
        if seen.path == "/webhooks/retell/inbound":
            status = 503 if attempt <= self.inbound_refusals else 200
            await _reply(send, status, {"call_inbound": {}})
            return
        if seen.path == "/webhooks/retell":
            if self.slow_webhooks and seen.body["event"] == "call_started" and attempt == 1:
                await asyncio.sleep(STALL_S)
            await _reply(send, 204)
            return
        if self.stall:
            await asyncio.sleep(STALL_S)
        status, answer = _function(seen.path.removeprefix("/functions/"), seen.body["args"], attempt)
        await _reply(send, status, answer, cut_short=status == CUT_SHORT)


async def _body(receive: Callable[[], Awaitable[Message]]) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _reply(
    send: Callable[[Message], Awaitable[None]], status: int, answer: Any = None, cut_short: bool = False
) -> None:
    body = b"" if answer is None else json.dumps(answer).encode()
    length = str(len(body) + (100 if cut_short else 0)).encode()
    headers = [(b"content-type", b"application/json"), (b"server-timing", b"db;dur=1, calcom;dur=12.5")]
    if status != 204:
        headers.append((b"content-length", length))
    await send({"type": "http.response.start", "status": 200 if cut_short else status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _function(name: str, args: dict[str, Any], attempt: int) -> tuple[int, Any]:
    person = args.get("person_id")
    if name == "check_availability":
        if person == UNTOLD:
            return 503, _error("redis_unavailable")
        return 200, {
            "status": "ok",
            "slots": [_slot(person, f"{args['date']}T{hour:02d}:00:00+01:00") for hour in (9, 10)],
        }
    if name == "book_appointment":
        booked = {"id": f"b-{person}-{args['start']}", **_slot(person, args["start"])}
        if person == PENDING_FOR_EVER or (person == PENDING_ONCE and attempt == 1):
            return 202, {"status": "pending", "booking": booked}
        refusals = {TAKEN: (409, _error("slot_taken")), BUSY: (503, _error("busy")), BROKEN: (500, "oh no")}
        if person in refusals:
            return refusals[person]
        return (CUT_SHORT if person == CUT_SHORT else 200), {"status": "confirmed", "booking": booked}
    word = "cancelled" if name == "cancel_appointment" else "confirmed"
    return 200, {"status": word, "booking": {"id": args["booking_id"]}}


def _slot(person: Any, start: str) -> dict[str, Any]:
    return {"person_id": person, "person": "someone", "start": start, "end": start.replace(":00:00+", ":45:00+")}


def _error(code: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "no", "effect": "none"}}


def _signature_ok(body: bytes, header: str) -> bool:
    timestamp, digest = (part.partition("=")[2] for part in header.split(","))
    expected = hmac.new(API_KEY.encode(), body + timestamp.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, digest) and abs(time.time() * 1000 - int(timestamp)) < 300_000


@contextmanager
def _serving(stand_in: StandIn) -> Iterator[StandIn]:
    """Serve on a free loopback port until the block ends."""
    config = uvicorn.Config(
        stand_in,
        port=0,
        log_level="critical",
        lifespan="off",
        ws="none",
        http="httptools",
        loop="asyncio",
        timeout_graceful_shutdown=0,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.005)
        stand_in.port = server.servers[0].sockets[0].getsockname()[1]
        yield stand_in
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """A stand-in that answers on loopback; a test may change how it behaves at any time."""
    with _serving(StandIn()) as serving:
        yield serving


MakeRun = Callable[..., RunFolder]
CALLERS_FILE = Path(__file__).with_name("one_by_one.py")
ANCHOR = date(2027, 3, 1)


def _make_plan(
    callers_file: Path = CALLERS_FILE,
    *,
    seed: int = 7,
    time_scale: float = 30,
    retell: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    **load: Any,
) -> Plan:
    fields: dict[str, Any] = {"warm_up_s": 0, "phases": [{"calls_per_s": 1, "duration_s": 40}], **load}
    scenario = {
        "schema": 1,
        "name": "test",
        "callers": callers_file.name,
        "risk": {"id": "R", "title": "t", "likelihood": 1, "impact": 1},
        "time_scale": time_scale,
        "load": fields,
        "retell": retell or {},
        "options": {"people": 10, "talk_s": [1, 2], **(options or {})},
    }
    clock = ClockPair.now()
    return Plan(
        run_id="run-1",
        slotproof_version="0",
        git_commit=None,
        machine=Machine(cpus=1, memory_bytes=1, system="x", python="x"),
        clock=Clock(monotonic_ns=clock.monotonic_ns, utc_ns=clock.utc_ns),
        seed=seed,
        time_scale=time_scale,
        anchor_date=ANCHOR,
        scenario=Scenario.model_validate(scenario),
        experiment=None,
        target=TargetPlan(kind="reference", profile="hardened", flaws=()),
        callers_file=str(callers_file),
        command="test",
    )


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """A run folder with plan and world, ready for workers."""

    def make(**changes: Any) -> RunFolder:
        plan = _make_plan(**changes)
        folder = RunFolder.create(tmp_path, "test")
        plan.save(folder.plan)
        make_world(plan.scenario.options, plan.seed, plan.anchor_date).save(folder.world)
        return folder

    return make


@pytest.fixture
def make_plan() -> Callable[..., Plan]:
    """`make_plan(callers_file, *, seed, time_scale, **load)`"""
    return _make_plan
