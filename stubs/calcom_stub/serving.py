"""Serves several ASGI apps in one process and one event loop, and stops fast. Used by both stubs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import uvicorn
import uvloop
from starlette.types import ASGIApp

KEEP_ALIVE_S = 75
BACKLOG = 2048


@dataclass(frozen=True)
class Listener:
    app: ASGIApp
    sock: socket.socket


class _Server(uvicorn.Server):
    """A server that leaves signals to whoever runs it and says when it serves."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(
            uvicorn.Config(
                listener.app,
                http="httptools",
                ws="none",
                lifespan="off",
                access_log=False,
                log_level="warning",
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=0,
            )
        )
        self.serving = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.serving.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bound_socket(fd: int | None, port: int | None) -> socket.socket:
    """The inherited listening socket `fd`, or a new one on 127.0.0.1:`port`. Raises OSError."""
    if fd is not None:
        return socket.socket(fileno=fd)
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port or 0))
    return sock


async def serve(listeners: Sequence[Listener], stop: asyncio.Event, on_serving: Callable[[], None]) -> None:
    """Serves until `stop`; `on_serving` is called once all listeners accept. Requests still running are cut off."""
    servers = [_Server(listener) for listener in listeners]
    async with asyncio.TaskGroup() as group:
        for server, listener in zip(servers, listeners, strict=True):
            group.create_task(server.serve([listener.sock]))
        for server in servers:
            await server.serving.wait()
        on_serving()
        await stop.wait()
        # What the stop cuts off is meant to be cut off: not an error worth a traceback each.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        for server in servers:
            server.should_exit = True


def run(listeners: Sequence[Listener], on_serving: Callable[[], None]) -> None:
    """Runs an event loop that serves until SIGTERM or SIGINT."""
    uvloop.run(_run_until_signal(listeners, on_serving))


async def _run_until_signal(listeners: Sequence[Listener], on_serving: Callable[[], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(listeners, stop, on_serving)
