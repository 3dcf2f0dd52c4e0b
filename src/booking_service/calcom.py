"""The Cal.com client: versions, total deadlines, budget, and a definite word about each outcome.

FACTS-calcom-retell.md sections 1.2 (versions), 1.4 (slots), 1.6 to 1.8 (bookings), 1.9 (limits).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import aiohttp

from booking_service import errors
from booking_service.budget import (
    AVAILABILITY_RESERVE,
    BOOKING_RESERVE,
    RECONCILER_RESERVE,
    WINDOW_S,
    RequestBudget,
)
from booking_service.calcom_wire import (
    CalcomBooking,
    MalformedReplyError,
    booking_of,
    page_of,
    says_gone,
    says_taken,
    slots_of,
)
from booking_service.metrics import Metrics
from booking_service.outcomes import Accepted, Gone, Outcome, Rejected, Taken, Unknown
from booking_service.settings import Durations
from booking_service.trace import Trace, traceparent

BOOKINGS_VERSION = "2024-08-13"
SLOTS_VERSION = "2024-09-04"
PAGE_SIZE = 250
_KEEPALIVE_S = 4.0
"""Below the five seconds after which many servers close: a POST on a closed connection has an unknown outcome."""

_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_LOST = (aiohttp.ClientError, OSError, TimeoutError)


@dataclass(frozen=True)
class NewBooking:
    """What is asked of Cal.com for one appointment."""

    event_type_id: int
    start: datetime
    time_zone: str
    name: str
    phone: str
    appointment_id: UUID
    call_ref: str
    request_ref: str | None

    def body(self) -> dict[str, object]:
        metadata = {"appointment_id": str(self.appointment_id), "call_id": self.call_ref}
        if self.request_ref is not None:
            metadata["request_id"] = self.request_ref
        return {
            "start": utc_text(self.start),
            "eventTypeId": self.event_type_id,
            "attendee": {
                "name": self.name,
                "timeZone": self.time_zone,
                "phoneNumber": self.phone,
                "email": f"{self.appointment_id}@callers.invalid",
            },
            "metadata": metadata,
        }


@dataclass(frozen=True)
class _Reply:
    status: int
    body: bytes
    headers: Mapping[str, str]


class CalcomClient:
    """Requests to Cal.com on behalf of one company each. Budgets are per API key and live as long as the client."""

    def __init__(
        self, base_url: str, requests_per_min: float, durations: Durations, trace: Trace, metrics: Metrics
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._requests_per_min = requests_per_min
        self._durations = durations
        self._trace = trace
        self._metrics = metrics
        self._budgets: dict[str, RequestBudget] = {}
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._durations.calcom_connect_s),
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def budget(self, api_key: str) -> RequestBudget:
        if api_key not in self._budgets:
            self._budgets[api_key] = RequestBudget(self._requests_per_min)
        return self._budgets[api_key]

    async def admit(self, api_key: str, requests: int = 1) -> None:
        """Takes budget for booking requests, to be sent at once. Raises `ServiceError` `rate_limited`."""
        for taken in range(requests):
            try:
                await self.budget(api_key).acquire(self._durations.calcom_budget_wait_s, BOOKING_RESERVE)
            except errors.ServiceError:
                self.give_back(api_key, taken)
                raise

    def give_back(self, api_key: str, requests: int = 1) -> None:
        """Returns the budget of requests that were not sent after all."""
        for _ in range(requests):
            self.budget(api_key).give_back()

    async def create(self, api_key: str, booking: NewBooking) -> Outcome:
        """POST /v2/bookings; the budget was taken with `admit`. Never raises for what Cal.com or the link does.

        A reply counts as an acceptance only when it is our own booking: Cal.com may return an older one of another
        caller (section 1.11), which names another appointment and means that ours was not made.
        """
        reply = await self._send("create", api_key, "POST", "/v2/bookings", booking.body())
        outcome = _outcome(reply, created=201)
        if isinstance(outcome, Accepted):
            return _own(outcome.bookings[0], booking)
        return Rejected(outcome.why) if isinstance(outcome, Gone) else outcome

    async def cancel(self, api_key: str, uid: str, reason: str) -> Outcome:
        """POST /v2/bookings/{uid}/cancel; a booking that is gone already counts as cancelled by the callers."""
        path = f"/v2/bookings/{uid}/cancel"
        return _outcome(await self._send("cancel", api_key, "POST", path, {"cancellationReason": reason}), created=200)

    async def reschedule(self, api_key: str, uid: str, start: datetime) -> Outcome:
        """POST /v2/bookings/{uid}/reschedule: a new booking with a new uid replaces the old one."""
        body = {"start": utc_text(start), "reschedulingReason": "caller"}
        outcome = _outcome(
            await self._send("reschedule", api_key, "POST", f"/v2/bookings/{uid}/reschedule", body), created=201
        )
        if isinstance(outcome, Accepted) and outcome.bookings[0].start != start:
            return Unknown("the reply is not the booking that was asked for")
        return outcome

    async def slots(self, api_key: str, event_type_id: int, start: datetime, end: datetime) -> tuple[datetime, ...]:
        """The free starts of one event type. Takes its own budget.

        Raises:
            ServiceError: `rate_limited` or `calcom_unavailable`.
        """
        await self.budget(api_key).acquire(self._durations.calcom_budget_wait_s, AVAILABILITY_RESERVE)
        query = {"eventTypeId": str(event_type_id), "start": utc_text(start), "end": utc_text(end)}
        reply = await self._send("slots", api_key, "GET", "/v2/slots", query, version=SLOTS_VERSION)
        try:
            return slots_of(_body_of(reply))
        except MalformedReplyError as malformed:
            raise errors.calcom_unavailable(str(malformed)) from malformed

    async def bookings_between(self, api_key: str, after: datetime, before: datetime) -> tuple[CalcomBooking, ...]:
        """The bookings that start after and end before these times. Takes its own budget.

        Raises:
            ServiceError: `rate_limited` or `calcom_unavailable`.
        """
        query = {"afterStart": utc_text(after), "beforeEnd": utc_text(before), "sortCreated": "asc"}
        pages = self._listed("read_back", api_key, query, self._durations.calcom_budget_wait_s, BOOKING_RESERVE)
        return tuple([booking async for booking in pages])

    async def bookings(self, api_key: str, updated_after: datetime) -> AsyncIterator[CalcomBooking]:
        """All bookings created or changed since, oldest first. Takes its own budget.

        Raises:
            ServiceError: `rate_limited` or `calcom_unavailable`.
        """
        query = {"afterUpdatedAt": utc_text(updated_after), "sortCreated": "asc"}
        pages = self._listed("list", api_key, query, self._durations.reconcile_period_s, RECONCILER_RESERVE)
        async for booking in pages:
            yield booking

    async def _listed(
        self, what: str, api_key: str, query: Mapping[str, str], budget_wait_s: float, reserve: float
    ) -> AsyncIterator[CalcomBooking]:
        """What a query of GET /v2/bookings finds, page by page, each for a request of the budget.

        Sorted by creation, which never changes: what is updated while pages are read may be seen twice, but nothing
        is missed.
        """
        skip = 0
        while True:
            await self.budget(api_key).acquire(budget_wait_s, reserve)
            page_query = {**query, "take": str(PAGE_SIZE), "skip": str(skip)}
            reply = await self._send(what, api_key, "GET", "/v2/bookings", page_query)
            try:
                page = page_of(_body_of(reply))
            except MalformedReplyError as malformed:
                raise errors.calcom_unavailable(str(malformed)) from malformed
            for booking in page.data:
                yield booking
            if not page.pagination.has_next_page or not page.data:
                return
            skip += len(page.data)

    async def _send(
        self,
        what: str,
        api_key: str,
        method: str,
        path: str,
        payload: Mapping[str, object],
        version: str = BOOKINGS_VERSION,
    ) -> _Reply | Rejected | Unknown:
        """One request with one total deadline, never repeated. A failure before anything was sent is `Rejected`."""
        if self._session is None:
            raise RuntimeError("the Cal.com client is not open")
        headers = {
            "Authorization": f"Bearer {api_key}",
            "cal-api-version": version,
            "traceparent": traceparent(),
        }
        query = {key: str(value) for key, value in payload.items()} if method == "GET" else None
        began = time.monotonic()
        self._trace.write("calcom_sent", what=what)
        try:
            async with (
                asyncio.timeout(self._durations.calcom_request_s),
                self._session.request(
                    method,
                    self._base_url + path,
                    params=query,
                    json=None if method == "GET" else payload,
                    headers=headers,
                ) as response,
            ):
                reply = _Reply(response.status, await response.read(), response.headers)
        except _NOT_SENT as failure:
            self._lost(what, failure)
            return Rejected(f"Cal.com cannot be reached: {failure}")
        except _LOST as failure:
            self._lost(what, failure)
            return Unknown(f"no reply from Cal.com: {type(failure).__name__}")
        self._replied(what, reply, time.monotonic() - began)
        if reply.status == 429:
            self.budget(api_key).block(_block_s(reply.headers))
        return reply

    def _replied(self, what: str, reply: _Reply, seconds: float) -> None:
        self._trace.write("calcom_replied", what=what, status=reply.status, ms=round(seconds * 1000, 3))
        self._metrics.calcom_requests.labels(what, str(reply.status)).inc()
        self._metrics.calcom_seconds.labels(what).observe(seconds)

    def _lost(self, what: str, failure: BaseException) -> None:
        self._trace.write("calcom_lost", what=what, why=type(failure).__name__)
        self._metrics.calcom_requests.labels(what, "lost").inc()


def utc_text(at: datetime) -> str:
    """ISO-8601 in UTC with milliseconds, as Cal.com writes it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _block_s(headers: Mapping[str, str]) -> float:
    """How long Cal.com blocks: its reset header counts whole seconds, not scaled (section 1.9)."""
    text = headers.get("X-RateLimit-Reset-Default", "")
    return float(text) if text.isdigit() else WINDOW_S


