"""The stubs as processes: inherited sockets, the ready line, a fast stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

START_DEADLINE_S = 30
STOP_DEADLINE_S = 5


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as api, socket.create_server(("127.0.0.1", 0)) as control:
        yield api, control


def _url(sock: socket.socket) -> str:
    return f"http://127.0.0.1:{sock.getsockname()[1]}"


def _start(module: str, sockets: tuple[socket.socket, ...], *arguments: str) -> subprocess.Popen[str]:
    """A stub on inherited sockets; returns when it says that it serves."""
    api, control = (sock.fileno() for sock in sockets)
    command = [sys.executable, "-m", module, "--fd", str(api), "--control-fd", str(control), *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, pass_fds=(api, control))
    watchdog = threading.Timer(START_DEADLINE_S, process.kill)
    watchdog.start()
    assert process.stderr is not None
    line = process.stderr.readline()
    watchdog.cancel()
    assert line.startswith(f"{module} ready"), line + process.stderr.read()
    return process


def _stop(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and what it still said after SIGTERM."""
    os.kill(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=STOP_DEADLINE_S)
    return process.returncode, said


def test_calcom_serves_on_inherited_sockets_and_stops_on_sigterm(
    world_document: dict[str, Any], sockets: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    world, ledger = tmp_path / "world.json", tmp_path / "ledger.jsonl"
    world.write_text(json.dumps(world_document), encoding="utf-8")
    options = ["--world", str(world), "--ledger", str(ledger), "--time-scale", "1000", "--seed", "7"]
    process = _start("calcom_stub", sockets, *options)
    api, control = (_url(sock) for sock in sockets)
    wish = {
        "start": "2027-03-01T08:00:00Z",
        "eventTypeId": 5001,
        "attendee": {"name": "Erika", "email": "erika@example.com", "timeZone": "Europe/Berlin"},
    }
    headers = {"cal-api-version": "2024-08-13"}
    reply = httpx.post(f"{api}/v2/bookings", json=wish, headers=headers)
    stall = {"endpoint": "any", "stage": "before_insert", "kind": "delay", "delay_ms": 60_000, "lease_s": 60}
    httpx.put(f"{control}/control/behaviours/stall", json=stall)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{api}/v2/bookings/{reply.json()['data']['uid']}/cancel", json={}, headers=headers, timeout=0.5)

    code, said = _stop(process)

    assert reply.status_code == 201
    assert (code, said) == (0, ""), "a request in progress neither delays the stop nor makes it noisy"
    (row,) = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    assert row["uid"] == reply.json()["data"]["uid"]


def test_calcom_refuses_a_ledger_of_another_run(world_document: dict[str, Any], tmp_path: Path) -> None:
    world, ledger = tmp_path / "world.json", tmp_path / "ledger.jsonl"
    world.write_text(json.dumps(world_document), encoding="utf-8")
    ledger.write_text("{}\n", encoding="utf-8")
    listeners = ["--port", "0", "--control-port", "0"]
    command = [sys.executable, "-m", "calcom_stub", *listeners, "--world", str(world), "--ledger", str(ledger)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=START_DEADLINE_S)
    assert ended.returncode == 2
    assert "already holds a ledger" in ended.stderr


def test_retell_serves_on_inherited_sockets_and_stops_on_sigterm(sockets: tuple[socket.socket, socket.socket]) -> None:
    process = _start("retell_stub", sockets, "--api-key", "key_1")
    api, control = (_url(sock) for sock in sockets)
    httpx.put(f"{control}/control/calls/c1", json={"call_status": "ongoing"})
    reply = httpx.get(f"{api}/v2/get-call/c1", headers={"Authorization": "Bearer key_1"})
    assert reply.json() == {"call_id": "c1", "call_status": "ongoing"}
    assert _stop(process) == (0, "")
