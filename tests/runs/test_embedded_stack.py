"""The embedded stack as a whole: real servers, the stubs, the reference service (DESIGN.md sections 5 and 6)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from slotproof.errors import StackError
from slotproof.stack.embedded import EmbeddedStack, StackSettings
from slotproof.stack.processes import log_tail
from slotproof.system import LinkName, System

pytestmark = pytest.mark.runs

_DEADLINE_S = 10.0
_WORLD = {
    "anchor_date": "2027-03-01",
    "companies": [
        {
            "id": 1,
            "name": "Salon Weber",
            "calcom_api_key": "cal_0123456789abcdef0123456789abcdef",
            "branches": [
                {
                    "id": 1,
                    "name": "Mitte",
                    "phone": "+493012345001",
                    "time_zone": "Europe/Berlin",
                    "services": [{"id": 1, "name": "Haircut", "duration_min": 45, "grid_min": 15}],
                    "people": [
                        {
                            "id": 1,
                            "name": "Anna Weber",
                            "email": "anna.weber@example.com",
                            "calcom_user_id": 1001,
                            "calcom_username": "anna-weber",
                            "opens_min": 540,
                            "closes_min": 660,
                            "event_types": [{"id": 5001, "slug": "haircut-45", "service_id": 1, "length_min": 45}],
                        }
                    ],
                }
            ],
        }
    ],
}

# A harness that brings a stack up, tells what it started, and works on until it is killed.
_HARNESS = """
import json, sys, time
from pathlib import Path
from slotproof.stack.embedded import EmbeddedStack, StackSettings

