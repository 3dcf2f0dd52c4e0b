"""`python -m booking_service --port P` or `--fd N` serves; `python -m booking_service seed world.json` prepares."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import sys
from pathlib import Path

import uvicorn

from booking_service import schema
from booking_service.build import build
from booking_service.settings import Settings
from booking_service.trace import TraceIdFilter

_BACKLOG = 2048
_KEEP_ALIVE_S = 75
"""Longer than callers keep idle connections, so that they close first and no request meets a closing one."""


class _Server(uvicorn.Server):
    """Says when it serves, so that whoever started it need not guess."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            sys.stderr.write("booking_service ready\n")
            sys.stderr.flush()


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s trace=%(trace)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(TraceIdFilter())
    settings = Settings.from_env(os.environ)
    if options.command == "seed":
        world = schema.World.model_validate_json(options.world.read_bytes())
        asyncio.run(_seed(settings, world))
        return 0
    return _serve(settings, _listening_socket(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="booking_service", description=__doc__)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--fd", type=int, help="an inherited listening socket")
    where.add_argument("--port", type=int, default=8000)
    parser.add_argument("--host", default="127.0.0.1")
    commands = parser.add_subparsers(dest="command")
    seed = commands.add_parser("seed", help="create the schema and fill the master data")
    seed.add_argument("world", type=Path)
    return parser


def _listening_socket(options: argparse.Namespace) -> socket.socket:
    if options.fd is not None:
        return socket.socket(fileno=options.fd)
    return socket.create_server((options.host, options.port), backlog=_BACKLOG)


def _serve(settings: Settings, listening: socket.socket) -> int:
    config = uvicorn.Config(
        build(settings, settings.flaws),
        loop="uvloop",
        http="httptools",
        lifespan="on",
        backlog=_BACKLOG,
        access_log=False,
        log_config=None,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.durations.drain_s)),
    )
    server = _Server(config)
    server.run(sockets=[listening])
    return 0 if server.started else 1


async def _seed(settings: Settings, world: schema.World) -> None:
    connection = await schema.connect(settings.database_url)
    try:
        await schema.prepare(connection, overlaps_excluded=True)
        await schema.seed(connection, world)
    finally:
        await connection.close()


if __name__ == "__main__":
    sys.exit(main())
