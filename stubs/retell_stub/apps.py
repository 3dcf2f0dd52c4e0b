"""The two listeners: the REST API with Retell's statuses and texts, and the control listener that fills it.

FACTS-calcom-retell.md sections 2.1 (REST in both generations, errors) and 2.7 (concurrency).
"""

from __future__ import annotations

import hmac
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from retell_stub.calls import LARGEST_LIMIT, LIST_LIMIT, WEB_TOKEN_MS, Calls, Page
from retell_stub.filters import FilterError, current_filter, older_filter

TEXTS = {
    400: "Invalid request format, please check API reference.",
    401: "API key is missing or invalid.",
    402: "Trial has ended, please add payment method.",
    404: "The requested resource was not found.",
    422: "Cannot find requested asset under given api key.",
    429: "Account rate limited, please throttle your requests.",
    500: "An unexpected server error occurred.",
}
CONCURRENCY_LIMIT = 20
_E164 = re.compile(r"\+[1-9]\d{1,14}")
_Handler = Callable[[Request], Awaitable[Response]]


class Refusals:
    """How many of the next requests are answered with an error status, whatever they ask."""

    def __init__(self) -> None:
        self._left: Counter[int] = Counter()

    def put(self, status: int, count: int) -> None:
        self._left[status] = count

    def take(self) -> int | None:
        """The status that this request must get, if any."""
        for status in sorted(self._left):
            if self._left[status] > 0:
                self._left[status] -= 1
                return status
        return None


class _RefusedError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(TEXTS[status])
        self.status = status


class Api:
    """The handlers. Each checks the key and its input, and answers in the documented shape."""

    def __init__(self, calls: Calls, api_key: str, refusals: Refusals, now_ms: Callable[[], int]) -> None:
        self._calls = calls
        self._api_key = api_key
        self._refusals = refusals
        self._now_ms = now_ms

    def app(self) -> Starlette:
        routes: list[tuple[str, str, _Handler]] = [
            ("POST", "/v2/create-phone-call", self._create_phone_call),
            ("POST", "/v2/register-phone-call", self._register_phone_call),
            ("POST", "/v3/create-web-call", self._create_web_call),
            ("POST", "/v2/create-web-call", self._create_web_call_older),
            ("GET", "/v2/get-call/{call_id}", self._get_call),
            ("POST", "/v3/list-calls", self._list_calls),
            ("POST", "/v2/list-calls", self._list_calls_older),
            ("PATCH", "/v2/update-call/{call_id}", self._update_call),
            ("DELETE", "/v2/delete-call/{call_id}", self._delete_call),
            ("POST", "/v2/stop-call/{call_id}", self._stop_call),
            ("GET", "/get-concurrency", self._get_concurrency),
        ]
        app = Starlette(
            routes=[Route(path, self._guarded(handler), methods=[method]) for method, path, handler in routes],
            exception_handlers={_RefusedError: _refused, HTTPException: _no_route, Exception: _unexpected},
        )
        app.router.redirect_slashes = False
        return app

    def _guarded(self, handler: _Handler) -> _Handler:
        async def guarded(request: Request) -> Response:
            if not _is_authorized(request, self._api_key):
                raise _RefusedError(401)
            status = self._refusals.take()
            if status is not None:
                raise _RefusedError(status)
            return await handler(request)

        return guarded

    async def _create_phone_call(self, request: Request) -> Response:
        return JSONResponse(self._calls.start_phone_call(await self._phone_body(request)), status_code=201)

    async def _register_phone_call(self, request: Request) -> Response:
        """A call that other telephony carries: the agent is required, the numbers are not."""
        body = await _body(request)
        if not isinstance(body.get("agent_id"), str):
            raise _RefusedError(400)
        numbers = {"from_number": body.get("from_number", ""), "to_number": body.get("to_number", "")}
        call = self._calls.start_phone_call({**body, **numbers, "override_agent_id": body["agent_id"]})
        return JSONResponse(call, status_code=201)

    async def _phone_body(self, request: Request) -> Mapping[str, Any]:
        body = await _body(request)
        numbers = [body.get("from_number"), body.get("to_number")]
        if not all(isinstance(number, str) for number in numbers):
            raise _RefusedError(400)
        if not body.get("ignore_e164_validation") and not all(_E164.fullmatch(str(number)) for number in numbers):
            raise _RefusedError(400)
        variables = body.get("retell_llm_dynamic_variables", {})
        if not isinstance(variables, Mapping) or not all(isinstance(value, str) for value in variables.values()):
            raise _RefusedError(400)
        return body

    async def _create_web_call(self, request: Request) -> Response:
        call = self._calls.start_web_call(await self._web_body(request))
        reply = {
            "access_token": call["access_token"],
            "call_id": call["call_id"],
            "expires_at": self._now_ms() + WEB_TOKEN_MS,
            "ice_servers": [{"urls": "stun:stun.invalid:3478"}],
            "transport": "gateway",
        }
        return JSONResponse(reply, status_code=201)

    async def _create_web_call_older(self, request: Request) -> Response:
        return JSONResponse(self._calls.start_web_call(await self._web_body(request)), status_code=201)

    async def _web_body(self, request: Request) -> Mapping[str, Any]:
        body = await _body(request)
        if not isinstance(body.get("agent_id"), str):
            raise _RefusedError(400)
        return body

    async def _get_call(self, request: Request) -> Response:
        """422, not 404, for an unknown call (section 2.1)."""
        call = self._calls.get(request.path_params["call_id"])
        if call is None:
            raise _RefusedError(422)
        return JSONResponse(call)

    async def _list_calls(self, request: Request) -> Response:
        body = await _body(request)
        page = self._page(body, current_filter)
        reply: dict[str, Any] = {"items": list(page.calls), "has_more": page.has_more}
        if page.pagination_key is not None:
            reply["pagination_key"] = page.pagination_key
        if body.get("include_total"):
            reply["total"] = page.total
        return JSONResponse(reply)

    async def _list_calls_older(self, request: Request) -> Response:
        return JSONResponse(list(self._page(await _body(request), older_filter).calls))

    def _page(self, body: Mapping[str, Any], reading: Callable[[object], Callable[[Mapping[str, Any]], bool]]) -> Page:
        limit, skip, order = body.get("limit", LIST_LIMIT), body.get("skip", 0), body.get("sort_order", "descending")
        in_bounds = isinstance(limit, int) and 1 <= limit <= LARGEST_LIMIT and isinstance(skip, int) and skip >= 0
        if not in_bounds or order not in ("ascending", "descending"):
            raise _RefusedError(400)
        try:
            matches = reading(body.get("filter_criteria"))
        except FilterError:
            raise _RefusedError(400) from None
        after = body.get("pagination_key")
        page = self._calls.page(matches, limit=limit, skip=skip, after=after, ascending=order == "ascending")
        if page is None:
            raise _RefusedError(400)
        return page

    async def _update_call(self, request: Request) -> Response:
        call = self._calls.update(request.path_params["call_id"], await _body(request))
        if call is None:
            raise _RefusedError(422)
        return JSONResponse(call)

    async def _delete_call(self, request: Request) -> Response:
        if not self._calls.delete(request.path_params["call_id"]):
            raise _RefusedError(422)
        return Response(status_code=204)

    async def _stop_call(self, request: Request) -> Response:
        if not self._calls.stop(request.path_params["call_id"]):
            raise _RefusedError(422)
        return Response(status_code=204)

    async def _get_concurrency(self, request: Request) -> Response:
        return JSONResponse(
            {
                "current_concurrency": self._calls.in_progress,
                "concurrency_limit": CONCURRENCY_LIMIT,
                "base_concurrency": CONCURRENCY_LIMIT,
                "purchased_concurrency": 0,
                "concurrency_purchase_limit": 100,
                "remaining_purchase_limit": 100,
                "concurrency_burst_enabled": False,
                "concurrency_burst_limit": 0,
                "reserved_inbound_concurrency": 0,
            }
        )


