"""The OpenAPI document. The routes read their bodies raw, since signatures are verified before anything is parsed; so
the document is told here what each route takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from booking_service.calendar_sync import CalcomWebhook
from booking_service.payloads import (
    BookAppointmentCall,
    CancelAppointmentCall,
    CheckAvailabilityCall,
    InboundWebhook,
    RescheduleAppointmentCall,
    Webhook,
)
from booking_service.replies import AvailabilityReply, BookingReply, ErrorReply, InboundReply

_REFUSALS = (400, 401, 404, 413, 422, 500, 503)
_REF = "#/components/schemas/{model}"


@dataclass(frozen=True)
class RouteFacts:
    """What a signed route takes, and what it answers by status (None: nothing) besides the refusals that all have."""

    takes: type[BaseModel]
    gives: Mapping[int, type[BaseModel] | None]
    summary: str
    refuses: tuple[int, ...] = _REFUSALS
    signed_by: str = "retell"

    def responses(self) -> dict[int | str, dict[str, Any]]:
        described: dict[int | str, dict[str, Any]] = {
            status: {"description": "Accepted"} if model is None else {"model": model}
            for status, model in self.gives.items()
        }
        return described | {status: {"model": ErrorReply} for status in self.refuses}

    def extra(self) -> dict[str, Any]:
        """The parts of the operation that FastAPI cannot see."""
        body = {"$ref": _REF.format(model=self.takes.__name__)}
        return {
            "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
            "security": [{self.signed_by: []}],
            "parameters": [
                {
                    "name": "X-Request-Id",
                    "in": "header",
                    "required": False,
                    "schema": {"type": "string"},
                    "description": "One logical request: its repeats carry the same. Cut at 200 characters.",
                }
            ],
        }


_BOOKING = {200: BookingReply, 202: BookingReply}
ROUTES: Mapping[str, RouteFacts] = {
    "/webhooks/retell": RouteFacts(Webhook, {204: None}, "An event of a call"),
    "/webhooks/retell/inbound": RouteFacts(InboundWebhook, {200: InboundReply}, "A call comes in"),
    "/webhooks/calcom": RouteFacts(CalcomWebhook, {204: None}, "A booking changed in the calendar", signed_by="calcom"),
    "/functions/check_availability": RouteFacts(CheckAvailabilityCall, {200: AvailabilityReply}, "Free times of a day"),
    "/functions/book_appointment": RouteFacts(BookAppointmentCall, _BOOKING, "Book a time", (*_REFUSALS, 409)),
    "/functions/cancel_appointment": RouteFacts(CancelAppointmentCall, _BOOKING, "Cancel one's own", (*_REFUSALS, 409)),
    "/functions/reschedule_appointment": RouteFacts(
        RescheduleAppointmentCall, _BOOKING, "Move one's own", (*_REFUSALS, 409)
    ),
}


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the application, complete; made once."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, routes=app.routes, description=_ABOUT)
        components = made.setdefault("components", {})
        taken = [(facts.takes, "validation") for facts in ROUTES.values()]
        _, definitions = models_json_schema(taken, ref_template=_REF)  # type: ignore[arg-type]  # the mode is a literal
        components.setdefault("schemas", {}).update(definitions["$defs"])
        components["securitySchemes"] = {
            "calcom": {
                "type": "apiKey",
                "in": "header",
                "name": "X-Cal-Signature-256",
                "description": "hex HMAC-SHA256 of the body with the webhook's secret",
            },
            "retell": {
                "type": "apiKey",
                "in": "header",
                "name": "X-Retell-Signature",
                "description": "`v=<unix ms>,d=<hex HMAC-SHA256 of body and ms>`, at most 5 minutes old",
            },
        }
        app.openapi_schema = made
    return app.openapi_schema


_ABOUT = "Books by phone: a voice agent calls, Cal.com keeps the calendar. docs/interfaces.md has the same in prose."
