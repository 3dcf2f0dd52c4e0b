"""Bookings without the right version header reach the older controller (FACTS-calcom-retell.md section 1.13).

What a client meets that forgot the header: its new-style body fails the old validation, the reschedule route does not
exist, a missing booking has another text. The old controller's successes are not modelled, and say so.
"""

from __future__ import annotations

from collections.abc import Mapping

from calcom_stub.errors import ApiError, RawApiError, ValidationProblem, invalid_by_global_pipe, not_found

_CREATE_REQUIRED = ("start", "eventTypeId", "timeZone", "language", "metadata", "responses")


def refuse_create(body: object) -> ApiError:
    given = body if isinstance(body, Mapping) else {}
    problems = [
        ValidationProblem(name, (f"{name} should not be null or undefined",))
        for name in _CREATE_REQUIRED
        if given.get(name) is None
    ]
    return invalid_by_global_pipe(problems) if problems else not_modelled()


def refuse_get(uid: str, *, exists: bool) -> ApiError:
    return not_modelled() if exists else not_found(f"Booking with UID={uid} does not exist.")


def not_modelled() -> ApiError:
    return RawApiError(501, "calcom_stub does not model this route in version 2024-04-15; send cal-api-version")
