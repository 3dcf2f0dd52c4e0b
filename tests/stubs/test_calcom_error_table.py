"""What Cal.com says no with: status, shape and exact text, each with its section of FACTS-calcom-retell.md.

The shape is held against tests/stubs/calcom_schemas by the clients themselves (`calcom_shapes.validate_reply`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.stubs.conftest import RunningCalcom

NINE = "2027-03-01T08:00:00Z"
ERIKA = {"name": "Erika", "email": "erika@example.com", "timeZone": "Europe/Berlin"}
WISH = {"start": NINE, "eventTypeId": 5001, "attendee": ERIKA}
CANCELLED = (
    "Can't cancel booking with uid={uid} because it has been cancelled already. "
    "Please provide uid of a booking that is not cancelled."
)
MOVED_CANCELLED = (
    "Can't reschedule booking with uid={uid} because it has been cancelled. "
    "Please provide uid of a booking that is not cancelled."
)
THROTTLED = "CustomThrottlerGuard - Too many requests. Please try again later."


@dataclass(frozen=True)
class Row:
    """A request, after what came before it, and the answer. `{uid}` stands for the booking made before."""

    section: str
    what: str
    method: str
    path: str
    status: int
    text: str
    code: str | None = None
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    before: str = ""

    @property
    def name(self) -> str:
        return f"{self.section} {self.what}"


SLOT_QUERY = "/v2/slots?eventTypeId=5001&start=2027-03-01&end=2027-03-01"
TABLE = [
    Row("1.1", "unknown key", "POST", "/v2/bookings", 401, "ApiAuthStrategy - api key - Your api key is not valid",
        "UnauthorizedException", WISH, {"Authorization": "Bearer cal_nobody"}),
    Row("1.1", "no key where one is needed", "GET", "/v2/bookings", 403,
        "PermissionsGuard - no authentication provided. Provide either authorization bearer token containing managed "
        "user access token or oAuth client id in 'x-cal-client-id' header.", "ForbiddenException",
        headers={"Authorization": ""}),
    Row("1.2", "bookings with the version of slots", "POST", "/v2/bookings", 404, "Cannot POST /v2/bookings",
        "NotFoundException", WISH, {"cal-api-version": "2024-09-04"}),
    Row("1.2", "slots with the version of bookings", "GET", SLOT_QUERY, 404, f"Cannot GET {SLOT_QUERY}",
        "NotFoundException"),
    Row("1.2", "slots without a version", "GET", SLOT_QUERY, 404, f"Cannot GET {SLOT_QUERY}", "NotFoundException",
        headers={"cal-api-version": ""}),
    Row("1.3", "unknown key in the body", "POST", "/v2/bookings", 400,
        "end property is wrong,property end should not exist ", "BadRequestException", {**WISH, "end": NINE}),
    Row("1.3", "no body", "POST", "/v2/bookings", 400, "Body is required", "BadRequestException"),
    Row("1.3", "body that is no object", "POST", "/v2/bookings", 400, "Body should be an object",
        "BadRequestException", [1]),
    Row("1.6", "neither e-mail nor phone", "POST", "/v2/bookings", 400,
        "attendee property is wrong,Attendee must have at least one contact method (email or phone number) ",
        "BadRequestException", {**WISH, "attendee": {"name": "E", "timeZone": "Europe/Berlin"}}),
    Row("1.6", "no event type named", "POST", "/v2/bookings", 400,
        "Either eventTypeId or eventTypeSlug + username or eventTypeSlug + teamSlug must be provided",
        "BadRequestException", {"start": NINE, "attendee": ERIKA}),
    Row("1.6", "unknown event type", "POST", "/v2/bookings", 404, "Event type with id 17 not found.",
        "NotFoundException", {**WISH, "eventTypeId": 17}),
    Row("1.6", "in the past", "POST", "/v2/bookings", 400, "Attempting to book a meeting in the past.",
        "BadRequestException", {**WISH, "start": "2020-01-01T08:00:00Z"}),
    Row("1.6", "taken", "POST", "/v2/bookings", 400,
        "User either already has booking at this time or is not available", "BadRequestException", WISH,
        before="booked"),
    Row("1.8", "get an unknown booking", "GET", "/v2/bookings/x", 404,
        "Booking with uid=x was not found in the database", "NotFoundException"),
    Row("1.8", "cancel an unknown booking", "POST", "/v2/bookings/x/cancel", 404, "Booking with uid=x not found",
        "NotFoundException", {}),
    Row("1.8", "cancel twice", "POST", "/v2/bookings/{uid}/cancel", 400, CANCELLED, "BadRequestException", {},
        before="cancelled"),
    Row("1.8", "move a cancelled booking", "POST", "/v2/bookings/{uid}/reschedule", 400, MOVED_CANCELLED,
        "BadRequestException", {"start": NINE}, before="cancelled"),
    Row("1.8", "confirm a confirmed booking", "POST", "/v2/bookings/{uid}/confirm", 400, "Booking already confirmed",
        "TRPCError", {}, before="booked"),
    Row("1.9", "limit exceeded", "GET", "/v2/bookings", 429, THROTTLED, "ThrottlerException", before="at the limit"),
    Row("1.10", "webhook registered twice", "POST", "/v2/webhooks", 409,
        "Invalid Input: Trying to create a record that already exists.", "CONFLICT",
        {"active": True, "subscriberUrl": "http://a/", "triggers": ["BOOKING_CREATED"]}, before="webhook"),
]  # fmt: skip


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
async def test_the_answer_is_the_documented_one(
    start_calcom: Callable[..., Awaitable[RunningCalcom]], row: Row
) -> None:
    calcom = await start_calcom(requests_per_min=3)
    uid = await _before(calcom, row)
    body = {} if row.body is None else {"json": row.body}

    reply = await calcom.api.request(row.method, row.path.format(uid=uid), headers=row.headers, **body)

    assert reply.status_code == row.status
    error = reply.json()["error"]
    assert (error["message"], error["code"]) == (row.text.format(uid=uid), row.code)
    assert reply.headers["X-RateLimit-Limit-Default"] == "3"


async def _before(calcom: RunningCalcom, row: Row) -> str:
    if row.before in ("booked", "cancelled"):
        uid: str = (await calcom.book(NINE)).json()["data"]["uid"]
        if row.before == "cancelled":
            await calcom.cancel(uid)
        return uid
    if row.before == "at the limit":
        for _ in range(3):
            assert (await calcom.listed()).status_code == 200
    elif row.before == "webhook":
        await calcom.api.post(row.path, json=row.body)
    return ""
