"""Loopback ports: sockets that a child inherits, and servers that must be told a port number."""

from __future__ import annotations

import socket
from collections.abc import Callable

import psutil

from slotproof.errors import StackError
from slotproof.stack.processes import Child, await_ready

LOOPBACK = "127.0.0.1"
_BACKLOG = 4096
_ATTEMPTS = 5
_CONFLICT = ("address already in use", "could not bind")


def listening_socket() -> socket.socket:
    """A listening loopback socket on a port that the system chose, for a child to inherit: no race for the port.

    Close it here once the child has it, or connections to a dead child would hang instead of being refused.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((LOOPBACK, 0))
    listener.listen(_BACKLOG)
    return listener


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def free_port() -> int:
    """A loopback port that is free at this moment; somebody else may take it before its user does."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return port_of(probe)


def listens(pid: int, port: int) -> bool:
    """This very process listens on the port: an answer on it comes from ours, not from another run's server."""
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        # The kernel denies a look at a child that has just died and was not yet waited for.
        return False
    return any(connection.status == psutil.CONN_LISTEN and connection.laddr.port == port for connection in connections)


class PortedServer:
    """A server that takes a port number: started on a free one, and again on another when somebody was faster."""

    def __init__(self, start: Callable[[int], Child]) -> None:
        self._start = start
        self._attempts = 0
        self.port = 0
        self.child = self._begin()

    def _begin(self) -> Child:
        self._attempts += 1
        self.port = free_port()
        return self._start(self.port)

    def restart(self) -> None:
        """Start it on the same port, after its end; nobody else's port will do, so a taken one is an error."""
        self._attempts = _ATTEMPTS
        self.child = self._start(self.port)

    def await_listening(self, until: float) -> None:
        """Raises StackError when it dies for another reason than a taken port, or `until` (monotonic s) passes."""
        while True:
            try:
                await_ready(self.child, lambda: listens(self.child.pid, self.port), until)
            except StackError:
                if self.child.alive or self._attempts >= _ATTEMPTS or not self._lost_the_port():
                    raise
                self.child = self._begin()
            else:
                return

    def _lost_the_port(self) -> bool:
        tail = "\n".join(self.child.tail()).lower()
        return any(sign in tail for sign in _CONFLICT)