def _body_of(reply: _Reply | Rejected | Unknown) -> bytes:
    """The body of a successful read. Raises `ServiceError`."""
    if isinstance(reply, Rejected | Unknown):
        raise errors.calcom_unavailable(reply.why)
    if reply.status == 429:
        raise errors.rate_limited()
    if reply.status != 200:
        raise errors.calcom_unavailable(f"Cal.com answered {reply.status}.")
    return reply.body


def _outcome(reply: _Reply | Rejected | Unknown, created: int) -> Outcome:
    if isinstance(reply, Rejected | Unknown):
        return reply
    if reply.status == created:
        try:
            return Accepted((booking_of(reply.body),))
        except MalformedReplyError as malformed:
            return Unknown(str(malformed))
    if says_taken(reply.status, reply.body):
        return Taken(f"Cal.com answered {reply.status}")
    if says_gone(reply.status, reply.body):
        return Gone(f"Cal.com answered {reply.status}")
    if 400 <= reply.status < 500:
        return Rejected(f"Cal.com answered {reply.status}", rate_limited=reply.status == 429)
    return Unknown(f"Cal.com answered {reply.status}")


def _own(received: CalcomBooking, asked: NewBooking) -> Outcome:
    if received.appointment_id != asked.appointment_id:
        return Taken("Cal.com returned an existing booking of somebody else")
    if not received.accepted or received.start != asked.start:
        return Unknown(f"our booking is {received.status} at {received.start}")
    return Accepted((received,))
