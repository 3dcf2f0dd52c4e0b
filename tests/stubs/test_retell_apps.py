"""Retell's REST API on a real server (FACTS-calcom-retell.md sections 2.1, 2.2 and 2.7)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
import pytest
import pytest_asyncio

from retell_stub.stub import RetellStub

CALL = {"call_id": "call_1", "call_type": "phone_call", "call_status": "ongoing", "agent_id": "a", "agent_version": 1}


@dataclass
class RunningRetell:
    api: httpx.AsyncClient
    control: httpx.AsyncClient


@pytest_asyncio.fixture
async def retell(serving: Callable[..., Any]) -> AsyncIterator[RunningRetell]:
    stub = RetellStub("key_1", now_ms=count(1_700_000_000_000, 60_000).__next__)
    headers = {"Authorization": "Bearer key_1"}
    async with (
        serving([stub.api, stub.control]) as (api_url, control_url),
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


async def _phone(retell: RunningRetell, **fields: Any) -> dict[str, Any]:
    body = {"from_number": "+4930123450", "to_number": "+49301234599", **fields}
    reply = await retell.api.post("/v2/create-phone-call", json=body)
    assert reply.status_code == 201
    call: dict[str, Any] = reply.json()
    return call


async def test_a_phone_call_is_registered_and_can_be_looked_up(retell: RunningRetell) -> None:
    call = await _phone(retell, metadata={"a": 1}, override_agent_id="agent_7")
    assert call["call_status"] == "registered"
    assert call["direction"] == "outbound"
    assert call["agent_id"] == "agent_7"
    assert call["metadata"] == {"a": 1}
    assert "retell_llm_dynamic_variables" not in call  # omitted when never given
    assert (await retell.api.get(f"/v2/get-call/{call['call_id']}")).json() == call


async def test_the_same_idempotency_key_starts_no_other_call_within_an_hour(retell: RunningRetell) -> None:
    first = await _phone(retell, idempotency_key="k")
    assert (await _phone(retell, idempotency_key="k"))["call_id"] == first["call_id"]
    assert (await _phone(retell, idempotency_key="other"))["call_id"] != first["call_id"]
    for _ in range(60):  # each look at the clock is a minute
        if (await _phone(retell, idempotency_key="k"))["call_id"] != first["call_id"]:
            break
    else:
        pytest.fail("the key never expired")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/create-phone-call", {}),
        ("/v2/create-phone-call", {"from_number": "030 1234", "to_number": "+4930123450"}),
        (
            "/v2/create-phone-call",
            {"from_number": "+4930123450", "to_number": "+4930123451", "retell_llm_dynamic_variables": {"n": 1}},
        ),
        ("/v2/register-phone-call", {}),
        ("/v3/create-web-call", {}),
        ("/v2/create-web-call", {"agent_id": 3}),
        ("/v3/list-calls", {"limit": 0}),
        ("/v3/list-calls", {"sort_order": "up"}),
        ("/v3/list-calls", {"pagination_key": "call_unknown"}),
        ("/v3/list-calls", {"filter_criteria": {"nothing": {}}}),
        ("/v3/list-calls", {"filter_criteria": {"call_status": ["ended"]}}),
        ("/v3/list-calls", {"filter_criteria": {"call_id": {"type": "string", "op": "in", "value": "x"}}}),
        ("/v3/list-calls", {"filter_criteria": {"duration_ms": {"type": "range", "op": "bt", "value": 3}}}),
        ("/v3/list-calls", {"filter_criteria": {"agent": "a"}}),
        ("/v2/list-calls", {"filter_criteria": {"call_status": "ended"}}),
        ("/v2/list-calls", []),
    ],
)
async def test_what_the_reference_does_not_allow_is_a_400(retell: RunningRetell, path: str, body: Any) -> None:
    reply = await retell.api.post(path, json=body)
    assert reply.status_code == 400
    assert reply.json() == {"status": "error", "message": "Invalid request format, please check API reference."}


async def test_web_calls_of_both_generations(retell: RunningRetell) -> None:
    current = (await retell.api.post("/v3/create-web-call", json={"agent_id": "a"})).json()
    assert current.keys() == {"access_token", "call_id", "expires_at", "ice_servers", "transport"}
    older = (await retell.api.post("/v2/create-web-call", json={"agent_id": "a"})).json()
    assert older["call_type"] == "web_call"
    assert older["access_token"]


async def test_lists_go_on_where_the_page_ended(retell: RunningRetell) -> None:
    made = [(await _phone(retell))["call_id"] for _ in range(5)]
    page = (await retell.api.post("/v3/list-calls", json={"limit": 2, "include_total": True})).json()
    assert [call["call_id"] for call in page["items"]] == [made[4], made[3]]
    assert page["has_more"]
    assert page["total"] == 5
    body = {"limit": 3, "pagination_key": page["pagination_key"]}
    rest = (await retell.api.post("/v3/list-calls", json=body)).json()
    assert [call["call_id"] for call in rest["items"]] == [made[2], made[1], made[0]]
    assert rest["has_more"] is False
    assert "pagination_key" not in rest
    assert "total" not in rest
    older = (await retell.api.post("/v2/list-calls", json={"sort_order": "ascending", "limit": 2})).json()
    assert [call["call_id"] for call in older] == made[:2]


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        ({"call_status": {"type": "enum", "op": "in", "value": ["ended"]}}, ["call_1"]),
        ({"call_id": {"type": "string", "op": "sw", "value": "call_"}}, ["call_1", "call_2"]),
        ({"call_id": {"type": "string", "op": "ne", "value": "call_1"}}, ["call_2"]),
        ({"duration_ms": {"type": "number", "op": "gt", "value": 50}}, ["call_1"]),
        ({"duration_ms": {"type": "range", "op": "bt", "value": [50, 90]}}, []),
        ({"call_successful": {"type": "boolean", "op": "eq", "value": True}}, ["call_1"]),
        ({"agent": [{"agent_id": "a", "version": [2]}]}, ["call_2"]),
        ({"agent": [{"agent_id": "a"}], "from_number": {"type": "string", "op": "ew", "value": "2"}}, ["call_2"]),
    ],
)
async def test_filters_of_the_current_generation(retell: RunningRetell, criteria: Any, found: list[str]) -> None:
    ended = {"call_status": "ended", "duration_ms": 100, "call_analysis": {"call_successful": True}}
    await retell.control.put("/control/calls/call_1", json={**CALL, **ended, "from_number": "+491"})
    second = {**CALL, "call_id": "call_2", "agent_version": 2, "from_number": "+492"}
    await retell.control.put("/control/calls/call_2", json=second)
    body = {"filter_criteria": criteria, "sort_order": "ascending"}
    page = (await retell.api.post("/v3/list-calls", json=body)).json()
    assert [call["call_id"] for call in page["items"]] == found


async def test_filters_of_the_older_generation(retell: RunningRetell) -> None:
    await retell.control.put("/control/calls/call_1", json={**CALL, "start_timestamp": 5})
    await retell.control.put("/control/calls/call_2", json={**CALL, "call_id": "call_2", "start_timestamp": 50})
    criteria = {"agent_id": ["a"], "start_timestamp": {"lower_threshold": 10}}
    page = (await retell.api.post("/v2/list-calls", json={"filter_criteria": criteria})).json()
    assert [call["call_id"] for call in page] == ["call_2"]


async def test_calls_are_updated_stopped_counted_and_deleted(retell: RunningRetell) -> None:
    call_id = (await _phone(retell))["call_id"]
    assert (await retell.api.get("/get-concurrency")).json()["current_concurrency"] == 1
    updated = await retell.api.patch(f"/v2/update-call/{call_id}", json={"metadata": {"b": 2}, "call_status": "ended"})
    assert updated.json()["metadata"] == {"b": 2}
    assert updated.json()["call_status"] == "registered"  # not for the caller to say
    assert (await retell.api.post(f"/v2/stop-call/{call_id}")).status_code == 204
    assert (await retell.api.get(f"/v2/get-call/{call_id}")).json()["disconnection_reason"] == "manual_stopped"
    assert (await retell.api.get("/get-concurrency")).json()["current_concurrency"] == 0
    assert (await retell.api.delete(f"/v2/delete-call/{call_id}")).status_code == 204
    for method, path in (("PATCH", "update-call"), ("DELETE", "delete-call"), ("POST", "stop-call")):
        assert (await retell.api.request(method, f"/v2/{path}/{call_id}", json={})).status_code == 422


@pytest.mark.parametrize("status", [402, 429, 500])
async def test_so_many_requests_are_refused_as_told(retell: RunningRetell, status: int) -> None:
    assert (await retell.control.put(f"/control/refusals/{status}", json={"count": 2})).status_code == 204
    replies = [await retell.api.get("/get-concurrency") for _ in range(3)]
    assert [reply.status_code for reply in replies] == [status, status, 200]


@pytest.mark.parametrize(("status", "body"), [(418, {"count": 1}), (429, {}), (429, {"count": -1}), (429, [])])
async def test_other_refusals_are_not_taken(retell: RunningRetell, status: int, body: Any) -> None:
    assert (await retell.control.put(f"/control/refusals/{status}", json=body)).status_code == 422
