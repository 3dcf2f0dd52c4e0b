"""The control listener, for the harness only (docs/interfaces.md, "Control listener"): state, ledger, behaviours."""

from __future__ import annotations

import json

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from calcom_stub.behaviours import Behaviours, BehaviourSpec
from calcom_stub.calendar import Calendar
from calcom_stub.gate import Gate
from calcom_stub.ledger import Ledger
from calcom_stub.operations import Operations
from calcom_stub.rate_limit import RateLimiter


class Control:
    def __init__(
        self,
        calendar: Calendar,
        operations: Operations,
        gate: Gate,
        limiter: RateLimiter,
        ledger: Ledger,
        behaviours: Behaviours,
    ) -> None:
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
                "last_seq": self._ledger.last_seq,
            }
        )

    async def _rows(self, request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not (after.isascii() and after.isdigit()):
            return _refused("after must be a sequence number")
        return JSONResponse({"rows": list(self._ledger.rows_after(int(after)))})

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
