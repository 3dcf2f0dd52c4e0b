"""The neighbour that takes the database's connections, on a real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from tests.booking_service.kit.servers import postgres

from slotproof.errors import FaultError
from slotproof.faults import connections_held
from slotproof.faults.base import Deadline
from slotproof.faults.connections_held import ConnectionsHeld, ConnectionsHeldParams
from slotproof.system import Address, System

PARAMS = ConnectionsHeldParams(leave=2)


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with postgres() as server:
        with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
            admin.execute("CREATE ROLE app LOGIN")
        nowhere = Address("127.0.0.1", 1)
        yield System(
            toxiproxy=nowhere,
            links={},
            service=nowhere,
            calcom_control=None,
            retell_control=None,
            database_url=f"{server.replace('postgres@', 'app@')}/postgres",
            admin_database_url=f"{server}/postgres",
            redis=nowhere,
        )


def test_the_target_is_left_with_few_connections_until_it_is_healed(system: System) -> None:
    fault = ConnectionsHeld()
    try:
        read_back = fault.inject(system, PARAMS, Deadline.after(10))
        assert int(read_back.attributes["held"]) > 20
        assert fault.verify(system, PARAMS).bitten
    finally:
        fault.heal(system, PARAMS, Deadline.after(10))
    fault.heal(system, PARAMS, Deadline.after(10))  # healing twice harms nothing
    until = Deadline.after(10)
    while not fault.verify_healed(system, PARAMS).bitten:  # a backend ends a moment after its client
        until.require("the end of the held connections")
    psycopg.connect(system.database_url).close()


def test_a_database_that_fails_is_a_failed_fault(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(admin: object) -> int:
        raise psycopg.OperationalError("the connection was closed")

    monkeypatch.setattr(connections_held, "_free_slots", ended)
    with pytest.raises(FaultError, match="the connection was closed"):
        ConnectionsHeld().verify(system, PARAMS)
    with pytest.raises(FaultError, match="admin connection failed"):
        ConnectionsHeld().verify(replace(system, admin_database_url="postgresql://127.0.0.1:1/x"), PARAMS)


def test_a_moment_without_any_free_slot_is_waited_out(system: System) -> None:
    everything: list[psycopg.Connection[Any]] = []
    with suppress(psycopg.OperationalError):
        while True:
            everything.append(psycopg.connect(system.admin_database_url))

    def end_all() -> None:
        for connection in everything:
            connection.close()

    soon = threading.Timer(0.2, end_all)
    soon.start()
    effect = ConnectionsHeld().verify(system, PARAMS)
    soon.join()
    assert not effect.bitten


def test_a_target_that_takes_all_it_can_get_has_what_is_left_to_it(system: System) -> None:
    taken: list[psycopg.Connection[Any]] = []

    def take_all() -> None:
        with suppress(psycopg.OperationalError):
            while True:
                taken.append(psycopg.connect(system.database_url, autocommit=True))

    fault = ConnectionsHeld()
    try:
        take_all()
        fault.inject(system, PARAMS, Deadline.after(10))
        take_all()
        assert fault.verify(system, PARAMS).bitten
        with connections_held._admin(system) as admin:
            assert len(connections_held._target_sessions(admin)) == PARAMS.leave
    finally:
        fault.heal(system, PARAMS, Deadline.after(10))
        for connection in taken:
            connection.close()
