"""Webhooks on their way: what they say, their signature, what may go wrong (FACTS-calcom-retell.md section 1.10).

As Cal.com sends them by default: inside the request that changed the booking and awaited, without a timeout; whatever
comes of it is swallowed. So a receiver may see one before the reply of the request, and a slow one slows the request.
A `Weather` set from outside loses, repeats or delays some of them; delayed ones overtake each other.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from random import Random
from typing import Any

import httpx

from calcom_stub.calendar import Booking
from calcom_stub.subscriptions import WEBHOOK_VERSION, Subscription, Subscriptions, Trigger
from calcom_stub.trace import RequestTrace
from calcom_stub.wire_time import iso_ms

NO_SECRET = "no-secret-provided"


class WeatherError(ValueError):
    """The body does not describe a weather."""


@dataclass(frozen=True)
class Weather:
    """Shares (0 to 1) of deliveries that are lost, sent twice, or delayed by up to `delay_ms` wall milliseconds."""

    lost: float = 0.0
    duplicated: float = 0.0
    delayed: float = 0.0
    delay_ms: float = 0.0

    @classmethod
    def parse(cls, body: object) -> Weather:
        """What is left out is 0. Raises WeatherError."""
        names = {each.name for each in fields(cls)}
        if not isinstance(body, Mapping) or not body.keys() <= names:
            raise WeatherError(f"a weather is an object with some of {', '.join(sorted(names))}")
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in body.values()):
            raise WeatherError("all values are numbers")
        weather = cls(**body)
        if weather.delay_ms < 0 or not all(
            0 <= each <= 1 for each in (weather.lost, weather.duplicated, weather.delayed)
        ):
            raise WeatherError("shares lie between 0 and 1, delay_ms is not negative")
        return weather

    def as_json(self) -> dict[str, float]:
        return {each.name: getattr(self, each.name) for each in fields(self)}


class Webhooks:
    """Sends what subscriptions want. Must be used inside a running event loop."""

    def __init__(self, subscriptions: Subscriptions, now: Callable[[], datetime], seed: int) -> None:
        self._subscriptions = subscriptions
        self._now = now
        self._random = Random(f"{seed}:webhooks")
        self._client: httpx.AsyncClient | None = None
        self._later: set[asyncio.Task[None]] = set()
        self.weather = Weather()
        self.counts = Counter({"lost": 0, "duplicated": 0, "delayed": 0})
        """What has become of deliveries so far."""

    @property
    def on_their_way(self) -> int:
        """Delayed deliveries that have not been made yet."""
        return len(self._later)

    async def stop(self) -> None:
        """Gives up what is still on its way."""
        for task in list(self._later):
            task.cancel()
        if self._client is not None:
            await self._client.aclose()

    async def announce(
        self, trigger: Trigger, booking: Booking, trace: RequestTrace | None = None, *, old: Booking | None = None
    ) -> None:
        """Tells all who want to know; `old` is the booking that a reschedule replaced."""
        for subscription in self._subscriptions.wanting(booking.host.company_id, trigger):
            document = {
                "triggerEvent": trigger.value,
                "createdAt": iso_ms(self._now()),
                "payload": _payload(booking, old),
            }
            body = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
            await self._deliver(subscription, trigger, body, booking.uid, trace)

    async def _deliver(
        self, to: Subscription, trigger: Trigger, body: bytes, uid: str, trace: RequestTrace | None
    ) -> None:
        weather = self.weather
        if self._random.random() < weather.lost:
            self.counts["lost"] += 1
            _note(trace, "webhook_lost", trigger=trigger.value, uid=uid)
            return
        copies = 2 if self._random.random() < weather.duplicated else 1
        self.counts["duplicated"] += copies - 1
        for _ in range(copies):
            if self._random.random() < weather.delayed:
                self.counts["delayed"] += 1
                delay_s = self._random.uniform(0, weather.delay_ms) / 1000
                task = asyncio.create_task(self._send_later(delay_s, to, trigger, body, uid, trace))
                self._later.add(task)
                task.add_done_callback(self._later.discard)
            else:
                await self._send(to, trigger, body, uid, trace)

    async def _send_later(
        self, delay_s: float, to: Subscription, trigger: Trigger, body: bytes, uid: str, trace: RequestTrace | None
    ) -> None:
        await asyncio.sleep(delay_s)
        await self._send(to, trigger, body, uid, trace)

    async def _send(
        self, to: Subscription, trigger: Trigger, body: bytes, uid: str, trace: RequestTrace | None
    ) -> None:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=None, trust_env=False)
        headers = {
            "Content-Type": "application/json",
            "X-Cal-Signature-256": signature(body, to.secret),
            "X-Cal-Webhook-Version": WEBHOOK_VERSION,
        }
        began = time.monotonic()
        try:
            reply = await self._client.post(to.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            _note(trace, "webhook_failed", trigger=trigger.value, uid=uid, why=repr(error))
            return
        ms = (time.monotonic() - began) * 1000
        _note(trace, "webhook_sent", trigger=trigger.value, uid=uid, status=reply.status_code, ms=ms)


def signature(body: bytes, secret: str | None) -> str:
    """Lowercase hex HMAC-SHA256 of the raw body, without prefix or timestamp."""
    return NO_SECRET if secret is None else hmac.digest(secret.encode(), body, "sha256").hex()


def _note(trace: RequestTrace | None, event: str, **facts: object) -> None:
    if trace is not None:
        trace.emit(event, **facts)


def _payload(booking: Booking, old: Booking | None) -> dict[str, Any]:
    draft, host, attendee = booking.draft, booking.host, booking.draft.attendee
    first, _, last = attendee.name.partition(" ")
    zone = {"timeZone": host.time_zone, "language": {"locale": "en"}}
    payload: dict[str, Any] = {
        "type": draft.event_type.slug,
        "title": f"{draft.event_type.title} between {host.name} and {attendee.name}",
        "description": "",
        "additionalNotes": "",
        "customInputs": {},
        "startTime": _iso_s(booking.start),
        "endTime": _iso_s(booking.end),
        "organizer": {
            "id": host.user_id,
            "name": host.name,
            "email": host.email,
            "username": host.username,
            **zone,
            "timeFormat": "h:mma",
            "utcOffset": _offset_min(booking.start, host.zone),
        },
        "responses": {
            "name": {"label": "your_name", "value": attendee.name, "isHidden": False},
            "email": {"label": "email_address", "value": attendee.email, "isHidden": False},
            **{name: {"label": name, "value": value, "isHidden": False} for name, value in draft.responses.items()},
        },
        "userFieldsResponses": {},
        "attendees": [
            {
                "email": attendee.email,
                "name": attendee.name,
                "firstName": first,
                "lastName": last,
                "timeZone": attendee.time_zone,
                "language": {"locale": attendee.language},
                "utcOffset": _offset_min(booking.start, host.zone),
            }
        ],
        "location": draft.location or f"https://app.cal.com/video/{booking.uid}",
        "destinationCalendar": None,
        "hideCalendarNotes": False,
        "requiresConfirmation": draft.event_type.requires_confirmation,
        "eventTypeId": draft.event_type.id,
        "seatsShowAttendees": False,
        "seatsPerTimeSlot": None,
        "uid": booking.uid,
        "iCalUID": f"{booking.uid}@Cal.com",
        "eventTitle": draft.event_type.title,
        "eventDescription": "",
        "price": 0,
        "currency": "usd",
        "length": draft.event_type.length_min,
        "bookingId": booking.id,
        "metadata": dict(draft.metadata),
        "status": booking.status.value.upper(),
    }
    if old is not None:
        payload |= {
            "rescheduleId": old.id,
            "rescheduleUid": old.uid,
            "rescheduleStartTime": _iso_s(old.start),
            "rescheduleEndTime": _iso_s(old.end),
            "rescheduledBy": booking.rescheduled_by,
        }
    if booking.status.value in ("cancelled", "rejected"):
        payload |= {"cancelledBy": None, "cancellationReason": booking.cancellation_reason, "requestReschedule": False}
    return payload


def _iso_s(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}Z"


def _offset_min(at: datetime, zone: Any) -> int:
    offset = at.astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds() // 60)
