"""A running PostgreSQL: TCP on loopback only, settings for a short life (FACTS-stack.md section 1)."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import psycopg

from slotproof.stack.ports import LOOPBACK, PortedServer
from slotproof.stack.postgres_files import DATABASE, ROLE, SUPERUSER, server_environment, server_user
from slotproof.stack.processes import Child, Command, await_ready

_CONNECT_TIMEOUT_S = 3
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    # A crash of the server, which faults cause, loses nothing without fsync; only a crash of the machine would.
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "64MB",
    # In the data directory, so that a killed server leaves nothing in /dev/shm.
    "dynamic_shared_memory_type": "mmap",
    "max_parallel_workers_per_gather": "0",
    "io_method": "sync",
    "jit": "off",
}


class Postgres:
    """A server on `data`, a copy of the template; `password` is that of both roles.

    The server ends at once on SIGQUIT and cleans up its shared memory, which SIGKILL would leave behind.
    """

    def __init__(
        self,
        spawn: Callable[[Command], Child],
        binary: Path,
        data: Path,
        log: Path,
        password: str,
        max_connections: int,
    ) -> None:
        self._password = password
        self.version = ""
        settings = _SETTINGS | {"max_connections": str(max_connections)}

        def start(port: int) -> Child:
            options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
            return spawn(
                Command(
                    "postgres",
                    [str(binary), "-D", str(data), "-p", str(port), *options],
                    log,
                    server_environment(),
                    user=server_user(),
                    stop_signal=signal.SIGQUIT,
                    death_signal=signal.SIGQUIT,
                )
            )

        self._server = PortedServer(start)

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def child(self) -> Child:
        return self._server.child

    @property
    def url(self) -> str:
        """The service's role and database, straight to the server."""
        return self.url_through(self.port)

    @property
    def admin_url(self) -> str:
        """The superuser, who may use the connections that are reserved for superusers."""
        return f"postgresql://{SUPERUSER}:{self._password}@{LOOPBACK}:{self.port}/{DATABASE}"

    def url_through(self, port: int) -> str:
        """The service's role and database by way of another loopback port, a proxy's."""
        return f"postgresql://{ROLE}:{self._password}@{LOOPBACK}:{port}/{DATABASE}"

    def await_ready(self, until: float) -> None:
        """Until both roles get a query answered. Raises StackError."""
        self._server.await_listening(until)
        await_ready(self._server.child, self._answers, until)

    def _answers(self) -> bool:
        try:
            for url in (self.url, self.admin_url):
                with psycopg.connect(url, connect_timeout=_CONNECT_TIMEOUT_S) as connection:
                    connection.execute("SELECT 1")
                    self.version = connection.info.parameter_status("server_version") or ""
        except psycopg.OperationalError:
            return False
        return True
