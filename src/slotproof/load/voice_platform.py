"""The voice platform's side of one call: webhooks, function calls and their repeats, as Retell makes them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gevent.greenlet import Greenlet
from locust.contrib.fasthttp import FastHttpSession

from slotproof.load.json_text import encode
from slotproof.load.outcome import Answer
from slotproof.load.retell_call import RetellCall
from slotproof.load.setting import CallStopped, Setting
from slotproof.load.wire import Ask, Line, Subject
from slotproof.record.schemas import Actor, Kind, Outcome

WEBHOOK_PATH = "/webhooks/retell"
INBOUND_PATH = "/webhooks/retell/inbound"
WEBHOOK_TIMEOUT_S = 10.0
WEBHOOK_BACKOFFS_S = (1.0, 2.0, 4.0)
FUNCTION_TIMEOUT_S = 120.0
_BACKOFF_JITTER = (0.5, 1.5)
_DUPLICATE_AFTER_S = (0.0, 5.0)
_DECIDED = (Outcome.OK, Outcome.TAKEN, Outcome.NOT_HELD)


@dataclass
class FunctionCall:
    """One function call of the agent; every repeat shares request, name and args."""

    ask: Ask
    name: str
    args: Mapping[str, Any]
    attempts: int = 0


class VoicePlatform:
    """Timeouts, repeats and events: FACTS-calcom-retell.md sections 2.3, 2.5 and 2.6. All durations are life-size.

    Webhooks are delivered beside the call, each by a line of its own: Retell triggers them in order but does not wait
    for one before the next, nor does the caller. So one that is late (`Retell.late_share`) comes after its successors.
    """

    def __init__(
        self, setting: Setting, client: FastHttpSession, call: int, retell_call: RetellCall, tenant: str, line: Line
    ) -> None:
        self._setting = setting
        self._client = client
        self._call = call
        self._retell_call = retell_call
        self._tenant = tenant
        self._line = line
        self._deliveries: list[Greenlet] = []
        self._jitter = random.Random(f"backoff/{setting.seed}/{call}")
        self._weather = random.Random(f"webhooks/{setting.seed}/{call}")

    def webhook(self, event: str, after_s: float = 0.0) -> None:
        """Deliver an event of the call, beginning that long after the call's present step."""
        line = Line(self._setting, self._client, self._line.due_ns)
        line.pause(after_s)
        retell, weather = self._setting.retell, self._weather
        if weather.random() < retell.late_share:
            line.pause(weather.uniform(*retell.late_s))
        again_after_s = weather.uniform(*_DUPLICATE_AFTER_S) if weather.random() < retell.duplicate_share else None
        body = b'{"event":"%s","call":%s}' % (event.encode(), self._retell_call.of_event(event))
        self._deliveries.append(self._setting.greenlets.spawn(self._deliver, line, body, again_after_s))

    def ring(self) -> None:
        """The phone rings, until the service has said who is called; then the call begins.

        Without an answer the number's own agent takes the call (section 2.5). From now on Retell's REST API knows it.
        """
        if self._setting.retell.inbound_webhook:
            self._send(self._line, self._webhook_ask(INBOUND_PATH), self._retell_call.inbound())
        self._publish(self._retell_call.started())

    def hang_up(self) -> None:
        """The call ends; its webhooks are sent apart."""
        self._retell_call.hang_up()
        self._publish(self._retell_call.analyzed())

    def finish(self) -> None:
        """Wait until all webhooks of the call have been delivered or given up."""
        for delivery in self._deliveries:
            delivery.get()

    def new_function_call(self, kind: Kind, name: str, args: Mapping[str, Any], subject: Subject) -> FunctionCall:
        ask = self._ask(kind, Actor.CALLER, f"/functions/{name}", FUNCTION_TIMEOUT_S, subject)
        return FunctionCall(ask, name, args)

    def perform(self, function: FunctionCall, repeats: int) -> Answer:
        """Call the function; while nobody knows what became of it, call again, at most `repeats` times.

        Returns the last answer when it decides, else the one that claims most (CONTRACTS.md section 1).
        """
        body = b'{"name":%s,"call":%s,"args":%s}' % (
            encode(function.name),
            self._retell_call.talking(),
            encode(function.args),
        )
        strongest: Answer | None = None
        for repeat in range(repeats + 1):
            if repeat:
                self._line.pause(WEBHOOK_BACKOFFS_S[0] * self._jitter.uniform(*_BACKOFF_JITTER))
            function.attempts += 1
            answer = self._line.attempt(function.ask, function.attempts, body)
            if answer.outcome in _DECIDED:
                return answer
            if strongest is None or answer.outcome.strength > strongest.outcome.strength:
                strongest = answer
            if answer.outcome is not Outcome.UNKNOWN:
                break
        if strongest is None:
            raise ValueError(f"repeats must not be negative, is {repeats}")
        return strongest

    def _deliver(self, line: Line, body: bytes, again_after_s: float | None) -> None:
        """Nobody waits for what it brought. What arrived may be sent again: duplicates are possible (section 2.3)."""
        ask = self._webhook_ask(WEBHOOK_PATH)
        try:
            accepted = self._send(line, ask, body)
            if accepted is not None and again_after_s is not None:
                line.pause(again_after_s)
                line.attempt(ask, accepted + 1, body)
        except CallStopped:
            return

    def _send(self, line: Line, ask: Ask, body: bytes) -> int | None:
        """One attempt and up to three more, the same request each time. Returns which one was accepted, if any."""
        for attempt, backoff_s in enumerate((0.0, *WEBHOOK_BACKOFFS_S), start=1):
            line.pause(backoff_s)
            if line.attempt(ask, attempt, body).outcome is Outcome.OK:
                return attempt
        return None

    def _publish(self, call_object: bytes) -> None:
        """Beside the call: it is no part of any op, nor may it delay one."""
        if self._setting.retell_stub is not None:
            self._setting.greenlets.spawn(self._setting.retell_stub.put, self._retell_call.call_id, call_object)

    def _webhook_ask(self, path: str) -> Ask:
        return self._ask(Kind.WEBHOOK, Actor.PLATFORM, path, WEBHOOK_TIMEOUT_S, Subject(tenant=self._tenant))

    def _ask(self, kind: Kind, actor: Actor, path: str, timeout_s: float, subject: Subject) -> Ask:
        return Ask(
            request=self._setting.identifiers.request(1 + len(subject.further)),
            kind=kind,
            actor=actor,
            path=path,
            timeout_s=timeout_s,
            subject=subject,
            call=self._call,
            call_ref=self._retell_call.call_id,
        )
