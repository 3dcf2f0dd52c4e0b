"""The two listeners: the REST API with Retell's statuses and texts, and the control listener that fills it."""

from __future__ import annotations

import hmac
import json

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from retell_stub.calls import Calls

_TEXTS = {
    401: "API key is missing or invalid.",
    404: "The requested resource was not found.",
    422: "Cannot find requested asset under given api key.",
    500: "An unexpected server error occurred.",
}


def api_app(calls: Calls, api_key: str) -> Starlette:
    """`GET /v2/get-call/{call_id}`: 200 with the call, 401, and 422 (not 404) for an unknown call (section 2.1)."""

    async def get_call(request: Request) -> Response:
        if not _is_authorized(request, api_key):
            return _error(401)
        call = calls.get(request.path_params["call_id"])
        return _error(422) if call is None else JSONResponse(call)

    async def no_route(request: Request, error: Exception) -> Response:
        return _error(404)

    async def unexpected(request: Request, error: Exception) -> Response:
        return _error(500)

    app = Starlette(
        routes=[Route("/v2/get-call/{call_id}", get_call, methods=["GET"])],
        exception_handlers={HTTPException: no_route, Exception: unexpected},
    )
    app.router.redirect_slashes = False
    return app


def control_app(calls: Calls) -> Starlette:
    """`PUT /control/calls/{call_id}` with a call object: 204; 422 with the reason when it is none."""

    async def put_call(request: Request) -> Response:
        try:
            calls.put(request.path_params["call_id"], json.loads(await request.body()))
        except ValueError as error:  # malformed JSON, or a CallError
            return JSONResponse({"error": str(error)}, status_code=422)
        return Response(status_code=204)

    return Starlette(routes=[Route("/control/calls/{call_id}", put_call, methods=["PUT"])])


def _is_authorized(request: Request, api_key: str) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), api_key.encode())


def _error(status: int) -> Response:
    return JSONResponse({"status": "error", "message": _TEXTS[status]}, status_code=status)
