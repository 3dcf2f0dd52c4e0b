"""The service keeps what its OpenAPI document says, whatever it is sent, with and without Redis.

Schemathesis makes the requests, good and bad ones, from the document; every one is signed as Retell signs.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from requests.auth import AuthBase
from schemathesis import APIOperation, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.booking_service.kit.harness import API_KEY, WEBHOOK_SECRET
from tests.booking_service.kit.servers import CalcomStub, booking_service
from tests.booking_service.kit.world import ANNA, PHONE, SERVICE

from booking_service import signatures
from booking_service.replies import ErrorReply

EXAMPLES = 40
SIGNED = (
    "/webhooks/retell",
    "/webhooks/retell/inbound",
    "/webhooks/calcom",
    "/functions/check_availability",
    "/functions/book_appointment",
    "/functions/cancel_appointment",
    "/functions/reschedule_appointment",
)


CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


REACHED = {
    "/functions/book_appointment": {200, 202, 409, 422},  # a random start is hardly ever on the grid
    "/functions/cancel_appointment": {409},
    "/functions/reschedule_appointment": {409},
}
"""What valid requests must come to at least; the other routes: a success."""


class Signed(AuthBase):
    """Signs the body as it goes out."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        assert isinstance(body, str | bytes)
        raw = body.encode() if isinstance(body, str) else body
        request.headers["X-Cal-Signature-256"] = hmac.digest(WEBHOOK_SECRET.encode(), raw, "sha256").hex()
        request.headers["X-Retell-Signature"] = signatures.sign(raw, API_KEY, time.time_ns() // 1_000_000)
        return request


@pytest.fixture(params=["with redis", "without redis"])
def base_url(
    request: pytest.FixtureRequest, database_url: str, redis_url: str, closed_redis_url: str, calcom: CalcomStub
) -> Iterator[str]:
    redis = redis_url if request.param == "with redis" else closed_redis_url
    with booking_service(
        {
            "BOOKING_DATABASE_URL": database_url,
            "BOOKING_REDIS_URL": redis,
            "BOOKING_CALCOM_URL": calcom.url,
            "BOOKING_RETELL_URL": "http://127.0.0.1:9",
            "BOOKING_RETELL_API_KEY": API_KEY,
            "BOOKING_CALCOM_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "BOOKING_FLAWS": "",
            "BOOKING_TIME_SCALE": "20",
            "BOOKING_CALCOM_REQUESTS_PER_MIN": "100000",
        }
    ) as url:
        yield url


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_request_breaks_what_the_document_says(base_url: str, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{base_url}/openapi.json")
    unsigned = {} if mode is GenerationMode.NEGATIVE else dict.fromkeys(("/healthz", "/metrics"), "GET")
    for path, method in {**unsigned, **dict.fromkeys(SIGNED, "POST")}.items():
        statuses = _tried(schema[path][method], mode)
        if mode is GenerationMode.POSITIVE:
            assert statuses & REACHED.get(path, {200, 202, 204}), (path, statuses)


def _tried(operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode) -> set[int]:
    """The statuses that came. Bad input must be refused with a 4xx."""
    statuses: set[int] = set()

    @seed(20_270_301)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=mode))
    def conforms(case: schemathesis.Case[Any]) -> None:
        if mode is GenerationMode.POSITIVE and isinstance(case.body, dict):
            _aim(case.body)
        reply = case.call(auth=Signed(), timeout=30)
        statuses.add(reply.status_code)
        case.validate_response(reply, checks=CHECKS)
        if _has_bad_body(case):
            assert 400 <= reply.status_code < 500, case.as_curl_command()

    conforms()
    return statuses


def _has_bad_body(case: schemathesis.Case[Any]) -> bool:
    """What else schemathesis makes bad are the signatures, and those `Signed` makes good again."""
    made = case.meta.components.get(ParameterLocation.BODY) if case.meta else None
    return made is not None and made.mode is GenerationMode.NEGATIVE


def _aim(body: dict[str, Any]) -> None:
    """At a branch, a service and a person that there are; or nothing but "not found" would ever be answered."""
    body.get("call", body.get("call_inbound", {}))["to_number"] = PHONE
    arguments = body.get("args", {})
    if "service_id" in arguments:
        arguments["service_id"] = SERVICE
    if "person_id" in arguments:
        arguments["person_id"] = ANNA


def test_what_is_no_call_at_all_is_refused_in_the_one_error_shape(base_url: str) -> None:
    for path in SIGNED:
        for body in (b"", b"[]", b"{", b"\xff", b'{"call":', b"null", b"3", b'{"call": null, "args": {}}'):
            reply = requests.post(f"{base_url}{path}", data=body, auth=Signed(), timeout=30)
            assert 400 <= reply.status_code < 500, (path, body)
            ErrorReply.model_validate(reply.json())


def test_the_document_knows_every_route_and_its_number(base_url: str) -> None:
    document = requests.get(f"{base_url}/openapi.json", timeout=30).json()
    assert set(document["paths"]) == {"/healthz", "/metrics", *SIGNED}
    for path in SIGNED:
        operation = document["paths"][path]["post"]
        assert {"401", "413", "422", "503"} <= operation["responses"].keys()
        assert operation["security"] == [{"calcom" if path == "/webhooks/calcom" else "retell": []}]
