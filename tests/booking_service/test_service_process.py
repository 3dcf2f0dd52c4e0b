"""The command line: seed, serve on an inherited socket, drain on SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import httpx
from tests.booking_service.kit.faulty_link import Damage, FaultyLink
from tests.booking_service.kit.harness import API_KEY, Caller

SCALE = 10.0


@asynccontextmanager
async def process(environ: dict[str, str]) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        descriptor = listening.fileno()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        command = (sys.executable, "-m", "booking_service", "--fd", str(descriptor))
        server = await asyncio.create_subprocess_exec(
            *command, env=environ, pass_fds=(descriptor,), stderr=asyncio.subprocess.PIPE
        )
    try:
        assert server.stderr is not None
        async with asyncio.timeout(20):
            while b"booking_service ready" not in (line := await server.stderr.readline()):
                assert line, "the service ended before it was ready"
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            yield server, client
    finally:
        if server.returncode is None:
            server.kill()
        await server.communicate()


async def test_seed_serve_drain(
    database_url: str, redis_url: str, link: FaultyLink, world_file: Path, ten: datetime
) -> None:
    environ = {
        **os.environ,
        "BOOKING_DATABASE_URL": database_url,
        "BOOKING_REDIS_URL": redis_url,
        "BOOKING_CALCOM_URL": link.url,
        "BOOKING_RETELL_URL": "http://127.0.0.1:9",
        "BOOKING_RETELL_API_KEY": API_KEY,
        "BOOKING_FLAWS": "",
        "BOOKING_TIME_SCALE": str(SCALE),
    }
    command = (sys.executable, "-m", "booking_service", "seed", str(world_file))
    for _ in range(2):
        seed = await asyncio.create_subprocess_exec(*command, env=environ)
        assert await seed.wait() == 0
    async with process(environ) as (server, client):
        health = (await client.get("/healthz")).json()
        assert (health["flaws"], health["time_scale"]) == ([], SCALE)
        assert (await Caller(client).book(ten)).code == "confirmed"

        link.damage = Damage.HOLD_REQUEST
        undecided = asyncio.create_task(Caller(client).book(ten.replace(hour=12)))
        async with asyncio.timeout(10):
            while link.count("POST", "/v2/bookings") < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        server.send_signal(signal.SIGTERM)
        link.let_go.set()
        assert (await undecided).code in ("confirmed", "pending")
        async with asyncio.timeout(10):
            assert await server.wait() in (0, -signal.SIGTERM)  # uvicorn raises the signal again at the end
