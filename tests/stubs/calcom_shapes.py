"""Holds every answer of the Cal.com stub against JSON Schemas written from FACTS-calcom-retell.md sections 1.3-1.10."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).parent / "calcom_schemas"
_SHAPES = (
    ("GET", r"/v2/slots", "slots"),
    ("(POST|GET|PATCH)", r"/v2/slots/reservations(/[^/]+)?", "reservation"),
    ("DELETE", r"/v2/slots/reservations/[^/]+", "reservation_deleted"),
    ("GET", r"/v2/bookings", "bookings"),
    ("POST", r"/v2/bookings(/[^/]+/reschedule)?", "booking_created"),
    ("GET", r"/v2/bookings/[^/]+", "booking"),
    ("POST", r"/v2/bookings/[^/]+/(cancel|confirm|decline)", "booking"),
    ("GET", r"/v2/webhooks", "webhooks"),
    ("(POST|GET|PATCH|DELETE)", r"/v2/webhooks(/[^/]+)?", "webhook"),
    ("GET", r"/v2/event-types", "event_types"),
    ("GET", r"/v2/event-types/[^/]+", "event_type"),
)


@cache
def validator(name: str) -> Draft202012Validator:
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def shape_of(method: str, path: str, status: int) -> str:
    """The name of the schema that the answer must have. Raises LookupError for an answer that none describes."""
    if status >= 400:
        return "error"
    for methods, pattern, name in _SHAPES:
        if re.fullmatch(methods, method) and re.fullmatch(pattern, path):
            return name
    raise LookupError(f"no schema describes {status} of {method} {path}")


def validate(method: str, path: str, status: int, content: bytes) -> None:
    """Raises jsonschema.ValidationError, or LookupError for an answer that no schema describes.

    Replies that a behaviour spoilt on purpose are what they are.
    """
    try:
        document = json.loads(content)
    except json.JSONDecodeError:
        return
    if status < 400 and document.get("status") == "error":
        return
    validator(shape_of(method, path, status)).validate(document)


async def validate_reply(reply: httpx.Response) -> None:
    """`validate` as an httpx response hook."""
    content = await reply.aread()
    validate(reply.request.method, reply.request.url.path, reply.status_code, content)