folder = Path(sys.argv[1])
stack = EmbeddedStack(StackSettings(folder, folder / "world.json", frozenset(), 10.0, 1))
system = stack.start()
pids = [process.pid for process in system.processes.values()] + [stack.guardian.pid]
print(json.dumps({"pids": pids, "admin": system.admin_database_url}), flush=True)
time.sleep(600)
"""


def _settings(folder: Path, flaws: frozenset[str] = frozenset()) -> StackSettings:
    folder.mkdir(exist_ok=True)
    world = folder / "world.json"
    world.write_text(json.dumps(_WORLD))
    return StackSettings(run_dir=folder, world_file=world, flaws=flaws, time_scale=10.0, seed=1)


@pytest.fixture(scope="module", autouse=True)
def temporary_files() -> Iterator[Path]:
    """A place of our own for temporary files, for all to enter, so that runs beside these tests do not count."""
    with (
        tempfile.TemporaryDirectory(prefix="slotproof-tests-", dir="/var/tmp") as name,
        pytest.MonkeyPatch.context() as m,
    ):
        place = Path(name)
        place.chmod(0o711)
        m.setenv("TMPDIR", name)
        m.setattr("tempfile.tempdir", name)
        yield place


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, temporary_files: Path) -> Iterator[System]:
    with EmbeddedStack(_settings(tmp_path_factory.mktemp("run"))) as stack:
        yield stack.start()
        assert stack.dead() == []


def test_the_service_answers_through_its_proxy_with_its_flaws_and_scale(system: System) -> None:
    health = httpx.get(f"{system.service.url}/healthz", trust_env=False).json()
    assert health["flaws"] == []
    assert health["time_scale"] == system.time_scale == 10.0


def test_every_link_leads_to_its_server(system: System) -> None:
    assert set(system.links) == set(LinkName)
    for name in (LinkName.CALCOM, LinkName.RETELL):
        assert httpx.get(f"{system.link(name).listen.url}/", trust_env=False).status_code < 500
    with socket.create_connection(
        (system.link(LinkName.REDIS).listen.host, system.link(LinkName.REDIS).listen.port)
    ) as c:
        c.sendall(b"PING\r\n")
        assert c.recv(16).startswith(b"+PONG")
    proxied = system.database_url.replace(
        f":{system.link(LinkName.POSTGRES).upstream.port}/", f":{system.link(LinkName.POSTGRES).listen.port}/"
    )
    with psycopg.connect(proxied) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_the_service_reaches_its_database_and_redis_through_the_proxies_only(system: System) -> None:
    connections = psutil.Process(system.processes["service"].pid).net_connections(kind="tcp")
    dialled = {c.raddr.port for c in connections if c.raddr and c.status == psutil.CONN_ESTABLISHED}
    assert system.link(LinkName.POSTGRES).listen.port in dialled
    assert not dialled & {system.link(name).upstream.port for name in LinkName}


def test_everything_listens_on_loopback_only(system: System) -> None:
    for process in system.processes.values():
        for connection in psutil.Process(process.pid).net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip == "127.0.0.1", process


def test_the_master_data_are_there_and_the_admin_is_a_superuser(system: System) -> None:
    with psycopg.connect(system.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM appointment_history").fetchone() == (0,)
    with psycopg.connect(system.admin_database_url) as connection:
        assert connection.execute("SHOW is_superuser").fetchone() == ("on",)
        assert connection.execute("SHOW max_connections").fetchone() == (str(StackSettings.max_connections),)


def test_the_stubs_tell_their_state(system: System) -> None:
    assert system.calcom_control is not None
    state = httpx.get(f"{system.calcom_control.url}/control/state", trust_env=False).json()
    assert state["bookings_live"] == 0
    assert state["requests_per_min"] == 1200


def test_logs_and_traces_lie_in_the_run_folder(system: System) -> None:
    for process in system.processes.values():
        assert process.log is not None
        assert process.log.is_file()
    logs = system.processes["service"].log
    assert logs is not None
    assert (logs.parent.parent / "ledger" / "calcom.jsonl").is_file()


def test_two_stacks_at_once_keep_apart_and_leave_nothing(system: System, tmp_path: Path, temporary_files: Path) -> None:
    before = _entries(temporary_files)
    with EmbeddedStack(_settings(tmp_path / "run", frozenset({"no_exclusion_constraint"}))) as stack:
        other = stack.start()
        assert httpx.get(f"{other.service.url}/healthz", trust_env=False).json()["flaws"] == ["no_exclusion_constraint"]
        assert httpx.get(f"{system.service.url}/healthz", trust_env=False).json()["flaws"] == []
        pids = [process.pid for process in other.processes.values()]
        assert _entries(temporary_files) > before
        with pytest.raises(StackError, match="started already"):
            stack.start()
        stack.stop()
        stack.stop()
    assert not any(_runs(pid) for pid in pids)
    assert _entries(temporary_files) == before
    assert httpx.get(f"{system.service.url}/healthz", trust_env=False).status_code == 200


def test_a_dead_server_is_told_with_its_log_and_a_wedged_toxiproxy_comes_back(tmp_path: Path) -> None:
    with EmbeddedStack(_settings(tmp_path / "run")) as stack:
        system = stack.start()
        stack.restart_toxiproxy()
        assert httpx.get(f"{system.service.url}/healthz", trust_env=False).status_code == 200
        assert system.processes["toxiproxy"].pid == _owner_of(system.toxiproxy.port, system)
        os.kill(system.processes["valkey"].pid, signal.SIGKILL)
        _await_true(lambda: [process.name for process in stack.dead()] == ["valkey"])
        log = stack.dead()[0].log
        assert log is not None
        assert log_tail(log)


def test_a_service_that_cannot_start_is_an_error_with_its_log_and_leaves_nothing(
    tmp_path: Path, temporary_files: Path
) -> None:
    before = _entries(temporary_files)
    settings = _settings(tmp_path / "run", frozenset({"no_such_flaw"}))
    with pytest.raises(StackError) as failed, EmbeddedStack(settings) as stack:
        stack.start()
    assert "no_such_flaw" in (failed.value.hint or "")
    assert stack.dead() == []
    assert _entries(temporary_files) == before


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_killed_harness(tmp_path: Path, temporary_files: Path, ending: signal.Signals) -> None:
    before = _entries(temporary_files)
    settings = _settings(tmp_path / "run")
    with subprocess.Popen(
        [sys.executable, "-c", _HARNESS, str(settings.run_dir)], stdout=subprocess.PIPE, text=True
    ) as harness:
        assert harness.stdout is not None
        told = json.loads(harness.stdout.readline())
        # PostgreSQL's own processes, which lead sessions of their own, and an open session count too.
        with contextlib.closing(psycopg.connect(told["admin"], autocommit=True)) as session:
            backends = [pid for (pid,) in session.execute("SELECT pid FROM pg_stat_activity").fetchall()]
            harness.send_signal(ending)
            harness.wait(_DEADLINE_S)
        _await_true(lambda: not any(_runs(pid) for pid in [*told["pids"], *backends]))
        _await_true(lambda: _entries(temporary_files) == before)


def _entries(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def _owner_of(port: int, system: System) -> int | None:
    for process in system.processes.values():
        for connection in psutil.Process(process.pid).net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                return process.pid
    return None


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _await_true(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.01)
