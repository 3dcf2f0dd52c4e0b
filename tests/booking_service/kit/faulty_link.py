"""A relay in front of the Cal.com stub that damages replies as a test says. Toxiproxy's faults, without Toxiproxy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum

import aiohttp
from aiohttp import web
from jsonschema import ValidationError
from tests.stubs.calcom_shapes import validate

_PASSED_ON = ("Authorization", "cal-api-version", "Content-Type")


class Damage(StrEnum):
    NONE = "none"
    LOSE_REQUEST = "lose_request"
    """The connection ends before Cal.com hears of it."""
    LOSE_REPLY = "lose_reply"
    """Cal.com did it, and the connection ends without a reply."""
    SERVER_ERROR = "server_error"
    """Cal.com did it, and the reply is a 500."""
    MALFORMED = "malformed"
    RATE_LIMITED = "rate_limited"
    HOLD_REQUEST = "hold_request"
    """The request reaches Cal.com only when `let_go` is set, whether or not the client still waits."""


class FaultyLink:
    """`damage` is done to changes (POST), after the first `spared`; reads pass, unless `reads_fail`.

    What Cal.com answers is held against the schemas of tests/stubs; `misshapen` has what they refuse.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self.url = ""
        self.damage = Damage.NONE
        self.spared = 0
        self.reads_fail = False
        self.requests: list[tuple[str, str]] = []
        self.misshapen: list[str] = []
        self.let_go = asyncio.Event()
        self._detached: set[asyncio.Task[tuple[int, bytes]]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FaultyLink]:
        async with aiohttp.ClientSession() as self._session:
            application = web.Application()
            application.router.add_route("*", "/{path:.*}", self._handle)
            runner = web.AppRunner(application, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            self.url = f"http://127.0.0.1:{port}"
            try:
                yield self
            finally:
                self.let_go.set()
                await asyncio.gather(*self._detached, return_exceptions=True)
                await runner.cleanup()

    def count(self, method: str, path_end: str) -> int:
        return sum(1 for seen, path in self.requests if seen == method and path.endswith(path_end))

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        body = await request.read()
        damage = self.damage if request.method == "POST" else Damage.NONE
        if damage is not Damage.NONE and self.spared:
            self.spared -= 1
            damage = Damage.NONE
        if request.method == "GET" and self.reads_fail:
            return web.Response(status=502)
        if damage is Damage.RATE_LIMITED:
            return web.Response(status=429, headers={"X-RateLimit-Reset-Default": "1"}, text="{}")
        if damage is Damage.LOSE_REQUEST:
            return _cut(request)
        forward = asyncio.ensure_future(self._forward(request, body, hold=damage is Damage.HOLD_REQUEST))
        self._detached.add(forward)
        forward.add_done_callback(self._detached.discard)
        status, reply = await asyncio.shield(forward)
        match damage:
            case Damage.LOSE_REPLY:
                return _cut(request)
            case Damage.SERVER_ERROR:
                return web.Response(status=500, text='{"statusCode":500,"message":"Internal server error"}')
            case Damage.MALFORMED:
                return web.Response(status=status, text='{"status":"success","data":{"uid"')
            case _:
                return web.Response(status=status, body=reply, content_type="application/json")

    async def _forward(self, request: web.Request, body: bytes, *, hold: bool) -> tuple[int, bytes]:
        if hold:
            await self.let_go.wait()
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        url = self._upstream + request.path_qs
        async with self._session.request(request.method, url, data=body or None, headers=headers) as response:
            reply = await response.read()
        try:
            validate(request.method, request.path, response.status, reply)
        except (LookupError, ValidationError) as refusal:
            self.misshapen.append(f"{request.method} {request.path}: {refusal}")
        return response.status, reply


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
