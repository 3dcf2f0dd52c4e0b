"""The API listener: routes of Cal.com v2 and how a request becomes an operation.

FACTS-calcom-retell.md sections 1.2 (versions), 1.4 (slots), 1.6-1.8 (bookings). A path that no route knows, or that
the requested version lacks, gets the vendor's own 404.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from calcom_stub import legacy
from calcom_stub.administration import event_type_routes, json_body, webhook_routes
from calcom_stub.auth import Keyring
from calcom_stub.behaviours import Endpoint, Kind, SpoiltReplyError
from calcom_stub.calendar import Booking, Calendar
from calcom_stub.drafts import draft_of
from calcom_stub.envelopes import cannot, error_reply, success
from calcom_stub.errors import ApiError, RawApiError, bad_request, throttled
from calcom_stub.listing import Page, select
from calcom_stub.operations import TAKEN, Operations, RescheduleRequest, found
from calcom_stub.queries import list_query, slot_query
from calcom_stub.reservations import ReservationApi, Reservations
from calcom_stub.slots import free_slots
from calcom_stub.subscriptions import Subscriptions
from calcom_stub.trace import RequestTrace, Tracer, trace_id_of
from calcom_stub.validation import valid_cancel, valid_create, valid_decline, valid_reschedule
from calcom_stub.versions import BOOKINGS, SLOTS, requested_version
from calcom_stub.views import booking_view, created_view
from calcom_stub.wire_time import parse_instant
from calcom_stub.world import World


class Api:
    """The handlers. Each checks version, credential and input, runs its operation and dresses the result."""

    def __init__(
        self,
        world: World,
        calendar: Calendar,
        operations: Operations,
        subscriptions: Subscriptions,
        tracer: Tracer,
        now: Callable[[], datetime],
    ) -> None:
        self._world = world
        self._calendar = calendar
        self._operations = operations
        self._tracer = tracer
        self._keyring = Keyring(world.company_by_api_key)
        self._reservations = Reservations(now)
        self._rest = [
            *webhook_routes(subscriptions, self._keyring),
            *event_type_routes(world, self._keyring),
            *ReservationApi(self._reservations, calendar, world, self._keyring, now).routes(),
        ]
        self._now = now

    def app(self) -> Starlette:
        app = Starlette(
            routes=[
                Route("/v2/slots", self._slots, methods=["GET"]),
                Route("/v2/bookings", self._list, methods=["GET"]),
                Route("/v2/bookings", self._create, methods=["POST"]),
                Route("/v2/bookings/{uid}", self._get, methods=["GET"]),
                Route("/v2/bookings/{uid}/cancel", self._cancel, methods=["POST"]),
                Route("/v2/bookings/{uid}/reschedule", self._reschedule, methods=["POST"]),
                Route("/v2/bookings/{uid}/confirm", self._confirm, methods=["POST"]),
                Route("/v2/bookings/{uid}/decline", self._decline, methods=["POST"]),
                *self._rest,
            ],
            exception_handlers={
                ApiError: _api_error,
                SpoiltReplyError: _spoilt,
                HTTPException: _no_route,
                ClientDisconnect: _client_gone,
                Exception: _unmapped_error,
            },
        )
        app.router.redirect_slashes = False
        return app

    async def _slots(self, request: Request) -> Response:
        if requested_version(request.headers) != SLOTS:
            raise cannot(request)
        query = slot_query(request.query_params, self._world)

        def look(calendar: Calendar) -> dict[str, Any]:
            return free_slots(calendar, query, self._now(), self._reservations.hides)

        data = await self._operations.read(Endpoint.SLOTS_GET, look, self._trace(request))
        return JSONResponse({"data": data, "status": "success"})

    async def _list(self, request: Request) -> Response:
        if _is_legacy(request):
            raise legacy.not_modelled()
        company_id = self._keyring.required(request.headers)
        query = list_query(request.query_params)

        def look(calendar: Calendar) -> Page:
            bookings = calendar.bookings(query.attendee_email)
            own = (booking for booking in bookings if booking.host.company_id == company_id)
            return select(own, query, self._now())

        page = await self._operations.read(Endpoint.BOOKINGS_LIST, look, self._trace(request))
        return success([booking_view(booking) for booking in page.bookings], pagination=page.pagination())

    async def _create(self, request: Request) -> Response:
        body = await json_body(request)
        if _is_legacy(request):
            raise legacy.refuse_create(body)
        self._keyring.optional(request.headers)
        draft = draft_of(valid_create(body), self._world)
        trace = self._trace(request)
        booking = await self._change(request, self._operations.create(draft, trace), trace)
        return success(created_view(booking), status=201)

    async def _get(self, request: Request) -> Response:
        uid = request.path_params["uid"]
        if _is_legacy(request):
            raise legacy.refuse_get(uid, exists=self._calendar.get(uid) is not None)
        self._keyring.optional(request.headers)

        def look(calendar: Calendar) -> Booking:
            return found(calendar, uid)

        booking = await self._operations.read(Endpoint.BOOKINGS_GET, look, self._trace(request))
        return success(booking_view(booking))

    async def _cancel(self, request: Request) -> Response:
        body = await json_body(request)
        if _is_legacy(request):
            raise legacy.not_modelled()
        self._keyring.optional(request.headers)
        reason = valid_cancel(body).get("cancellationReason")
        trace = self._trace(request)
        cancel = self._operations.cancel(request.path_params["uid"], reason, trace)
        return success(booking_view(await self._change(request, cancel, trace)))

    async def _reschedule(self, request: Request) -> Response:
        body = await json_body(request)
        if _is_legacy(request):
            raise cannot(request)
        self._keyring.optional(request.headers)
        wish = _reschedule_request(valid_reschedule(body))
        trace = self._trace(request)
        move = self._operations.reschedule(request.path_params["uid"], wish, trace)
        return success(created_view(await self._change(request, move, trace)), status=201)

    async def _confirm(self, request: Request) -> Response:
        if _is_legacy(request):
            raise cannot(request)
        self._keyring.required(request.headers)
        trace = self._trace(request)
        confirm = self._operations.confirm(request.path_params["uid"], trace)
        return success(booking_view(await self._change(request, confirm, trace)))

    async def _decline(self, request: Request) -> Response:
        body = await json_body(request)
        if _is_legacy(request):
            raise cannot(request)
        self._keyring.required(request.headers)
        reason = valid_decline(body).get("reason")
        trace = self._trace(request)
        decline = self._operations.decline(request.path_params["uid"], reason, trace)
        return success(booking_view(await self._change(request, decline, trace)))

    async def _change(self, request: Request, change: Coroutine[Any, Any, Booking], trace: RequestTrace) -> Booking:
        return await self._operations.run_change(change, _disconnected(request), trace)

    def _trace(self, request: Request) -> RequestTrace:
        return RequestTrace(self._tracer, trace_id_of(request.headers.get("traceparent")))


def _reschedule_request(body: Mapping[str, Any]) -> RescheduleRequest:
    return RescheduleRequest(
        start=parse_instant(body["start"]), reason=body.get("reschedulingReason"), by=body.get("rescheduledBy")
    )


def _is_legacy(request: Request) -> bool:
    """Whether an older bookings controller gets the request. Raises ApiError 404 for a version without bookings."""
    version = requested_version(request.headers)
    if version == SLOTS:
        raise cannot(request)
    return version != BOOKINGS


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_reply(request, error)


async def _spoilt(request: Request, error: Exception) -> Response:
    """What a behaviour makes of the reply, whatever the operation came to."""
    assert isinstance(error, SpoiltReplyError)
    if error.kind is Kind.MALFORMED:
        return Response(b'{"status":"success","data":{"id":17,"uid":"', media_type="application/json")
    if error.kind is Kind.OK_WITH_ERROR:
        return JSONResponse(bad_request(TAKEN).body(request.url.path))
    if error.status == 429:
        return error_reply(request, throttled())
    return error_reply(request, RawApiError(error.status or 500, "Internal server error"))


async def _no_route(request: Request, error: Exception) -> Response:
    return error_reply(request, cannot(request))


async def _client_gone(request: Request, error: Exception) -> Response:
    """The client left while it was still sending its body: nobody reads the reply."""
    return Response(status_code=400)


async def _unmapped_error(request: Request, error: Exception) -> Response:
    return error_reply(request, RawApiError(500, "Internal server error"))
