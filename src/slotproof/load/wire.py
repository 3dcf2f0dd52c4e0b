"""Sends one attempt at a time and records it: one row of ops is exactly one request on the wire."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import gevent
from locust.contrib.fasthttp import FastHttpSession, ResponseContextManager

from slotproof.load.outcome import STOPPED, Answer, read_failure, read_reply
from slotproof.load.setting import Setting
from slotproof.load.signature import HEADER, sign
from slotproof.record.schemas import Actor, Kind, Outcome

_ANY_STATUS = frozenset(range(100, 600))
_CLIENT_FAULT = Answer(Outcome.UNKNOWN, "client_fault")


@dataclass(frozen=True)
class Subject:
    """What an op is about: columns of OPS by their names, and of a service with several parts the later ones, each with
    its start and end in UTC seconds."""

    tenant: str | None = None
    person: str | None = None
    start_s: int | None = None
    end_s: int | None = None
    to_start_s: int | None = None
    to_end_s: int | None = None
    booking: int | None = None
    further: tuple[tuple[int, int], ...] = ()

    def columns(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "further"}


@dataclass(frozen=True)
class Ask:
    """One logical request: what all its attempts have in common. `timeout_s` is life-size, per attempt."""

    request: int
    kind: Kind
    actor: Actor
    path: str
    timeout_s: float
    subject: Subject
    call: int
    call_ref: str


def use_as_platform(client: FastHttpSession) -> None:
    """Have the client behave as the voice platform's: no cookies, and replies of any status are handed over.

    Judging a status is `outcome`'s work; the client would raise, and decode each refusal for a message nobody reads.
    """
    client.client.cookiejar = None
    client.client.valid_response_codes = _ANY_STATUS  # type: ignore[misc]  # for this client alone


class Line:
    """One party that asks and waits: a logical process, and the instant at which its next step is due.

    A step is due exactly when the one before ended, plus the wait between them; how late it really begins is the
    generator's lag (MEASURING.md section 1). Only POST goes through here: the client resends other methods silently
    (FACTS-stack.md section 4), so its owner must also have set `max_retries` and `max_redirects` to zero.
    """

    def __init__(self, setting: Setting, client: FastHttpSession, due_ns: int) -> None:
        self.due_ns = due_ns
        self._setting = setting
        self._client = client
        self._process = setting.identifiers.process()

    def pause(self, life_s: float) -> None:
        """Put the next step off by that many life-size seconds."""
        self.due_ns += round(self._setting.wall_s(life_s) * 1e9)

    def wait(self) -> None:
        """Sleep until the next step is due. Raises CallStopped when the load stops first."""
        self._setting.wait_until(self.due_ns)

    def attempt(self, ask: Ask, attempt: int, body: bytes) -> Answer:
        """Wait until due, send once, record, and be due again at completion.

        Raises CallStopped when the load stops before the request is sent; then there is nothing to record. A greenlet
        killed while the request is on its way leaves a row with outcome unknown.
        """
        self.wait()
        op = self._setting.identifiers.op()
        headers = self._headers(ask, op, body)
        answer = _CLIENT_FAULT
        invoke_ns = time.monotonic_ns()
        try:
            answer = self._exchange(ask, body, headers)
        except gevent.GreenletExit:
            answer = STOPPED
            raise
        finally:
            complete_ns = time.monotonic_ns()
            self._record(ask, op, attempt, answer, invoke_ns, complete_ns)
            self.due_ns = complete_ns
        if answer.outcome is Outcome.UNKNOWN:
            self._process = self._setting.identifiers.process()
        return answer

    def _headers(self, ask: Ask, op: int, body: bytes) -> dict[str, str]:
        return {
            HEADER: sign(body, self._setting.api_key, time.time_ns() // 1_000_000),
            "X-Request-Id": str(ask.request),
            "traceparent": self._setting.identifiers.traceparent(op),
            "content-type": "application/json",
            "accept-encoding": "identity",
        }

    def _exchange(self, ask: Ask, body: bytes, headers: dict[str, str]) -> Answer:
        """Locust's own request event fires here too, so that its statistics and plain Locust work."""
        with (
            gevent.Timeout(self._setting.wall_s(ask.timeout_s)),
            self._client.post(
                ask.path,
                data=body,  # type: ignore[arg-type]  # bytes go out as they are: they have been signed
                headers=headers,
                name=ask.path,
                catch_response=True,
            ) as response,
        ):
            answer = _read(ask.kind, response)
            if answer.usable:
                response.success()
            else:
                response.failure(answer.error)
        return answer

    def _record(self, ask: Ask, op: int, attempt: int, answer: Answer, invoke_ns: int, complete_ns: int) -> None:
        told = ask.kind is Kind.AVAILABILITY and answer.outcome is Outcome.OK and ask.subject.person is not None
        row: dict[str, Any] = {
            **ask.subject.columns(),
            **(_offer(answer) if told else {}),
            "op": op,
            "call": ask.call,
            "request": ask.request,
            "attempt": attempt,
            "process": self._process,
            "actor": ask.actor.value,
            "kind": ask.kind.value,
            "outcome": answer.outcome.value,
            "error": answer.error,
            "intended_ns": self.due_ns,
            "invoke_ns": invoke_ns,
            "complete_ns": complete_ns,
            "upstream_ns": answer.upstream_ns,
            "http_status": answer.http_status,
            "call_ref": ask.call_ref,
            "external_id": answer.booking_id,
        }
        further = ask.subject.further
        self._setting.sink.add({**row, "part": 1} if further else row)
        for place, (start_s, end_s) in enumerate(further, start=1):
            self._setting.sink.add(self._part(row, place, start_s, end_s))

    def _part(self, row: dict[str, Any], place: int, start_s: int, end_s: int) -> dict[str, Any]:
        """The row of a later part: the same exchange, another range, and a booking of its own."""
        booking = row["booking"]
        return {
            **row,
            "op": self._setting.identifiers.op(),
            "request": row["request"] + place,
            "part": place + 1,
            "start_s": start_s,
            "end_s": end_s,
            "booking": None if booking is None else booking + place,
            "external_id": None,
        }


def _offer(answer: Answer) -> dict[str, Any]:
    """What an availability reply promised: the starts, and the first range, since all are equally long."""
    if not answer.offered:
        return {"offered_start_s": []}
    first = answer.offered[0]
    same = [offer.start_s for offer in answer.offered if offer.end_s - offer.start_s == first.end_s - first.start_s]
    return {"start_s": first.start_s, "end_s": first.end_s, "offered_start_s": same}


def _read(kind: Kind, response: ResponseContextManager) -> Answer:
    failure = response.request_meta["exception"]
    if failure is not None:
        return read_failure(failure)
    timing = response.headers.get("server-timing") if response.headers else None
    joined = ", ".join(timing) if isinstance(timing, list) else timing
    return read_reply(kind, response.status_code, response.content or b"", joined)
