"""The HTTP side: signatures, limits, one error shape, metrics and traces around every route (docs/interfaces.md)."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from booking_service import errors, openapi, signatures
from booking_service.calendar_sync import CalcomWebhook, is_genuine
from booking_service.components import Components
from booking_service.flows import CalcomTiming
from booking_service.openapi import ROUTES
from booking_service.payloads import (
    BookAppointmentArgs,
    CancelAppointmentArgs,
    CheckAvailabilityArgs,
    FunctionCall,
    InboundWebhook,
    RescheduleAppointmentArgs,
    Webhook,
)
from booking_service.replies import Health
from booking_service.routing import Branch
from booking_service.settings import ABANDON_AFTER_S, RECONCILE_PERIOD_S
from booking_service.store import Caller
from booking_service.trace import adopt_trace, trace_id

BODY_LIMIT_BYTES = 1024 * 1024
WEBHOOK_LIMIT_BYTES = 16 * 1024 * 1024
"""The transcript of an hour, with the times of its words, has megabytes; what is kept of it is bounded in `calls`."""

_log = logging.getLogger(__name__)
Payload = TypeVar("Payload", bound=BaseModel)
Handler = Callable[[Request, CalcomTiming], Awaitable[Response]]


def create_app(parts: Components) -> FastAPI:
    """The application over its assembled components; they are started and stopped with its lifespan."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await parts.start()
        try:
            yield
        finally:
            await parts.stop()

    app = FastAPI(title="Reference booking service", version="1", lifespan=lifespan)
    routes = _Routes(parts)
    for path, handler in {
        "/webhooks/retell": routes.webhook,
        "/webhooks/retell/inbound": routes.inbound,
        "/webhooks/calcom": routes.calendar_webhook,
        "/functions/check_availability": routes.check_availability,
        "/functions/book_appointment": routes.book_appointment,
        "/functions/cancel_appointment": routes.cancel_appointment,
        "/functions/reschedule_appointment": routes.reschedule_appointment,
    }.items():
        facts = ROUTES[path]
        app.add_api_route(
            path,
            _observed(parts, path, handler),
            methods=["POST"],
            response_class=Response,
            status_code=min(facts.gives),
            responses=facts.responses(),
            openapi_extra=facts.extra(),
            summary=facts.summary,
        )
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]  # FastAPI's documented way
    app.add_api_route("/healthz", routes.healthz, methods=["GET"], response_model=Health)
    app.add_api_route("/metrics", routes.metrics, methods=["GET"], response_class=Response)
    app.add_exception_handler(HTTPException, _unrouted)
    return app


