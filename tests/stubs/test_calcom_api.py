"""Statuses, shapes and texts of the API; each test names its section of FACTS-calcom-retell.md."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.stubs.conftest import RunningCalcom

NINE = "2027-03-01T08:00:00Z"
REQUIRED_DATA = {  # section 1.6: required by the vendor's schema
    *("id", "uid", "title", "description", "hosts", "status", "start", "end", "duration", "eventTypeId", "eventType"),
    *("location", "absentHost", "createdAt", "updatedAt", "attendees", "bookingFieldsResponses"),
}

Start = Callable[..., Awaitable["RunningCalcom"]]


def _text(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["error"]["message"]


async def test_slots_as_times_in_utc_with_data_first(calcom: RunningCalcom) -> None:
    """Section 1.4."""
    reply = await calcom.slots()

    starts = ["08:00", "08:15", "08:30", "08:45", "09:00", "09:15"]
    assert reply.status_code == 200
    assert list(reply.json()) == ["data", "status"]
    assert reply.json()["data"] == {"2027-03-01": [{"start": f"2027-03-01T{start}:00.000Z"} for start in starts]}


async def test_slots_as_ranges_in_a_zone_leave_out_days_without_slot(calcom: RunningCalcom) -> None:
    """Section 1.4."""
    for start in ("08:00", "08:45"):
        await calcom.book(f"2027-03-01T{start}:00Z")
    zone = {"timeZone": "Europe/Berlin", "format": "range", "end": "2027-03-02"}

    data = (await calcom.slots(**zone)).json()["data"]

    assert list(data) == ["2027-03-02"]
    assert data["2027-03-02"][0] == {"start": "2027-03-02T09:00:00.000+01:00", "end": "2027-03-02T09:45:00.000+01:00"}


async def test_slots_of_a_slug_and_of_a_booking_to_move(calcom: RunningCalcom) -> None:
    """Section 1.4."""
    uid = (await calcom.book(NINE)).json()["data"]["uid"]
    by_slug = {"eventTypeId": None, "eventTypeSlug": "haircut", "username": "person-1"}

    busy = (await calcom.slots(**by_slug)).json()["data"]["2027-03-01"]
    ignoring = (await calcom.slots(**by_slug, bookingUidToReschedule=uid)).json()["data"]["2027-03-01"]

    assert busy[0] == {"start": "2027-03-01T08:45:00.000Z"}
    assert ignoring[0] == {"start": "2027-03-01T08:00:00.000Z"}


@pytest.mark.parametrize(
    ("parameters", "status", "text"),
    [
        ({"eventTypeId": 1}, 404, "Event Type not found"),
        ({"eventTypeId": None, "eventTypeSlug": "x", "username": "u"}, 404, "User with username u not found"),
        ({"eventTypeId": None, "eventTypeSlug": "x", "teamSlug": "t"}, 404, "Team with slug t not found"),
        ({"format": "list"}, 400, "slotFormat must be either 'range' or 'time'"),
        ({"end": "2027-02-01"}, 400, "Invalid time range given - check the 'start' and 'end' query parameters."),
        ({"end": "soon"}, 400, "end property is wrong,end must be a valid ISO 8601 date string"),
        ({"eventTypeSlug": "haircut"}, 400, "property eventTypeSlug should not exist"),
    ],
)
async def test_slots_refusals(calcom: RunningCalcom, parameters: dict[str, Any], status: int, text: str) -> None:
    """Section 1.4."""
    reply_status, message = _text(await calcom.slots(**parameters))
    assert reply_status == status
    assert text in message


async def test_a_booking_has_the_documented_fields(calcom: RunningCalcom) -> None:
    """Section 1.6."""
    reply = await calcom.book(NINE, metadata={"request_id": "r1", "attempt": 1}, guests=["guest@example.com"])

    data = reply.json()["data"]
    assert reply.status_code == 201
    assert reply.json()["status"] == "success"
    assert data.keys() >= REQUIRED_DATA
    assert (data["start"], data["end"], data["duration"]) == (
        "2027-03-01T08:00:00.000Z",
        "2027-03-01T08:45:00.000Z",
        45,
    )
    assert len(data["uid"]) == 22
    assert data["status"] == "accepted"
    assert data["metadata"] == {"request_id": "r1", "attempt": 1}
    assert data["hosts"][0]["id"] == 1001
    assert data["isPlatformManagedUserBooking"] is False
    fetched = (await calcom.api.get(f"/v2/bookings/{data['uid']}")).json()["data"]
    assert fetched == {name: value for name, value in data.items() if name != "isPlatformManagedUserBooking"}


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"end": NINE}, 400, "end property is wrong,property end should not exist "),
        ({"start": "tomorrow"}, 400, "start property is wrong,start must be a valid ISO 8601 date string "),
        ({"start": "2020-03-02T08:00:00Z"}, 400, "Attempting to book a meeting in the past."),
        (
            {"attendee": {"name": "E", "timeZone": "Europe/Berlin"}},
            400,
            "Attendee must have at least one contact method (email or phone number)",
        ),
        (
            {"attendee": {"name": "E", "timeZone": "Mars/Base", "email": "e@example.com"}},
            400,
            "attendee property is wrong, timeZone property is wrong,timeZone must be a valid IANA time-zone ",
        ),
        ({"attendee": {"name": "E", "timeZone": "UTC", "phoneNumber": "030"}}, 400, "must be a valid phone number"),
        ({"attendee": None}, 400, "attendee should not be null or undefined"),
        ({"metadata": {"k" * 41: "v"}}, 400, "metadata property is wrong,"),
        ({"eventTypeId": None}, 400, "Either eventTypeId or eventTypeSlug + username or eventTypeSlug + teamSlug"),
        ({"eventTypeId": 77}, 404, "Event type with id 77 not found."),
        (
            {"eventTypeId": None, "eventTypeSlug": "s", "username": "u"},
            404,
            "Event type with slug s belonging to user u not found.",
        ),
        (
            {"eventTypeId": None, "eventTypeSlug": "s", "teamSlug": "t", "organizationSlug": "o"},
            404,
            "Event type with slug s belonging to team t within organization o not found.",
        ),
        ({"lengthInMinutes": 30}, 400, "lengthInMinutes"),
        ({"start": "2027-03-01T07:45:00Z"}, 400, "User either already has booking at this time or is not available"),
        ({"start": "2027-03-01T09:30:00Z"}, 400, "User either already has booking at this time or is not available"),
    ],
)
async def test_booking_refusals(calcom: RunningCalcom, change: dict[str, Any], status: int, text: str) -> None:
    """Sections 1.3 and 1.6; the last two are outside opening hours."""
    reply = await calcom.post_booking({**calcom.wish(NINE), **change})

    reply_status, message = _text(reply)
    assert reply_status == status
    assert text in message
    assert await calcom.ledger() == []


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"", "Body is required"), (b"[]", "Body should be an object"), (b"{", "Body is not valid JSON")],
)
async def test_bodies_that_are_no_objects(calcom: RunningCalcom, content: bytes, text: str) -> None:
    """Section 1.3."""
    status, message = _text(await calcom.api.post("/v2/bookings", content=content))
    assert status == 400
    assert message.startswith(text)


async def test_a_start_may_be_any_instant_with_any_offset(calcom: RunningCalcom) -> None:
    data = (await calcom.book("2027-03-01T09:07:30+01:00")).json()["data"]
    assert data["start"] == "2027-03-01T08:07:30.000Z"


async def test_cancelling_twice_is_an_error(calcom: RunningCalcom) -> None:
    """Section 1.8."""
    uid = (await calcom.book(NINE)).json()["data"]["uid"]

    first, second = await calcom.cancel(uid, cancellationReason="caller"), await calcom.cancel(uid)

    assert first.status_code == 200
    assert first.json()["data"]["status"] == "cancelled"
    assert first.json()["data"]["cancellationReason"] == "caller"
    assert _text(second) == (
        400,
        f"Can't cancel booking with uid={uid} because it has been cancelled already. "
        "Please provide uid of a booking that is not cancelled.",
    )
    assert (await calcom.book(NINE)).status_code == 201, "a cancelled booking frees its time and its key"


async def test_cancelling_what_has_ended_is_a_raw_error(start_calcom: Start) -> None:
    """Section 1.8."""
    now = [datetime(2027, 3, 1, tzinfo=UTC)]
    calcom = await start_calcom(now=lambda: now[0])
    uid = (await calcom.book(NINE)).json()["data"]["uid"]
    now[0] = datetime(2027, 3, 2, tzinfo=UTC)

    reply = await calcom.cancel(uid)

    assert reply.status_code == 400
    assert reply.json() == {"statusCode": 400, "message": "Cannot cancel a booking that has already ended"}


async def test_a_reschedule_makes_a_new_booking_and_ends_the_old_one(calcom: RunningCalcom) -> None:
    """Section 1.8; the new time overlaps the old one, which does not count."""
    old_uid = (await calcom.book(NINE)).json()["data"]["uid"]

    reply = await calcom.reschedule(old_uid, "2027-03-01T08:15:00Z", reschedulingReason="later")

    new = reply.json()["data"]
    old = (await calcom.api.get(f"/v2/bookings/{old_uid}")).json()["data"]
    assert reply.status_code == 201
    assert (new["rescheduledFromUid"], new["reschedulingReason"]) == (old_uid, "later")
    assert new["uid"] != old_uid
    assert (old["status"], old["rescheduledToUid"]) == ("cancelled", new["uid"])
    again = _text(await calcom.reschedule(old_uid, NINE))
    assert again[0] == 400
    assert f"cancelled and rescheduled already to booking with uid={new['uid']}" in again[1]
    await calcom.cancel(new["uid"])
    cancelled = _text(await calcom.reschedule(new["uid"], NINE))
    assert cancelled[0] == 400
    assert cancelled[1].startswith(f"Can't reschedule booking with uid={new['uid']} because it has been cancelled")


async def test_a_reschedule_onto_its_own_time_or_a_taken_one(calcom: RunningCalcom) -> None:
    """Sections 1.8 and 1.11."""
    uid = (await calcom.book(NINE)).json()["data"]["uid"]
    await calcom.book("2027-03-02T08:00:00Z")

    onto_itself = await calcom.reschedule(uid, NINE)
    taken = await calcom.reschedule(onto_itself.json()["data"]["uid"], "2027-03-02T08:30:00Z")

    assert onto_itself.status_code == 201
    assert _text(taken) == (400, "User either already has booking at this time or is not available")


async def test_unknown_bookings(calcom: RunningCalcom) -> None:
    """Section 1.8."""
    missing = "Booking with uid=nope was not found in the database"
    assert _text(await calcom.api.get("/v2/bookings/nope")) == (404, missing)
    assert _text(await calcom.reschedule("nope", NINE)) == (404, missing)
    assert _text(await calcom.cancel("nope")) == (404, "Booking with uid=nope not found")


async def test_the_list_filters_sorts_and_pages(calcom: RunningCalcom) -> None:
    """Section 1.7."""
    hans = {"name": "Hans", "email": "hans@example.com", "timeZone": "Europe/Berlin"}
    uids = [
        (await calcom.book("2027-03-02T08:00:00Z")).json()["data"]["uid"],
        (await calcom.book("2027-03-01T08:00:00Z", attendee=hans)).json()["data"]["uid"],
        (await calcom.book("2027-03-03T08:00:00Z", event_type_id=5003)).json()["data"]["uid"],
    ]
    await calcom.cancel(uids[2])

    async def listed(**parameters: Any) -> list[int]:
        data = (await calcom.listed(**parameters)).json()["data"]
        return [uids.index(booking["uid"]) for booking in data]

    assert await listed() == [1, 0, 2]
    assert await listed(status="upcoming") == [1, 0]
    assert await listed(status="cancelled,past") == [2]
    assert await listed(attendeeEmail="hans@example.com") == [1]
    assert await listed(eventTypeIds="5003,77") == [2]
    assert await listed(eventTypeId=5001, afterStart="2027-03-02T00:00:00Z") == [0]
    assert await listed(beforeEnd="2027-03-01T08:45:00Z") == [1]
    assert await listed(bookingUid=uids[0]) == [0]
    assert await listed(sortCreated="desc") == [2, 1, 0]
    assert await listed(afterCreatedAt="2100-01-01T00:00:00Z") == []
    page = (await calcom.listed(take=2, skip=2, sortStart="asc")).json()
    assert [booking["uid"] for booking in page["data"]] == [uids[2]]
    assert page["pagination"] == {
        "returnedItems": 1,
        "totalItems": 3,
        "itemsPerPage": 2,
        "remainingItems": 0,
        "currentPage": 2,
        "totalPages": 2,
        "hasNextPage": False,
        "hasPreviousPage": True,
    }


async def test_the_list_shows_the_own_company_only(calcom: RunningCalcom) -> None:
    await calcom.book(NINE)
    headers = {"Authorization": "Bearer cal_fischer"}
    assert (await calcom.api.get("/v2/bookings", headers=headers)).json()["data"] == []


@pytest.mark.parametrize(("name", "value"), [("take", "251"), ("skip", "-1"), ("status", "live"), ("afterStart", "x")])
async def test_list_refusals_have_the_global_shape(calcom: RunningCalcom, name: str, value: str) -> None:
    """Section 1.3: unknown keys are dropped, failures are in details.errors."""
    reply = await calcom.listed(**{name: value, "unknown": "key"})
    assert _text(reply) == (400, "Bad Request Exception")
    assert [problem["property"] for problem in reply.json()["error"]["details"]["errors"]] == [name]


@pytest.mark.parametrize(
    ("method", "path", "version", "status", "text"),
    [
        ("POST", "/v2/bookings", "2024-09-04", 404, "Cannot POST /v2/bookings"),
        ("GET", "/v2/slots?start=2027-03-01", "2024-08-13", 404, "Cannot GET /v2/slots?start=2027-03-01"),
        ("GET", "/v2/slots?start=2027-03-01", None, 404, "Cannot GET /v2/slots?start=2027-03-01"),
        ("POST", "/v2/bookings", None, 400, "Bad Request Exception"),
        ("POST", "/v2/bookings", "2026-02-25", 400, "Bad Request Exception"),
        ("POST", "/v2/bookings/x/reschedule", "2024-04-15", 404, "Cannot POST /v2/bookings/x/reschedule"),
        ("GET", "/v2/bookings/x", None, 404, "Booking with UID=x does not exist."),
        ("PUT", "/v2/bookings", "2024-08-13", 404, "Cannot PUT /v2/bookings"),
        ("GET", "/v1/bookings", "2024-08-13", 404, "Cannot GET /v1/bookings"),
    ],
)
async def test_wrong_versions_and_paths(
    calcom: RunningCalcom, method: str, path: str, version: str | None, status: int, text: str
) -> None:
    """Sections 1.2 and 1.13."""
    calcom.api.headers.pop("cal-api-version")
    headers = {"cal-api-version": version} if version else {}
    reply = await calcom.api.request(method, path, json=calcom.wish(NINE), headers=headers)
    assert _text(reply) == (status, text)
    assert reply.json()["path"] == path


@pytest.mark.parametrize(
    ("path", "credential", "status", "text"),
    [
        ("/v2/bookings", "Bearer cal_wrong", 401, "ApiAuthStrategy - api key - Your api key is not valid"),
        ("/v2/bookings/x", "Bearer cal_wrong", 401, "ApiAuthStrategy - api key - Your api key is not valid"),
        ("/v2/bookings/x", "Bearer other", 401, "ApiAuthStrategy - access token - Invalid Access Token."),
        ("/v2/bookings/x", "", 404, "Booking with uid=x was not found in the database"),
        ("/v2/bookings", "Bearer other", 403, "PermissionsGuard - no oAuth client found for access token=other"),
        ("/v2/bookings", "", 403, "PermissionsGuard - no authentication provided. Provide either authorization"),
    ],
)
async def test_credentials(calcom: RunningCalcom, path: str, credential: str, status: int, text: str) -> None:
    """Section 1.1."""
    reply_status, message = _text(await calcom.api.get(path, headers={"Authorization": credential}))
    assert reply_status == status
    assert message.startswith(text)


async def test_the_rate_limit_blocks_and_says_so(start_calcom: Start) -> None:
    """Section 1.9; the limit of 1 a minute is two at time scale 2. Control is not limited."""
    calcom = await start_calcom(requests_per_min=1, time_scale=2.0)

    admitted = [await calcom.api.get("/v2/bookings/x") for _ in range(2)]
    blocked = await calcom.slots()
    by_another = await calcom.api.get("/v2/bookings", headers={"Authorization": "Bearer cal_fischer"})

    assert [reply.headers["X-RateLimit-Remaining-Default"] for reply in admitted] == ["1", "0"]
    assert _text(blocked) == (429, "CustomThrottlerGuard - Too many requests. Please try again later.")
    assert blocked.json()["error"]["code"] == "ThrottlerException"
    assert isinstance(blocked.json()["error"]["details"], str)
    assert blocked.headers["X-RateLimit-Limit-Default"] == "2"
    assert 0 < int(blocked.headers["X-RateLimit-Reset-Default"]) <= 60
    assert "Retry-After" not in blocked.headers
    assert by_another.status_code == 200
    state = await calcom.state()
    assert (state["requests_last_min"], state["requests_per_min"]) == (3, 2)
    assert state["blocked_until_ns"] > 0


async def test_an_account_far_over_the_limit_is_suspended(start_calcom: Start) -> None:
    """Section 4.1; five minutes are 0.3 s at time scale 1000."""
    calcom = await start_calcom(requests_per_min=1, time_scale=1000.0)
    for _ in range(20_000):
        reply = await calcom.api.get("/v2/bookings/x")
        if reply.status_code == 403:
            break
    assert _text(reply) == (403, "This account has been suspended.")
    assert (await calcom.state())["accounts_suspended"] == 1


async def test_every_reply_has_its_own_request_id(calcom: RunningCalcom) -> None:
    """Section 1.3."""
    replies = [await calcom.slots(), await calcom.slots(), await calcom.api.get("/nowhere")]
    assert len({reply.headers["X-Request-Id"] for reply in replies}) == 3