def control_app(calls: Calls, refusals: Refusals) -> Starlette:
    """`PUT /control/calls/{call_id}` with a call object: 204; 422 with the reason when it is none.
    `PUT /control/refusals/{status}` with `{"count": n}`: the next n requests with a valid key get that status."""

    async def put_call(request: Request) -> Response:
        try:
            calls.put(request.path_params["call_id"], json.loads(await request.body()))
        except ValueError as error:  # malformed JSON, or a CallError
            return JSONResponse({"error": str(error)}, status_code=422)
        return Response(status_code=204)

    async def put_refusals(request: Request) -> Response:
        status = request.path_params["status"]
        try:
            count = json.loads(await request.body())["count"]
        except (ValueError, TypeError, KeyError):
            count = None
        if status not in TEXTS or not isinstance(count, int) or count < 0:
            known = ", ".join(map(str, TEXTS))
            return JSONResponse({"error": f'needs {{"count": n}} and one of {known}'}, status_code=422)
        refusals.put(status, count)
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/control/calls/{call_id}", put_call, methods=["PUT"]),
            Route("/control/refusals/{status:int}", put_refusals, methods=["PUT"]),
        ]
    )


async def _body(request: Request) -> Mapping[str, Any]:
    """The JSON object that was sent; an empty body is an empty one."""
    raw = await request.body()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        raise _RefusedError(400) from None
    if not isinstance(body, Mapping):
        raise _RefusedError(400)
    return body


def _is_authorized(request: Request, api_key: str) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), api_key.encode())


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, _RefusedError)
    return _error(error.status)


async def _no_route(request: Request, error: Exception) -> Response:
    return _error(404)


async def _unexpected(request: Request, error: Exception) -> Response:
    return _error(500)


def _error(status: int) -> Response:
    return JSONResponse({"status": "error", "message": TEXTS[status]}, status_code=status)
