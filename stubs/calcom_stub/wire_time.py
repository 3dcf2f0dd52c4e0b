"""Instants as Cal.com writes and reads them (FACTS-calcom-retell.md sections 1.4 and 1.6)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, tzinfo
from zoneinfo import ZoneInfo

_DATE_ONLY = re.compile(r"\d{4}-\d{2}-\d{2}")
_YEARS = range(1970, 9000)  # arithmetic on a parsed instant (adding a length, changing zones) must not overflow


def parse_instant(text: str) -> datetime:
    """An ISO 8601 instant as an aware UTC datetime; without an offset it is UTC. Raises ValueError."""
    parsed = datetime.fromisoformat(text)
    if parsed.year not in _YEARS:
        raise ValueError(f"year {parsed.year} is out of range")
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def parse_range_end(text: str) -> datetime:
    """As `parse_instant`, except that a bare date means its last second (section 1.4)."""
    instant = parse_instant(text)
    if _DATE_ONLY.fullmatch(text):
        return datetime.combine(instant.date(), time(23, 59, 59), UTC)
    return instant


def iso_ms(instant: datetime) -> str:
    """UTC with milliseconds: `2027-03-01T08:00:00.000Z`."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_ms_in(instant: datetime, zone: tzinfo) -> str:
    """As `iso_ms` for UTC; in any other zone with its offset: `2027-03-01T09:00:00.000+01:00`."""
    if zone in (UTC, ZoneInfo("UTC")):
        return iso_ms(instant)
    return instant.astimezone(zone).isoformat(timespec="milliseconds")
