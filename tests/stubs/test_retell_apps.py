"""Retell's get-call on a real server (FACTS-calcom-retell.md sections 2.1 and 2.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from retell_stub.apps import api_app, control_app
from retell_stub.calls import Calls

CALL = {"call_id": "call_1", "call_type": "phone_call", "call_status": "ongoing", "agent_id": "a", "agent_version": 1}


@dataclass
class RunningRetell:
    api: httpx.AsyncClient
    control: httpx.AsyncClient


@pytest_asyncio.fixture
async def retell(serving: Callable[..., Any]) -> AsyncIterator[RunningRetell]:
    calls = Calls()
    headers = {"Authorization": "Bearer key_1"}
    async with (
        serving([api_app(calls, "key_1"), control_app(calls)]) as (api_url, control_url),
        httpx.AsyncClient(base_url=api_url, headers=headers) as api,
        httpx.AsyncClient(base_url=control_url) as control,
    ):
        yield RunningRetell(api, control)


async def test_a_call_is_shown_as_it_was_put_last(retell: RunningRetell) -> None:
    await retell.control.put("/control/calls/call_1", json=CALL)
    put = await retell.control.put("/control/calls/call_1", json={**CALL, "call_status": "ended"})

    reply = await retell.api.get("/v2/get-call/call_1")

    assert put.status_code == 204
    assert reply.status_code == 200
    assert reply.json() == {**CALL, "call_status": "ended"}


@pytest.mark.parametrize(
    ("path", "key", "status", "text"),
    [
        ("/v2/get-call/unknown", "Bearer key_1", 422, "Cannot find requested asset under given api key."),
        ("/v2/get-call/unknown", "Bearer other", 401, "API key is missing or invalid."),
        ("/v2/get-call/unknown", "", 401, "API key is missing or invalid."),
        ("/v2/nothing", "Bearer key_1", 404, "The requested resource was not found."),
    ],
)
async def test_refusals(retell: RunningRetell, path: str, key: str, status: int, text: str) -> None:
    reply = await retell.api.get(path, headers={"Authorization": key})
    assert reply.status_code == status
    assert reply.json() == {"status": "error", "message": text}


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"call_id": "call_2"}'])
async def test_what_is_no_such_call_is_not_put(retell: RunningRetell, content: bytes) -> None:
    assert (await retell.control.put("/control/calls/call_1", content=content)).status_code == 422
    assert (await retell.api.get("/v2/get-call/call_1")).status_code == 422
