"""Retell's official clients believe the stub, and the signatures that the load makes (FACTS section 2.8 and 2.4; the
recorded vectors are in test_load_words)."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import retell

from retell_stub.stub import RetellStub
from slotproof.load.signature import sign

KEY = "key_1"
BODY = '{"event":"call_ended","call":{"call_id":"call_ü"}}'
NODE = Path(__file__).parent / "retell_node"


@pytest_asyncio.fixture
async def base_url(serving: Callable[..., Any]) -> AsyncIterator[str]:
    stub = RetellStub(KEY)
    async with serving([stub.api, stub.control]) as (url, _):
        yield url


@pytest.fixture
def client() -> retell.Retell:
    return retell.Retell(api_key=KEY)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _signatures() -> list[tuple[str, str, bool]]:
    """(body, signature, whether it is good): ours, tampered, stale either way, forged, malformed."""
    now = _now_ms()
    good = sign(BODY.encode(), KEY, now)
    return [
        (BODY, good, True),
        (BODY, sign(BODY.encode(), KEY, now - 290_000), True),
        (BODY + " ", good, False),
        (BODY, sign(BODY.encode(), KEY, now - 310_000), False),
        (BODY, sign(BODY.encode(), KEY, now + 310_000), False),
        (BODY, sign(BODY.encode(), "another key", now), False),
        (BODY, good.replace(f"v={now}", f"v={now + 1}"), False),
        (BODY, good.partition(",")[2], False),
        (BODY, "", False),
    ]


async def test_the_python_client_creates_retrieves_and_lists_calls(base_url: str) -> None:
    async with retell.AsyncRetell(api_key=KEY, base_url=base_url, max_retries=0) as client:
        phone = await client.call.create_phone_call(from_number="+4930123450", to_number="+49301234599")
        web = await client.call.create_web_call(agent_id="agent_1")
        found = await client.call.retrieve(phone.call_id)
        first = await client.call.list(limit=1, include_total=True)
        rest = await client.call.list(pagination_key=first.pagination_key or "", sort_order="descending")
        ended = await client.call.list(
            filter_criteria={"call_status": {"type": "enum", "op": "in", "value": ["ended"]}}
        )
        limits = await client.concurrency.retrieve()
    assert phone.call_status == "registered"
    assert phone.direction == "outbound"
    assert web.transport == "gateway"
    assert found.call_id == phone.call_id
    assert first.total == 2
    assert {call.call_id for call in [*first.items, *rest.items]} == {phone.call_id, web.call_id}
    assert not ended.items
    assert limits.current_concurrency == 2


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, retell.RateLimitError), (500, retell.InternalServerError), (402, retell.APIStatusError)],
)
async def test_the_python_client_knows_the_stub_s_errors(
    serving: Callable[..., Any], status: int, error: type[Exception]
) -> None:
    stub = RetellStub(KEY)
    async with (
        serving([stub.api, stub.control]) as (url, control),
        retell.AsyncRetell(api_key=KEY, base_url=url, max_retries=0) as client,
    ):
        await client._client.put(f"{control}/control/refusals/{status}", json={"count": 1})
        with pytest.raises(error):
            await client.call.retrieve("call_1")
        with pytest.raises(retell.UnprocessableEntityError):
            await client.call.retrieve("call_1")


async def test_a_bad_key_is_an_authentication_error(base_url: str) -> None:
    async with retell.AsyncRetell(api_key="other", base_url=base_url, max_retries=0) as client:
        with pytest.raises(retell.AuthenticationError):
            await client.call.retrieve("call_1")


def test_the_python_client_verifies_ours_and_no_others(client: retell.Retell) -> None:
    signatures = _signatures()
    verify: Callable[[str, str, str], bool] = client.verify
    assert [verify(body, KEY, signature) for body, signature, _ in signatures] == [good for _, _, good in signatures]


@pytest.fixture(scope="session")
def node_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the Node check with the official client installed in it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node is not here: the npm client is checked where it is")
    folder = tmp_path_factory.mktemp("retell_node") / "check"
    shutil.copytree(NODE, folder)
    install = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, f"npm cannot install retell-sdk: {done.stdout}{done.stderr}"
    return folder


async def test_the_node_client_believes_the_stub_and_our_signatures(base_url: str, node_client: Path) -> None:
    signatures = _signatures()
    asked = {
        "base_url": base_url,
        "api_key": KEY,
        "signatures": [{"body": body, "signature": signature} for body, signature, _ in signatures],
    }
    node = await asyncio.create_subprocess_exec(
        "node", "check.mjs", cwd=node_client,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await asyncio.wait_for(node.communicate(json.dumps(asked).encode()), 60)
    assert node.returncode == 0, errors.decode()
    saw = json.loads(output)
    assert saw["found"] == saw["phone"]
    assert saw["web"]["transport"] == "gateway"
    assert [call["call_id"] for call in saw["list"]["items"]] == [saw["web"]["call_id"]]
    assert saw["list"]["has_more"] is True
    assert saw["unknown"] == 422
    assert saw["verified"] == [good for _, _, good in signatures]
