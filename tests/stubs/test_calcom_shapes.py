"""The schemas would notice: an answer that lacks something, or has something else, is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import ValidationError
from tests.stubs.calcom_shapes import shape_of, validator

if TYPE_CHECKING:
    from tests.stubs.conftest import RunningCalcom


async def _created(calcom: RunningCalcom) -> dict[str, Any]:
    document: dict[str, Any] = (await calcom.book("2027-03-01T08:00:00Z")).json()
    return document


@pytest.mark.parametrize("lacking", ["uid", "hosts", "attendees", "isPlatformManagedUserBooking"])
async def test_a_booking_that_lacks_something_is_refused(calcom: RunningCalcom, lacking: str) -> None:
    document = await _created(calcom)
    del document["data"][lacking]
    with pytest.raises(ValidationError):
        validator("booking_created").validate(document)


@pytest.mark.parametrize(
    ("name", "value"), [("start", "2027-03-01T08:00:00Z"), ("status", "ACCEPTED"), ("invented", 1), ("id", "7")]
)
async def test_a_booking_with_something_else_is_refused(calcom: RunningCalcom, name: str, value: object) -> None:
    document = await _created(calcom)
    document["data"][name] = value
    with pytest.raises(ValidationError):
        validator("booking_created").validate(document)


@pytest.mark.parametrize(
    "document",
    [
        {"status": "error", "error": {"code": "BadRequestException", "message": "x"}},
        {"statusCode": 500},
        {"statusCode": 500, "message": "x", "error": "y"},
        {"message": "x"},
    ],
)
def test_an_error_of_neither_shape_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validator("error").validate(document)


def test_an_answer_that_no_schema_describes_is_an_error() -> None:
    with pytest.raises(LookupError):
        shape_of("GET", "/v2/me", 200)
