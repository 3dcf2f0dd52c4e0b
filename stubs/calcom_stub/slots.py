"""Free times of one event type (FACTS-calcom-retell.md section 1.4). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from calcom_stub.calendar import Calendar
from calcom_stub.wire_time import iso_ms_in
from calcom_stub.world import EventType


@dataclass(frozen=True)
class SlotQuery:
    """`starts_from` and `starts_until` are UTC and inclusive; `zone` is that of the reply."""

    event_type: EventType
    starts_from: datetime
    starts_until: datetime
    zone: tzinfo = UTC
    with_end: bool = False
    length: timedelta | None = None
    ignoring_uid: str | None = None


def free_slots(
    calendar: Calendar, query: SlotQuery, now: datetime, hidden: Callable[[int, datetime, datetime], bool]
) -> dict[str, list[dict[str, Any]]]:
    """`{"YYYY-MM-DD": [{"start"[, "end"]}]}`: days and times in the query's zone, days without a slot left out.

    `hidden` tells of (host id, start, end) whether a reservation hides it (section 1.5).
    """
    days: dict[str, list[dict[str, Any]]] = {}
    for start, end in _free_ranges(calendar, query, max(query.starts_from, now)):
        if hidden(query.event_type.host.user_id, start, end):
            continue
        slot = {"start": iso_ms_in(start, query.zone)}
        if query.with_end:
            slot["end"] = iso_ms_in(end, query.zone)
        days.setdefault(start.astimezone(query.zone).date().isoformat(), []).append(slot)
    return days


def _free_ranges(calendar: Calendar, query: SlotQuery, earliest: datetime) -> Iterator[tuple[datetime, datetime]]:
    host = query.event_type.host
    length = query.length or query.event_type.length
    step = timedelta(minutes=query.event_type.grid_min)
    day = earliest.astimezone(host.zone).date()
    last_day = query.starts_until.astimezone(host.zone).date()
    while day <= last_day:
        start, closes = host.opening_hours(day)
        while start + length <= closes and start <= query.starts_until:
            if start >= earliest and calendar.is_free(host, start, start + length, ignoring=query.ignoring_uid):
                yield start, start + length
            start += step
        day += timedelta(days=1)
