"""Fault `connections_held`: other clients take all but a few of PostgreSQL's connections.

At a high time scale a slow link alone never exhausts a pool of 50 (FACTS-faults.md section 1.1b), so connections are
held from outside, as the neighbour does that shares the database. Sessions of the target above what is left to it are
ended while they are idle, and their slots taken.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any, ClassVar

import psycopg
from pydantic import BaseModel, ConfigDict, Field

from slotproof.errors import FaultError
from slotproof.faults.base import Deadline, Effect, ReadBack
from slotproof.system import System

_FULL = "too many clients already"
_HOLDER = "slotproof-held"
_STEP_S = 0.02
_CONNECT_TIMEOUT_S = 5


class ConnectionsHeldParams(BaseModel):
    """`leave`: how many connections the target can still have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    leave: Annotated[int, Field(ge=1, le=200)]


class ConnectionsHeld:
    """Holds connections until the target has `leave` of them; proven by PostgreSQL refusing one more."""

    name: ClassVar[str] = "connections_held"
    Params = ConnectionsHeldParams

    def __init__(self) -> None:
        self._held: list[psycopg.Connection[Any]] = []

    def inject(self, system: System, params: ConnectionsHeldParams, deadline: Deadline) -> ReadBack:
        with _admin(system) as admin:
            wanted = _ordinary_slots(admin) - params.leave
        # Counted in what is held, not in the target's sessions: one that is just being opened is not to be seen yet,
        # and the slot of our own admin connection is the target's as soon as that is closed.
        while not self._take(system, wanted):
            with _admin(system) as admin:
                _end_idle_sessions(admin, wanted - len(self._held))
            deadline.require("taking the target's surplus connections")
            time.sleep(_STEP_S)  # a backend that was told to end frees its slot a moment later
        with _admin(system) as admin:
            return ReadBack({"held": len(self._held), "of_target": len(_target_sessions(admin)), "leave": params.leave})

    def verify(self, system: System, params: ConnectionsHeldParams) -> Effect:
        with _admin(system) as admin:
            sessions = len(_target_sessions(admin))
            free = _free_slots(admin)
        return Effect(
            bitten=bool(self._held) and sessions + free <= params.leave,
            observed=f"the target has {sessions} connections, {free} are free, others hold {len(self._held)}",
            required=f"no more than {params.leave} for the target",
            details={"target": sessions, "free": free, "held": len(self._held)},
        )

    def heal(self, system: System, params: ConnectionsHeldParams, deadline: Deadline) -> ReadBack:
        for connection in self._held:
            connection.close()
        self._held = []
        return ReadBack({"held": 0})

    def verify_healed(self, system: System, params: ConnectionsHeldParams) -> Effect:
        with _admin(system) as admin:
            row = admin.execute(
                "select count(*) from pg_stat_activity where application_name = %s", [_HOLDER]
            ).fetchone()
        left = int(row[0]) if row else 0
        return Effect(bitten=left == 0, observed=f"{left} connections are held by others", required="none")

    def describe(self, params: ConnectionsHeldParams) -> str:
        return f"other clients hold all but {params.leave} of the database's connections"

    def _take(self, system: System, wanted: int) -> bool:
        """Connect as an ordinary client until so many are held, or PostgreSQL refuses; whether all are."""
        with suppress(psycopg.OperationalError):  # the refusal is what is waited for
            while len(self._held) < wanted:
                self._held.append(
                    psycopg.connect(
                        system.database_url,
                        application_name=_HOLDER,
                        connect_timeout=_CONNECT_TIMEOUT_S,
                        autocommit=True,
                    )
                )
        return len(self._held) >= wanted


@contextmanager
def _admin(system: System) -> Iterator[psycopg.Connection[Any]]:
    """A connection for administration. Raises FaultError when it, or a query on it, fails."""
    try:
        with _connect_admin(system) as connection:
            yield connection
    except psycopg.Error as error:
        raise FaultError(f"PostgreSQL's admin connection failed: {error}") from error


def _connect_admin(system: System) -> psycopg.Connection[Any]:
    """Clients that are about to be refused have a slot for a moment, the reserved ones too: then once more."""
    give_up_s = time.monotonic() + _CONNECT_TIMEOUT_S
    while True:
        try:
            return psycopg.connect(
                system.admin_database_url,
                application_name="slotproof-fault",
                connect_timeout=_CONNECT_TIMEOUT_S,
                autocommit=True,
            )
        except psycopg.OperationalError as error:
            if _FULL not in str(error) or time.monotonic() > give_up_s:
                raise
            time.sleep(_STEP_S)


def _target_sessions(admin: psycopg.Connection[Any]) -> list[int]:
    """Process ids of the target's sessions: ordinary clients that are not the harness's."""
    rows = admin.execute(
        "select pid from pg_stat_activity where backend_type = 'client backend' "
        "and application_name not like 'slotproof%' order by pid"
    ).fetchall()
    return [int(row[0]) for row in rows]


def _ordinary_slots(admin: psycopg.Connection[Any]) -> int:
    """Connections that all ordinary clients together can have."""
    row = admin.execute(
        "select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int "
        "- current_setting('reserved_connections')::int"
    ).fetchone()
    return int(row[0]) if row else 0


def _free_slots(admin: psycopg.Connection[Any]) -> int:
    """Connections that an ordinary client could still open."""
    row = admin.execute("select count(*) from pg_stat_activity where backend_type = 'client backend'").fetchone()
    return max(0, _ordinary_slots(admin) - int(row[0])) if row else 0


def _end_idle_sessions(admin: psycopg.Connection[Any], count: int) -> None:
    admin.execute(
        "select pg_terminate_backend(pid) from (select pid from pg_stat_activity where backend_type = 'client backend' "
        "and application_name not like 'slotproof%%' and state = 'idle' order by pid limit %s) as surplus",
        [count],
    )
