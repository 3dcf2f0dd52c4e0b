"""The control listener, for the harness only (docs/interfaces.md, "Control listener"): state, ledger, behaviours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from calcom_stub.behaviours import Behaviours, BehaviourSpec
from calcom_stub.calendar import Attendee, Calendar, Draft
from calcom_stub.gate import Gate
from calcom_stub.ledger import Ledger
from calcom_stub.operations import Operations
from calcom_stub.rate_limit import RateLimiter
from calcom_stub.webhooks import Weather, Webhooks
from calcom_stub.wire_time import parse_instant
from calcom_stub.world import World


class Control:
    def __init__(
        self,
        calendar: Calendar,
        operations: Operations,
        gate: Gate,
        limiter: RateLimiter,
        ledger: Ledger,
        behaviours: Behaviours,
        webhooks: Webhooks,
        world: World,
    ) -> None:
        self._webhooks = webhooks
        self._world = world
        self._calendar = calendar
        self._operations = operations
        self._gate = gate
        self._limiter = limiter
        self._ledger = ledger
        self._behaviours = behaviours

    def app(self) -> Starlette:
        behaviour = "/control/behaviours/{id}"
        return Starlette(
            routes=[
                Route("/control/state", self._state, methods=["GET"]),
                Route("/control/ledger", self._rows, methods=["GET"]),
                Route("/control/bookings", self._book, methods=["POST"]),
                Route("/control/bookings/{uid}/cancel", self._cancel, methods=["POST"]),
                Route("/control/webhooks", self._put_weather, methods=["PUT"]),
                Route("/control/webhooks", self._get_weather, methods=["GET"]),
                Route(behaviour, self._put_behaviour, methods=["PUT"]),
                Route(behaviour, self._get_behaviour, methods=["GET"]),
                Route(behaviour, self._delete_behaviour, methods=["DELETE"]),
            ]
        )

    async def _state(self, request: Request) -> Response:
        """Numbers only. Both figures per minute are for one key (the busiest) in 60 s wall; 0 = nobody is blocked."""
        return JSONResponse(
            {
                "requests_in_progress": self._gate.requests_in_progress,
                "inserts_in_progress": self._operations.changes_in_progress,
                "bookings_live": self._calendar.live_count,
                "requests_last_min": self._limiter.requests_last_min(),
                "requests_per_min": self._limiter.limit,
                "blocked_until_ns": self._limiter.blocked_until_ns(),
                "accounts_suspended": self._limiter.suspended(),
                "last_seq": self._ledger.last_seq,
            }
        )

    async def _rows(self, request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not (after.isascii() and after.isdigit()):
            return _refused("after must be a sequence number")
        return JSONResponse({"rows": list(self._ledger.rows_after(int(after)))})

    async def _book(self, request: Request) -> Response:
        """`{"event_type_id", "start", "name"?}`: somebody books directly in the calendar. 201 with the uid; 409."""
        try:
            draft = self._external(json.loads(await request.body()))
        except (ValueError, TypeError, KeyError) as error:
            return _refused(f"a booking needs a known event_type_id and a start in ISO form: {error!r}")
        booking = await self._operations.create_externally(draft)
        if booking is None:
            return JSONResponse({"error": "the time is not free"}, status_code=409)
        return JSONResponse({"uid": booking.uid}, status_code=201)

    async def _cancel(self, request: Request) -> Response:
        """Somebody cancels directly in the calendar: 204; 409 when there is no such live booking."""
        cancelled = await self._operations.cancel_externally(request.path_params["uid"])
        if cancelled is None:
            return JSONResponse({"error": "no live booking has this uid"}, status_code=409)
        return Response(status_code=204)

    def _external(self, body: Mapping[str, Any]) -> Draft:
        event_type = self._world.event_type(body["event_type_id"])
        if event_type is None:
            raise ValueError(f"no event type {body['event_type_id']}")
        name = str(body.get("name", "Walk-in"))
        attendee = Attendee(name, f"{name.lower().replace(' ', '.')}@external.example", event_type.host.time_zone)
        # Made by a person who sees the calendar: it needs no confirmation.
        event_type = replace(event_type, requires_confirmation=False)
        return Draft(event_type, parse_instant(body["start"]), attendee, external=True)

    async def _put_weather(self, request: Request) -> Response:
        """`{"lost"?, "duplicated"?, "delayed"?, "delay_ms"?}`: what happens to webhooks from now on."""
        try:
            self._webhooks.weather = Weather.parse(json.loads(await request.body()))
        except ValueError as error:  # WeatherError is one
            return _refused(str(error))
        return await self._get_weather(request)

    async def _get_weather(self, request: Request) -> Response:
        webhooks = self._webhooks
        counts = {"on_their_way": webhooks.on_their_way, "counts": dict(webhooks.counts)}
        return JSONResponse({**webhooks.weather.as_json(), **counts})

    async def _put_behaviour(self, request: Request) -> Response:
        try:
            spec = BehaviourSpec.parse(json.loads(await request.body()))
        except ValueError as error:  # BehaviourError is one
            return _refused(str(error))
        return JSONResponse(self._behaviours.put(request.path_params["id"], spec))

    async def _get_behaviour(self, request: Request) -> Response:
        behaviour_id = request.path_params["id"]
        view = self._behaviours.view(behaviour_id)
        if view is None:
            return JSONResponse({"error": f"no behaviour {behaviour_id} is in force"}, status_code=404)
        return JSONResponse(view)

    async def _delete_behaviour(self, request: Request) -> Response:
        behaviour_id = request.path_params["id"]
        last_view = self._behaviours.view(behaviour_id)
        self._behaviours.delete(behaviour_id)
        return JSONResponse(last_view or {})


def _refused(message: str) -> Response:
    return JSONResponse({"error": message}, status_code=422)