class _Routes:
    def __init__(self, parts: Components) -> None:
        self._parts = parts

    async def webhook(self, request: Request, _: CalcomTiming) -> Response:
        webhook = _parsed(Webhook, await self._signed_body(request, WEBHOOK_LIMIT_BYTES))
        await self._parts.gate()
        branch = await self._parts.directory.branch(webhook.call.to_number)
        await self._parts.calls.record(branch, webhook)
        return Response(status_code=204)

    async def inbound(self, request: Request, _: CalcomTiming) -> Response:
        """Who is called: the agent speaks for that branch (FACTS-calcom-retell.md section 2.5)."""
        webhook = _parsed(InboundWebhook, await self._signed_body(request))
        branch = await self._parts.directory.branch(webhook.call_inbound.to_number)
        variables = {
            "branch": branch.name,
            "time_zone": branch.time_zone,
            "services": ", ".join(service.name for service in branch.services),
            "people": ", ".join(person.name for person in branch.people),
        }
        metadata = {"company_id": branch.company_id, "branch_id": branch.id}
        return _json({"call_inbound": {"dynamic_variables": variables, "metadata": metadata}})

    async def calendar_webhook(self, request: Request, _: CalcomTiming) -> Response:
        body = await _body_within_limit(request, BODY_LIMIT_BYTES)
        secret = self._parts.settings.calcom_webhook_secret
        if not is_genuine(body, secret, request.headers.get("X-Cal-Signature-256")):
            raise errors.bad_signature()
        await self._parts.calendar_sync.record(_parsed(CalcomWebhook, body))
        return Response(status_code=204)

    async def check_availability(self, request: Request, timing: CalcomTiming) -> Response:
        _, branch, arguments = await self._function(request, CheckAvailabilityArgs)
        slots = await self._parts.availability.check(branch, arguments, timing)
        return _json({"status": "ok", "slots": slots})

    async def book_appointment(self, request: Request, timing: CalcomTiming) -> Response:
        caller, branch, arguments = await self._function(request, BookAppointmentArgs)
        reply = await self._parts.booking.book(branch, caller, arguments, timing)
        return _json(reply.body(), reply.http_status)

    async def cancel_appointment(self, request: Request, timing: CalcomTiming) -> Response:
        caller, branch, arguments = await self._function(request, CancelAppointmentArgs)
        reply = await self._parts.booking.cancel(branch, caller, arguments, timing)
        return _json(reply.body(), reply.http_status)

    async def reschedule_appointment(self, request: Request, timing: CalcomTiming) -> Response:
        caller, branch, arguments = await self._function(request, RescheduleAppointmentArgs)
        reply = await self._parts.booking.reschedule(branch, caller, arguments, timing)
        return _json(reply.body(), reply.http_status)

    async def healthz(self) -> dict[str, object]:
        """Alive, and built how; asks no dependency."""
        settings = self._parts.settings
        return {
            "status": "ok",
            "flaws": sorted(settings.flaws),
            "time_scale": settings.time_scale,
            "reconcile_period_s": RECONCILE_PERIOD_S,
            "abandon_after_s": ABANDON_AFTER_S,
        }

    async def metrics(self) -> Response:
        await self._parts.refresh_gauges()
        return Response(self._parts.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    async def _function(self, request: Request, arguments_type: type[Payload]) -> tuple[Caller, Branch, Payload]:
        call = _parsed(FunctionCall, await self._signed_body(request))
        arguments = _validated(arguments_type, call.args)
        await self._parts.gate()
        branch = await self._parts.directory.branch(call.call.to_number)
        request_ref = request.headers.get("X-Request-Id")
        caller = Caller(
            company_id=branch.company_id,
            phone=call.call.from_number,
            call_ref=call.call.call_id,
            request_ref=request_ref[:200] if request_ref else None,
        )
        return caller, branch, arguments

    async def _signed_body(self, request: Request, limit_bytes: int = BODY_LIMIT_BYTES) -> bytes:
        """The raw body, verified before anything of it is parsed."""
        body = await _body_within_limit(request, limit_bytes)
        header = request.headers.get("X-Retell-Signature")
        now_ms = time.time_ns() // 1_000_000
        if not signatures.is_genuine(body, self._parts.settings.retell_api_key, header, now_ms):
            raise errors.bad_signature()
        return body


def _observed(parts: Components, path: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Wraps a handler: trace id, metrics, errors in one shape, `Server-Timing`."""
    metrics = parts.metrics
    route = path.rsplit("/", 1)[-1]

    async def answer(request: Request) -> Response:
        adopt_trace(request.headers.get("traceparent"))
        timing = CalcomTiming()
        began = time.monotonic()
        code = "ok"
        with metrics.requests_in_progress.track_inprogress():
            try:
                response = await handler(request, timing)
            except errors.ServiceError as failure:
                code = failure.code
                response = _failure(failure)
            except Exception:  # noqa: BLE001 - the last handler: an unforeseen failure gets an answer, too
                _log.exception("trace %s: %s failed", trace_id(), path)
                code = "internal"
                response = _failure(errors.ServiceError(500, code, "The service failed.", errors.Effect.UNKNOWN))
        if timing.ms is not None:
            response.headers["Server-Timing"] = f"calcom;dur={timing.ms:.3f}"
        metrics.requests.labels(route, str(response.status_code), code).inc()
        metrics.request_seconds.labels(route).observe(time.monotonic() - began)
        return response

    answer.__name__ = route
    return answer


async def _body_within_limit(request: Request, limit_bytes: int) -> bytes:
    announced = request.headers.get("Content-Length", "")
    if announced.isdigit() and int(announced) > limit_bytes:
        raise errors.too_large(limit_bytes)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise errors.too_large(limit_bytes)
    return bytes(body)


def _parsed(model: type[Payload], body: bytes) -> Payload:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise errors.invalid("The body is not JSON.", status=400) from None
    return _validated(model, content)


def _validated(model: type[Payload], content: object) -> Payload:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise errors.invalid(f"{where}: {first['msg']}") from None


def _json(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    return Response(body, status, headers, "application/json")


def _failure(failure: errors.ServiceError) -> Response:
    retry_after = failure.retry_after_s
    return _json(failure.body(), failure.status, None if retry_after is None else {"Retry-After": str(retry_after)})


async def _unrouted(_: Request, failure: Exception) -> Response:
    """404 and 405 of the router, in the service's own shape."""
    status = failure.status_code if isinstance(failure, HTTPException) else 500
    code = "not_found" if status == 404 else "invalid"
    return _failure(errors.ServiceError(status, code, "There is no such endpoint."))
