"""The Cal.com and Retell stubs as child processes on inherited sockets (docs/interfaces.md)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from slotproof.errors import StackError
from slotproof.stack.http_probe import get
from slotproof.stack.ports import LOOPBACK, listening_socket, port_of
from slotproof.stack.processes import Child, Command, await_ready


@dataclass(frozen=True)
class CalcomOptions:
    """Options of `python -m calcom_stub`; requests_per_min is life-size."""

    world: Path
    ledger: Path
    trace: Path
    time_scale: float
    requests_per_min: int
    latency: str
    seed: int

    def arguments(self) -> list[str]:
        return [
            f"--world={self.world}",
            f"--ledger={self.ledger}",
            f"--trace={self.trace}",
            f"--time-scale={self.time_scale!r}",
            f"--requests-per-min={self.requests_per_min}",
            f"--latency={self.latency}",
            f"--seed={self.seed}",
        ]


class _Stub:
    """A stub with an API listener and a control listener."""

    def __init__(
        self,
        spawn: Callable[[Command], Child],
        name: str,
        module: str,
        arguments: list[str],
        log: Path,
        environment: Mapping[str, str],
    ) -> None:
        with listening_socket() as api, listening_socket() as control:
            self.port, self.control_port = port_of(api), port_of(control)
            descriptors = (api.fileno(), control.fileno())
            self._child = spawn(
                Command(
                    name,
                    [
                        sys.executable,
                        "-m",
                        module,
                        f"--fd={descriptors[0]}",
                        f"--control-fd={descriptors[1]}",
                        *arguments,
                    ],
                    log,
                    environment,
                    pass_fds=descriptors,
                )
            )


class CalcomStub(_Stub):
    """Name in the stack: `calcom`."""

    def __init__(
        self, spawn: Callable[[Command], Child], options: CalcomOptions, log: Path, environment: Mapping[str, str]
    ) -> None:
        super().__init__(spawn, "calcom", "calcom_stub", options.arguments(), log, environment)

    def await_ready(self, until: float) -> None:
        """Until its control listener tells its state. Raises StackError."""
        await_ready(self._child, self._tells_its_state, until)

    def subscribe(self, world_file: Path, url: str, secret: str) -> None:
        """Has all changes of all companies' bookings told to `url`, signed with the secret. Raises StackError."""
        triggers = ["BOOKING_CREATED", "BOOKING_CANCELLED", "BOOKING_RESCHEDULED", "BOOKING_REJECTED"]
        body = {"active": True, "subscriberUrl": url, "triggers": triggers, "secret": secret}
        for company in json.loads(world_file.read_text(encoding="utf-8"))["companies"]:
            headers = {"Authorization": f"Bearer {company['calcom_api_key']}"}
            target = f"http://{LOOPBACK}:{self.port}/v2/webhooks"
            try:
                httpx.post(target, json=body, headers=headers, timeout=10, trust_env=False).raise_for_status()
            except httpx.HTTPError as error:
                raise StackError(f"Cal.com's webhooks cannot be registered: {error!r}") from error

    def _tells_its_state(self) -> bool:
        reply = get(f"http://{LOOPBACK}:{self.control_port}/control/state")
        return reply is not None and reply.status_code == 200


class RetellStub(_Stub):
    """Name in the stack: `retell`."""

    def __init__(
        self, spawn: Callable[[Command], Child], api_key: str, log: Path, environment: Mapping[str, str]
    ) -> None:
        super().__init__(spawn, "retell", "retell_stub", [f"--api-key={api_key}"], log, environment)
        self._api_key = api_key

    def await_ready(self, until: float) -> None:
        """Until its API knows its key and says that a call which nobody made does not exist. Raises StackError."""
        await_ready(self._child, self._knows_its_key, until)

    def _knows_its_key(self) -> bool:
        reply = get(
            f"http://{LOOPBACK}:{self.port}/v2/get-call/call_nobody", {"Authorization": f"Bearer {self._api_key}"}
        )
        return reply is not None and 400 <= reply.status_code < 500 and reply.status_code not in (401, 403)
