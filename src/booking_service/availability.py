"""Free times: Cal.com's slots, minus what the own database holds, which is the authority.

Coalesced and cached for seconds only: one recorded integrator sold stale times from a five-minute cache, and cold
caches stampeded (FACTS-calcom-retell.md section 4.1).
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from booking_service import errors
from booking_service.calcom import CalcomClient
from booking_service.flows import CalcomTiming
from booking_service.metrics import Metrics
from booking_service.payloads import CheckAvailabilityArgs
from booking_service.routing import Branch, EventType
from booking_service.settings import Durations
from booking_service.single_flight import SingleFlight
from booking_service.store import AppointmentStore

_PARALLEL_READS = 8
_ENTRIES_LIMIT = 10_000
_Key = tuple[int, datetime]


@dataclass
class _Entry:
    read_at: float
    starts: tuple[datetime, ...]
    outdated: bool = False


class SlotsCache:
    """Cal.com's free starts per event type and day, for `slots_fresh_s`; last known ones for `slots_usable_s`."""

    def __init__(self, calcom: CalcomClient, durations: Durations, metrics: Metrics) -> None:
        self._calcom = calcom
        self._durations = durations
        self._metrics = metrics
        self._entries: dict[_Key, _Entry] = {}
        self._by_person: defaultdict[int, set[_Key]] = defaultdict(set)
        self._generation: defaultdict[int, int] = defaultdict(int)
        self._flights: SingleFlight[tuple[_Key, int], tuple[datetime, ...]] = SingleFlight()

    def forget(self, person_id: int) -> None:
        """An own booking changed this person's calendar: what was read before, or is being read, is outdated."""
        self._generation[person_id] += 1
        for key in self._by_person[person_id]:
            self._entries[key].outdated = True

    def fresh(self, event_type: EventType, begin: datetime) -> tuple[datetime, ...] | None:
        """Starts that were read a moment ago."""
        entry = self._entries.get((event_type.id, begin))
        if entry is None or entry.outdated or self._age_s(entry) > self._durations.slots_fresh_s:
            return None
        self._metrics.slots_reads.labels("cache").inc()
        return entry.starts

    async def read(self, branch: Branch, event_type: EventType, begin: datetime, end: datetime) -> tuple[datetime, ...]:
        """Starts from Cal.com, or the last known ones when it does not answer in time.

        Raises:
            ServiceError: `calcom_unavailable` or `rate_limited`, and nothing usable is known.
        """
        key = (event_type.id, begin)
        generation = self._generation[event_type.person_id]
        flight = (key, generation)
        try:
            async with asyncio.timeout(self._durations.availability_deadline_s):
                return await self._flights.run(flight, lambda: self._fetch(branch, event_type, begin, end, generation))
        except TimeoutError:
            return self._last_known(key, errors.calcom_unavailable("Cal.com does not answer in time."))
        except errors.ServiceError as failure:
            return self._last_known(key, failure)

    async def _fetch(
        self, branch: Branch, event_type: EventType, begin: datetime, end: datetime, generation: int
    ) -> tuple[datetime, ...]:
        starts = await self._calcom.slots(branch.calcom_api_key, event_type.id, begin, end)
        self._metrics.slots_reads.labels("calcom").inc()
        self._keep((event_type.id, begin), event_type.person_id, starts, generation)
        return starts

    def _keep(self, key: _Key, person_id: int, starts: tuple[datetime, ...], generation: int) -> None:
        if len(self._entries) >= _ENTRIES_LIMIT:
            self._drop_unusable()
        outdated = generation != self._generation[person_id]
        self._entries[key] = _Entry(time.monotonic(), starts, outdated)
        self._by_person[person_id].add(key)

    def _drop_unusable(self) -> None:
        keep = {k: e for k, e in self._entries.items() if self._age_s(e) <= self._durations.slots_usable_s}
        self._entries = keep
        for keys in self._by_person.values():
            keys.intersection_update(keep)

    def _last_known(self, key: _Key, failure: errors.ServiceError) -> tuple[datetime, ...]:
        entry = self._entries.get(key)
        if entry is None or self._age_s(entry) > self._durations.slots_usable_s:
            raise failure
        self._metrics.slots_reads.labels("last_known").inc()
        return entry.starts

    def _age_s(self, entry: _Entry) -> float:
        return time.monotonic() - entry.read_at


class Availability:
    """The function call `check_availability`."""

    def __init__(self, slots: SlotsCache, store: AppointmentStore) -> None:
        self._slots = slots
        self._store = store

    async def check(
        self, branch: Branch, arguments: CheckAvailabilityArgs, timing: CalcomTiming
    ) -> list[dict[str, object]]:
        """Free times of a local day: `{person_id, person, start, end}`, earliest first; none of a day that is over.

        Raises:
            ServiceError: `not_found`, or Cal.com, its budget or the database fails.
        """
        offering = branch.offering(arguments.service_id, arguments.person_id)
        begin, end = branch.day(arguments.date)
        if end <= datetime.now(UTC):
            return []
        starts = await self._starts(branch, offering, begin, end, timing)
        held = await self._store.held_ranges(
            branch.company_id, {event_types[0].person_id for event_types in offering}, begin, end
        )
        free = [
            (start, event_types)
            for event_types in offering
            for start in _starts_of_all(event_types, starts)
            if not any(_overlaps(event_type, start, *each) for event_type in event_types for each in held)
        ]
        return [
            {
                "person_id": event_types[0].person_id,
                "person": branch.person(event_types[0].person_id).name,
                "start": _text(start),
                "end": _text(_range(event_types[-1], start)[1]),
            }
            for start, event_types in sorted(free, key=lambda each: (each[0], each[1][0].person_id))
        ]

    async def _starts(
        self,
        branch: Branch,
        offering: list[tuple[EventType, ...]],
        begin: datetime,
        end: datetime,
        timing: CalcomTiming,
    ) -> Mapping[int, Collection[datetime]]:
        """By event type. A part of a service has a calendar of its own, as everything that Cal.com sells."""
        wanted = [event_type for event_types in offering for event_type in event_types]
        known = {event_type.id: self._slots.fresh(event_type, begin) for event_type in wanted}
        unknown = [event_type for event_type in wanted if known[event_type.id] is None]
        if unknown:
            began = time.monotonic()
            gate = asyncio.Semaphore(_PARALLEL_READS)

            async def read(event_type: EventType) -> tuple[datetime, ...]:
                async with gate:
                    return await self._slots.read(branch, event_type, begin, end)

            try:
                found = await asyncio.gather(*(read(event_type) for event_type in unknown))
            finally:
                timing.add(time.monotonic() - began)
            known.update(zip((event_type.id for event_type in unknown), found, strict=True))
        return {event_type_id: starts or () for event_type_id, starts in known.items()}


def _starts_of_all(event_types: tuple[EventType, ...], starts: Mapping[int, Collection[datetime]]) -> set[datetime]:
    """When a service may begin so that each of its parts finds its time free."""
    begins = [{start - timedelta(minutes=each.offset_min) for start in starts[each.id]} for each in event_types]
    return set.intersection(*begins)


def _range(event_type: EventType, start: datetime) -> tuple[datetime, datetime]:
    begin = start + timedelta(minutes=event_type.offset_min)
    return begin, begin + timedelta(minutes=event_type.length_min)


def _overlaps(event_type: EventType, start: datetime, whose: int, begins: datetime, ends: datetime) -> bool:
    own_begin, own_end = _range(event_type, start)
    return event_type.person_id == whose and own_begin < ends and begins < own_end


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
