"""The `cal-api-version` header (FACTS-calcom-retell.md section 1.2)."""

from __future__ import annotations

from starlette.datastructures import Headers

OLDEST = "2024-04-15"
EVENT_TYPES = "2024-06-14"
BOOKINGS = "2024-08-13"
SLOTS = "2024-09-04"
_KNOWN = {OLDEST, "2024-06-11", EVENT_TYPES, BOOKINGS, SLOTS}


def requested_version(headers: Headers) -> str:
    """The version that the request counts as: an absent or unknown value is the oldest one."""
    version = headers.get("cal-api-version", OLDEST)
    return version if version in _KNOWN else OLDEST
