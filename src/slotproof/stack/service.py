"""The reference booking service as a child process on an inherited socket (docs/interfaces.md)."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slotproof.errors import StackError
from slotproof.stack.http_probe import get
from slotproof.stack.processes import Child, Command, await_ready
from slotproof.system import Address

_MODULE = [sys.executable, "-m", "booking_service"]


@dataclass(frozen=True)
class ServiceSettings:
    """What the service reads from its environment; the four URLs lead to Toxiproxy. Times and rates are life-size."""

    database_url: str
    redis_url: str
    calcom_url: str
    retell_url: str
    retell_api_key: str
    calcom_webhook_secret: str
    flaws: frozenset[str]
    time_scale: float
    calcom_requests_per_min: int
    db_pool_size: int
    trace: Path

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        return {
            **base,
            "BOOKING_DATABASE_URL": self.database_url,
            "BOOKING_REDIS_URL": self.redis_url,
            "BOOKING_CALCOM_URL": self.calcom_url,
            "BOOKING_RETELL_URL": self.retell_url,
            "BOOKING_RETELL_API_KEY": self.retell_api_key,
            "BOOKING_CALCOM_WEBHOOK_SECRET": self.calcom_webhook_secret,
            "BOOKING_FLAWS": ",".join(sorted(self.flaws)),
            "BOOKING_TIME_SCALE": repr(self.time_scale),
            "BOOKING_CALCOM_REQUESTS_PER_MIN": str(self.calcom_requests_per_min),
            "BOOKING_DB_POOL_SIZE": str(self.db_pool_size),
            "BOOKING_TRACE_PATH": str(self.trace),
        }


def seed_command(
    settings: ServiceSettings, straight_database_url: str, world: Path, log: Path, base: Mapping[str, str]
) -> Command:
    """Create the schema and the master data, past Toxiproxy. The flaws shape the schema, so they go along."""
    environment = settings.environment(base) | {"BOOKING_DATABASE_URL": straight_database_url}
    return Command("seed", [*_MODULE, "seed", str(world)], log, environment)


class BookingService:
    """A running service on `listener`, which is closed here once the service has it; callers dial its proxy."""

    def __init__(
        self,
        spawn: Callable[[Command], Child],
        settings: ServiceSettings,
        listener: socket.socket,
        log: Path,
        base: Mapping[str, str],
    ) -> None:
        self._settings = settings
        with listener:
            descriptor = listener.fileno()
            argv = [*_MODULE, f"--fd={descriptor}"]
            self._child = spawn(Command("service", argv, log, settings.environment(base), pass_fds=(descriptor,)))

    def await_ready(self, through: Address, until: float) -> None:
        """Until /healthz answers by way of the service's proxy, with the flaws and the time scale that were asked for.

        Raises StackError, also when the service runs with others: what it is must not differ from what the plan says.
        """
        await_ready(self._child, lambda: self._healthy(through), until)

    def _healthy(self, through: Address) -> bool:
        reply = get(f"{through.url}/healthz")
        if reply is None or reply.status_code != 200:
            return False
        health: dict[str, Any] = reply.json()
        wanted = {"flaws": sorted(self._settings.flaws), "time_scale": self._settings.time_scale}
        told = {"flaws": sorted(health.get("flaws", [])), "time_scale": health.get("time_scale")}
        if told != wanted:
            raise StackError(
                f"the service says {told} and should run with {wanted}",
                where=f"{through.url}/healthz",
                hint="does it read BOOKING_FLAWS and BOOKING_TIME_SCALE?",
            )
        return True
