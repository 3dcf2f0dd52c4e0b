"""PostgreSQL, Valkey and the ports, on real servers; the Toxiproxy server's ways to be had."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from slotproof.errors import MissingPartError, StackError
from slotproof.stack import toxiproxy_server
from slotproof.stack.guardian import Guardian
from slotproof.stack.ports import PortedServer, free_port, listening_socket, listens, port_of
from slotproof.stack.postgres import Postgres
from slotproof.stack.postgres_files import installation, server_user, template
from slotproof.stack.processes import Child, Command, run_to_end
from slotproof.stack.scratch import copy_command, scratch_directory
from slotproof.stack.toxiproxy_server import ToxiproxyServer, obtain_server
from slotproof.stack.valkey import Valkey

Start = Callable[[Command], Child]

_SHARED_MEMORY = Path("/proc/sysvipc/shm")
_LISTEN = """
import socket, sys, time
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    time.sleep(600)
"""


@pytest.fixture
def until() -> float:
    return time.monotonic() + 30


@pytest.fixture
def postgres(guardian: Guardian, start: Start, until: float, tmp_path: Path) -> Iterator[Postgres]:
    with scratch_directory(guardian, "slotproof-test-") as scratch:
        programs = installation(guardian) / "bin"
        prepared = template(programs, guardian, lambda text: None)
        run_to_end(copy_command(prepared.data, scratch / "data", tmp_path / "cp.log"), guardian, until)
        log = tmp_path / "postgres.log"
        server = Postgres(start, programs / "postgres", scratch / "data", log, prepared.password, max_connections=20)
        server.await_ready(until)
        yield server
        server.child.popen.send_signal(server.child.command.stop_signal)
        assert server.child.wait(10) is not None


def test_postgres_serves_the_role_and_the_superuser(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        connection.execute("CREATE EXTENSION btree_gist")
        settings = {
            name: connection.execute(f"SHOW {name}").fetchone()
            for name in ("max_connections", "timezone", "server_encoding", "listen_addresses")
        }
        owner = connection.execute("SELECT current_user, current_database()").fetchone()
    assert settings == {
        "max_connections": ("20",),
        "timezone": ("UTC",),
        "server_encoding": ("UTF8",),
        "listen_addresses": ("127.0.0.1",),
    }
    assert owner == ("booking", "booking")
    with psycopg.connect(postgres.admin_url) as connection:
        assert connection.execute("SELECT usesuper FROM pg_user WHERE usename = current_user").fetchone() == (True,)
    assert postgres.version.startswith("18.")


def test_postgres_wants_the_password(postgres: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://postgres:wrong@127.0.0.1:{postgres.port}/booking")


@pytest.mark.skipif(not _SHARED_MEMORY.exists(), reason="the table of shared memory is Linux's")
def test_postgres_leaves_no_shared_memory_behind(postgres: Postgres) -> None:
    child = postgres.child
    assert _shared_memory_of(child.pid)
    child.popen.send_signal(child.command.death_signal)
    assert child.wait(10) is not None
    assert not _shared_memory_of(child.pid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the user")
def test_as_root_postgres_runs_as_another_user(postgres: Postgres) -> None:
    user = server_user()
    assert user is not None
    assert Path(f"/proc/{postgres.child.pid}").stat().st_uid == user.pw_uid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the user")
def test_as_root_the_programs_are_copied_to_where_the_server_user_can_enter(
    guardian: Guardian, until: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0o077)
    try:
        with scratch_directory(guardian, "slotproof-test-") as public:
            monkeypatch.setenv("SLOTPROOF_CACHE", str(public / "cache"))
            monkeypatch.setattr("slotproof.stack.postgres_files.others_may_enter", lambda path: False)
            programs = installation(guardian) / "bin"
            assert programs.is_relative_to(public)
            command = Command("version", [str(programs / "postgres"), "-V"], tmp_path / "log", {}, user=server_user())
            assert run_to_end(command, guardian, until).tail()[0].startswith("postgres (PostgreSQL) 18")
            assert installation(guardian) / "bin" == programs
            assert not (programs.parent / "include").exists()
    finally:
        os.umask(before)


def test_valkey_answers(start: Start, until: float, tmp_path: Path) -> None:
    server = Valkey(start, tmp_path, tmp_path / "valkey.log")
    server.await_ready(until)
    with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
        connection.sendall(b"SET k v NX PX 1000\r\n")
        assert connection.recv(16) == b"+OK\r\n"


def test_toxiproxy_comes_back_on_the_same_port(start: Start, guardian: Guardian, until: float, tmp_path: Path) -> None:
    server = ToxiproxyServer(start, obtain_server(guardian, lambda text: None), tmp_path / "log")
    server.await_ready(until)
    port = server.port
    server.client().create_proxy("a", "127.0.0.1:1")
    server.child.popen.kill()
    server.child.wait(10)
    server.restart(until)
    assert server.port == port
    assert server.client().proxies() == {}


def test_a_socket_is_inherited_and_its_death_is_seen(start: Start, tmp_path: Path) -> None:
    script = "import socket, sys, time; s = socket.socket(fileno=int(sys.argv[1])); c, _ = s.accept(); c.sendall(b'me')"
    with listening_socket() as listener:
        port, descriptor = port_of(listener), listener.fileno()
        command = Command(
            "child", [sys.executable, "-c", script, str(descriptor)], tmp_path / "log", {}, pass_fds=[descriptor]
        )
        child = start(command)
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        assert connection.recv(2) == b"me"
    assert child.wait(10) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 10)


def test_a_taken_port_makes_it_try_another(
    start: Start, until: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening_socket() as taken:
        ports = [port_of(taken), port_of(taken), free_port()]
        monkeypatch.setattr("slotproof.stack.ports.free_port", lambda: ports.pop(0))
        server = PortedServer(lambda port: start(_listener(port, tmp_path / "log")))
        server.await_listening(until)
        assert ports == []
        assert listens(server.child.pid, server.port)
        assert not listens(server.child.pid, port_of(taken))


def test_it_does_not_try_for_ever(start: Start, until: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening_socket() as taken:
        monkeypatch.setattr("slotproof.stack.ports.free_port", lambda: port_of(taken))
        server = PortedServer(lambda port: start(_listener(port, tmp_path / "log")))
        with pytest.raises(StackError, match="ended with code 1"):
            server.await_listening(until)


def test_another_failure_is_not_tried_again(start: Start, until: float, tmp_path: Path) -> None:
    started = []

    def start_broken(port: int) -> Child:
        started.append(port)
        return start(Command("child", [sys.executable, "-c", "raise SystemExit('bad')"], tmp_path / "log", {}))

    with pytest.raises(StackError, match="child"):
        PortedServer(start_broken).await_listening(until)
    assert len(started) == 1


class TestGettingToxiproxy:
    """Without a real build: a `go` of our own stands in for the toolchain."""

    @pytest.fixture(autouse=True)
    def bare_machine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "bin").mkdir()
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        monkeypatch.setenv("SLOTPROOF_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        for tool in ("sh", "mkdir", "sleep", "env"):
            found = shutil.which(tool, path=os.defpath)
            assert found
            (tmp_path / "bin" / tool).symlink_to(found)

    @staticmethod
    def _put(tmp_path: Path, name: str, script: str) -> Path:
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return program

    def test_without_any_way_the_error_names_the_ways(self, guardian: Guardian) -> None:
        with pytest.raises(MissingPartError) as missing:
            obtain_server(guardian, lambda text: None)
        assert all(way in (missing.value.hint or "") for way in ("PATH", "Go", "toxiproxy-build"))

    def test_the_path_comes_first(self, guardian: Guardian, tmp_path: Path) -> None:
        program = self._put(tmp_path, "toxiproxy-server", "exit 0")
        assert obtain_server(guardian, lambda text: None).path == program

    def test_it_is_built_once_with_the_machines_go_settings(
        self, guardian: Guardian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GOPROXY", "https://modules.example")
        monkeypatch.setattr(toxiproxy_server, "_PROGRESS_EVERY_S", 0.05)
        seen = tmp_path / "seen"
        self._put(
            tmp_path,
            "go",
            f'env > {seen}; echo "$@" >> {seen}; echo downloading; sleep 0.2\n'
            'mkdir -p "$GOBIN"; echo x > "$GOBIN/server"',
        )
        said: list[str] = []
        first = obtain_server(guardian, said.append)
        text = seen.read_text()
        assert "GOPROXY=https://modules.example" in text
        assert f"install -ldflags -X github.com/Shopify/toxiproxy/v2.Version=2.12.0 {toxiproxy_server.MODULE}" in text
        assert any("downloading" in line for line in said)
        (tmp_path / "bin" / "go").unlink()
        assert obtain_server(guardian, said.append) == first
        assert sorted(path.name for path in first.path.parent.iterdir()) == [first.path.name, f"{first.path.name}.lock"]

    def test_a_failing_build_says_why_and_leaves_nothing(self, guardian: Guardian, tmp_path: Path) -> None:
        self._put(tmp_path, "go", "echo 'proxy.example: no such host' >&2; exit 1")
        with pytest.raises(MissingPartError, match="no such host") as failed:
            obtain_server(guardian, lambda text: None)
        assert failed.value.hint
        assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]

    def test_without_a_home_go_gets_places_of_its_own(
        self, guardian: Guardian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HOME", "GOPATH", "GOCACHE", "GOFLAGS"):
            monkeypatch.delenv(name, raising=False)
        seen = tmp_path / "seen"
        self._put(tmp_path, "go", f'env > {seen}; mkdir -p "$GOBIN"; echo x > "$GOBIN/server"')
        obtain_server(guardian, lambda text: None)
        assert all(f"{name}={tmp_path / 'cache'}" in seen.read_text() for name in ("GOPATH", "GOCACHE"))


def _listener(port: int, log: Path) -> Command:
    return Command("child", [sys.executable, "-c", _LISTEN, str(port)], log, {})


def _shared_memory_of(creator: int) -> list[str]:
    lines = _SHARED_MEMORY.read_text().splitlines()[1:]
    return [line for line in lines if int(line.split()[4]) == creator]
