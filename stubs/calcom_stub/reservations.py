"""Slot reservations and what they do not do (FACTS-calcom-retell.md section 1.5).

A live reservation hides its time from GET /v2/slots, for every event type of its host. POST /v2/bookings never looks
at reservations: one neither guarantees a booking nor excludes somebody else's. Making one is itself check, then insert.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from calcom_stub.administration import json_body
from calcom_stub.auth import Keyring
from calcom_stub.calendar import Calendar
from calcom_stub.envelopes import cannot, success
from calcom_stub.errors import ApiError, bad_request, not_found
from calcom_stub.validation import valid_reservation
from calcom_stub.versions import SLOTS, requested_version
from calcom_stub.wire_time import iso_ms, parse_instant
from calcom_stub.world import EventType, World

DEFAULT_MIN = 5


@dataclass(frozen=True)
class Reservation:
    uid: str
    event_type: EventType
    start: datetime
    end: datetime
    until: datetime

    def view(self) -> dict[str, Any]:
        return {
            "eventTypeId": self.event_type.id,
            "slotStart": iso_ms(self.start),
            "slotEnd": iso_ms(self.end),
            "slotDuration": round((self.end - self.start).total_seconds() / 60),
            "reservationUid": self.uid,
            "reservationUntil": iso_ms(self.until),
        }


class Reservations:
    """Of all hosts; those that have run out are forgotten when somebody looks."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._all: dict[str, Reservation] = {}

    def live(self, host_id: int) -> list[Reservation]:
        now = self._now()
        self._all = {uid: each for uid, each in self._all.items() if each.until > now}
        return [each for each in self._all.values() if each.event_type.host.user_id == host_id]

    def hides(self, host_id: int, start: datetime, end: datetime) -> bool:
        """Whether a live reservation of the host overlaps."""
        return any(each.start < end and start < each.end for each in self.live(host_id))

    def get(self, uid: str) -> Reservation | None:
        found = self._all.get(uid)
        return found if found is not None and found.until > self._now() else None

    def put(self, reservation: Reservation) -> Reservation:
        self._all[reservation.uid] = reservation
        return reservation

    def remove(self, uid: str) -> None:
        self._all.pop(uid, None)


class ReservationApi:
    """`/v2/slots/reservations`."""

    def __init__(
        self,
        reservations: Reservations,
        calendar: Calendar,
        world: World,
        keyring: Keyring,
        now: Callable[[], datetime],
    ) -> None:
        self._reservations = reservations
        self._calendar = calendar
        self._world = world
        self._keyring = keyring
        self._now = now

    def routes(self) -> list[Route]:
        one = "/v2/slots/reservations/{uid}"
        return [
            Route("/v2/slots/reservations", self._create, methods=["POST"]),
            Route(one, self._get, methods=["GET"]),
            Route(one, self._change, methods=["PATCH"]),
            Route(one, self._delete, methods=["DELETE"]),
        ]

    async def _create(self, request: Request) -> Response:
        reservation, minutes = await self._wanted(request, str(uuid.uuid4()))
        data = {**self._reservations.put(reservation).view(), "reservationDuration": minutes}
        return success(data, status=201)

    async def _get(self, request: Request) -> Response:
        _require_version(request)
        found = self._reservations.get(request.path_params["uid"])
        return success(None if found is None else found.view())

    async def _change(self, request: Request) -> Response:
        _require_version(request)
        uid = request.path_params["uid"]
        if self._reservations.get(uid) is None:
            raise not_found(f"Slot with uid={uid} not found")
        wanted, minutes = await self._wanted(request, uid)  # its own reservation is in the way as well, as there
        changed = self._reservations.put(replace(wanted, uid=uid))
        return success({**changed.view(), "reservationDuration": minutes})

    async def _delete(self, request: Request) -> Response:
        _require_version(request)
        self._reservations.remove(request.path_params["uid"])
        return JSONResponse({"status": "success"})

    async def _wanted(self, request: Request, uid: str) -> tuple[Reservation, int]:
        """What the body asks for, and for how many minutes. Raises ApiError."""
        _require_version(request)
        body = valid_reservation(await json_body(request))
        event_type = self._world.event_type(body["eventTypeId"])
        if event_type is None:
            raise not_found(f"Event Type with ID={body['eventTypeId']} not found")
        minutes = self._minutes(request, body, event_type)
        if body.get("slotDuration") not in (None, event_type.length_min):
            raise bad_request("slotDuration can only be given for event types of variable length")
        start = parse_instant(body["slotStart"])
        end = start + event_type.length
        if not self._calendar.is_free(event_type.host, start, end):
            raise ApiError(422, "Can't reserve a slot if the event is already booked.")
        if self._reservations.hides(event_type.host.user_id, start, end):
            raise ApiError(422, "This time slot is already reserved by another user. Please choose a different time.")
        return Reservation(uid, event_type, start, end, self._now() + timedelta(minutes=minutes)), minutes

    def _minutes(self, request: Request, body: Mapping[str, Any], event_type: EventType) -> int:
        company_id = self._keyring.optional(request.headers)
        wanted = body.get("reservationDuration")
        if wanted is None:
            return DEFAULT_MIN
        if company_id is None:
            raise ApiError(401, "reservationDuration can only be used for authenticated requests")
        if company_id != event_type.host.company_id:
            raise ApiError(403, "reservationDuration can only be used by the event type's owner or its members")
        return int(wanted)


def _require_version(request: Request) -> None:
    if requested_version(request.headers) != SLOTS:
        raise cannot(request)
