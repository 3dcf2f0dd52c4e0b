"""The embedded stack: the whole system on loopback, without Docker, as root or not (DESIGN.md section 5).

    caller ─► service's proxy ─► service ─┬► postgres proxy ─► PostgreSQL
                                          ├► redis proxy ────► Valkey
                                          ├► calcom proxy ───► Cal.com stub
                                          └► retell proxy ───► Retell stub

Everything is started from the calling thread and awaited afterwards, so that the servers come up side by side.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from slotproof.errors import StackError
from slotproof.stack.guardian import Guardian
from slotproof.stack.ports import LOOPBACK, listening_socket, port_of
from slotproof.stack.postgres import Postgres
from slotproof.stack.postgres_files import installation, template
from slotproof.stack.processes import Child, Command, end_children, expect_success, raise_open_files_limit, spawn
from slotproof.stack.scratch import copy_command, make_scratch, remove_scratch, sweep
from slotproof.stack.service import BookingService, ServiceSettings, seed_command
from slotproof.stack.stubs import CalcomOptions, CalcomStub, RetellStub
from slotproof.stack.toxiproxy_server import ToxiproxyServer, obtain_server
from slotproof.stack.valkey import Valkey, valkey_version
from slotproof.system import Address, Link, LinkName, Process, System

START_TIMEOUT_S = 60.0
_STOP_GRACE_S = 0.5
_SERVERS = ("postgres", "valkey", "toxiproxy", "calcom", "retell", "service")


@dataclass(frozen=True)
class StackSettings:
    """What to bring up. Rates and times are life-size.

    `run_dir` receives `logs/`, `trace/` and `ledger/calcom.jsonl`, the stub's own file; the servers' data lie among the
    temporary files and go with the stack. `max_connections` leaves room beside the service's pool for the three
    connections that PostgreSQL reserves for superusers and for those who read the ledger.
    """

    run_dir: Path
    world_file: Path
    flaws: frozenset[str]
    time_scale: float
    seed: int
    calcom_requests_per_min: int = 120
    calcom_webhooks: bool = False
    calcom_latency: str = "real"
    db_pool_size: int = 50
    max_connections: int = 60

    def log(self, name: str) -> Path:
        return self.run_dir / "logs" / f"{name}.log"

    def trace(self, name: str) -> Path:
        return self.run_dir / "trace" / f"{name}.jsonl"


class EmbeddedStack:
    """A context manager: `with EmbeddedStack(settings) as stack: system = stack.start()`; leaving it stops everything.

    Start it in the main thread: only then do the servers also die by the kernel's hand with the harness (`processes`).
    Not to be used by several threads at once, except `dead`.
    """

    def __init__(self, settings: StackSettings, on_event: Callable[[str], None] = lambda text: None) -> None:
        self._settings = settings
        self._on_event = on_event
        self._guardian: Guardian | None = None
        self._scratch: Path | None = None
        self._children: dict[str, Child] = {}
        self._processes: dict[str, Process] = {}
        self._toxiproxy: ToxiproxyServer | None = None
        self._links: dict[LinkName, Link] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def guardian(self) -> Guardian:
        """To put further processes of the run, such as the load's, under the same watch. Only while started."""
        if self._guardian is None:
            raise StackError("the stack is not started")
        return self._guardian

    def start(self) -> System:
        """Bring everything up; returns when a request through all parts was answered.

        Raises:
            MissingPartError: a server cannot be had on this machine.
            StackError: a server died or was not ready in time; shows the end of its log. Nothing is left running.
        """
        if self._guardian is not None:
            raise StackError("the stack is started already")
        try:
            return self._bring_up()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every server and remove their data. Idempotent; under a second."""
        guardian, self._guardian = self._guardian, None
        if guardian is None:
            return
        # Whatever goes wrong in between, leaving this block makes the guardian end and remove what is left.
        with guardian:
            # The service first, so that its last words are not about dependencies that we took away.
            service = [child for name, child in self._children.items() if name == "service"]
            end_children(service, guardian, _STOP_GRACE_S)
            end_children(self._children.values(), guardian, _STOP_GRACE_S)
            if self._scratch is not None:
                remove_scratch(guardian, self._scratch)
        self._scratch = None
        self._children.clear()

    def dead(self) -> list[Process]:
        """Servers that ended although nobody stopped them; `processes.log_tail(process.log)` has their last words."""
        return [self._processes[name] for name, child in self._children.items() if name in _SERVERS and not child.alive]

    def restart_toxiproxy(self) -> None:
        """Kill Toxiproxy and bring it back with the same addresses and no toxics: the last step of healing.

        FACTS-faults.md section 4.3: some states of a proxy end only with the server. Raises StackError, ToxiproxyError.
        """
        server = self._toxiproxy
        if server is None:
            raise StackError("the stack is not started")
        end_children([self._children["toxiproxy"]], self.guardian, grace_s=0)
        server.restart(time.monotonic() + START_TIMEOUT_S)
        for link in self._links.values():
            server.client().create_proxy(link.name, str(link.upstream), str(link.listen))
        self._note("toxiproxy", server.version)

    def _bring_up(self) -> System:
        settings = self._settings
        for directory in ("logs", "trace", "ledger"):
            (settings.run_dir / directory).mkdir(parents=True, exist_ok=True)
        raise_open_files_limit()
        for left in sweep():
            self._on_event(f"removed {left}, which a killed run had left")
        guardian = self._guardian = Guardian(settings.log("guardian"))
        # Slow only the first time on a machine.
        toxiproxy_binary = obtain_server(guardian, self._on_event)
        postgres_bin = installation(guardian) / "bin"
        database = template(postgres_bin, guardian, self._on_event)

        self._on_event("starting PostgreSQL, Valkey, Toxiproxy and the stubs")
        until = time.monotonic() + START_TIMEOUT_S
        scratch = self._scratch = make_scratch(guardian, "slotproof-")
        copying = self._spawn(copy_command(database.data, scratch / "postgres", settings.log("postgres")))
        toxiproxy = self._toxiproxy = ToxiproxyServer(self._spawn, toxiproxy_binary, settings.log("toxiproxy"))
        valkey = Valkey(self._spawn, _directory(scratch / "valkey"), settings.log("valkey"))
        retell_api_key = f"key_{secrets.token_hex(14)}"
        calcom, retell = self._start_stubs(retell_api_key)
        expect_success(copying, guardian, until)
        postgres = Postgres(
            self._spawn,
            postgres_bin / "postgres",
            scratch / "postgres",
            settings.log("postgres"),
            database.password,
            settings.max_connections,
        )
        with listening_socket() as service_listener:
            postgres.await_ready(until)
            valkey.await_ready(until)
            toxiproxy.await_ready(until)
            upstreams = {
                LinkName.POSTGRES: postgres.port,
                LinkName.REDIS: valkey.port,
                LinkName.CALCOM: calcom.port,
                LinkName.RETELL: retell.port,
                LinkName.SERVICE: port_of(service_listener),
            }
            self._create_links(toxiproxy, upstreams)
            webhook_secret = secrets.token_hex(16)
            service_settings = self._service_settings(postgres, retell_api_key, webhook_secret)
            self._on_event("creating the schema and the master data")
            seeding = self._spawn(
                seed_command(service_settings, postgres.url, settings.world_file, settings.log("seed"), _environment())
            )
            expect_success(seeding, guardian, until)
            self._on_event("starting the booking service")
            service = BookingService(
                self._spawn, service_settings, service_listener, settings.log("service"), _environment()
            )
        calcom.await_ready(until)
        retell.await_ready(until)
        service.await_ready(self._links[LinkName.SERVICE].listen, until)
        if settings.calcom_webhooks:
            service_address = self._links[LinkName.SERVICE].listen
            calcom.subscribe(settings.world_file, f"{service_address.url}/webhooks/calcom", webhook_secret)
        versions = {"postgres": postgres.version, "valkey": valkey_version(), "toxiproxy": toxiproxy.version}
        for name in _SERVERS:
            self._note(name, versions.get(name))
        return System(
            toxiproxy=Address(LOOPBACK, toxiproxy.port),
            links=dict(self._links),
            service=self._links[LinkName.SERVICE].listen,
            calcom_control=Address(LOOPBACK, calcom.control_port),
            retell_control=Address(LOOPBACK, retell.control_port),
            database_url=postgres.url,
            admin_database_url=postgres.admin_url,
            redis=Address(LOOPBACK, valkey.port),
            processes=self._processes,
            time_scale=settings.time_scale,
            retell_api_key=retell_api_key,
        )

    def _start_stubs(self, retell_api_key: str) -> tuple[CalcomStub, RetellStub]:
        settings = self._settings
        options = CalcomOptions(
            world=settings.world_file,
            ledger=settings.run_dir / "ledger" / "calcom.jsonl",
            trace=settings.trace("calcom"),
            time_scale=settings.time_scale,
            requests_per_min=settings.calcom_requests_per_min,
            latency=settings.calcom_latency,
            seed=settings.seed,
        )
        return (
            CalcomStub(self._spawn, options, settings.log("calcom"), _environment()),
            RetellStub(self._spawn, retell_api_key, settings.log("retell"), _environment()),
        )

    def _create_links(self, toxiproxy: ToxiproxyServer, upstreams: dict[LinkName, int]) -> None:
        client = toxiproxy.client()
        for name, port in upstreams.items():
            upstream = Address(LOOPBACK, port)
            host, _, listen_port = client.create_proxy(name, str(upstream), f"{LOOPBACK}:0").listen.rpartition(":")
            self._links[name] = Link(name, Address(host, int(listen_port)), upstream)

    def _service_settings(self, postgres: Postgres, retell_api_key: str, webhook_secret: str) -> ServiceSettings:
        settings = self._settings
        listen = {name: link.listen for name, link in self._links.items()}
        return ServiceSettings(
            database_url=postgres.url_through(listen[LinkName.POSTGRES].port),
            redis_url=f"redis://{listen[LinkName.REDIS]}/0",
            calcom_url=listen[LinkName.CALCOM].url,
            retell_url=listen[LinkName.RETELL].url,
            retell_api_key=retell_api_key,
            calcom_webhook_secret=webhook_secret,
            flaws=settings.flaws,
            time_scale=settings.time_scale,
            calcom_requests_per_min=settings.calcom_requests_per_min,
            db_pool_size=settings.db_pool_size,
            trace=settings.trace("service"),
        )

    def _spawn(self, command: Command) -> Child:
        child = self._children[command.name] = spawn(command, self.guardian)
        return child

    def _note(self, name: str, version: str | None) -> None:
        child = self._children[name]
        self._processes[name] = Process(name, child.pid, version, child.command.log)


def _directory(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path


def _environment() -> dict[str, str]:
    """Ours, without settings meant for a booking service that somebody runs by hand."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BOOKING_")}
