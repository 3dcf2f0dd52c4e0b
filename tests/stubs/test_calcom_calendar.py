"""The pure calendar: availability against a naive model, the unique key, uids."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calcom_stub.calendar import Attendee, Calendar, Draft, SlotKeyTakenError
from calcom_stub.wire_time import iso_ms, parse_instant
from calcom_stub.world import EventType, World, WorldError, parse_world

NOW = datetime(2027, 2, 1, tzinfo=UTC)
OPENS = datetime(2027, 3, 1, 8, tzinfo=UTC)
ERIKA = Attendee("Erika", "erika@example.com", "Europe/Berlin")
STEPS = st.tuples(st.sampled_from([5001, 5002]), st.integers(-2, 9), st.booleans())


def _event_type(world: World, event_type_id: int) -> EventType:
    event_type = world.event_type(event_type_id)
    assert event_type is not None
    return event_type


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the world is read only
@given(steps=st.lists(STEPS, max_size=20))
def test_availability_agrees_with_a_naive_model(world: World, steps: list[tuple[int, int, bool]]) -> None:
    """Inserts without a check and cancels, in any order: a time is free as the list of live bookings says."""
    calendar = Calendar()
    live: dict[str, Draft] = {}
    closes = OPENS + timedelta(hours=2)
    for event_type_id, quarter, cancels in steps:
        draft = Draft(_event_type(world, event_type_id), OPENS + timedelta(minutes=15 * quarter), ERIKA)
        overlapped = any(draft.start < other.end and other.start < draft.end for other in live.values())
        expected = draft.start >= OPENS and draft.end <= closes and not overlapped
        assert calendar.is_free(draft.host, draft.start, draft.end) is expected
        same_key = any((draft.start, draft.end) == (other.start, other.end) for other in live.values())
        if same_key:
            with pytest.raises(SlotKeyTakenError):
                calendar.insert(draft, NOW)
        else:
            live[calendar.insert(draft, NOW).uid] = draft
        if cancels:
            uid = next(iter(live))
            del live[uid]
            assert calendar.cancel(uid, None, NOW) is not None
            assert calendar.cancel(uid, None, NOW) is None
    assert calendar.live_count == len(live)


def test_a_refused_move_changes_nothing(world: World, at: Callable[..., datetime]) -> None:
    calendar = Calendar()
    event_type = _event_type(world, 5001)
    moving = calendar.insert(Draft(event_type, at(8), ERIKA), NOW)
    calendar.insert(Draft(event_type, at(9), ERIKA), NOW)

    with pytest.raises(SlotKeyTakenError):
        calendar.reschedule(moving.uid, at(9), NOW)

    assert calendar.get(moving.uid) == moving
    assert calendar.live_count == 2


def test_uids_are_22_characters_and_differ_in_the_same_instant(world: World, at: Callable[..., datetime]) -> None:
    calendar = Calendar()
    draft = Draft(_event_type(world, 5001), at(8), ERIKA)
    first = calendar.insert(draft, NOW)
    calendar.cancel(first.uid, None, NOW)
    second = calendar.insert(draft, NOW)
    assert first.uid != second.uid
    assert {len(first.uid), len(second.uid)} == {22}


def test_opening_hours_follow_the_clocks_of_the_branch(world: World) -> None:
    host = _event_type(world, 5001).host
    winter, summer = (host.opening_hours(day)[0].hour for day in (date(2027, 3, 27), date(2027, 3, 28)))
    assert (winter, summer) == (8, 7)


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(8999, 1, 1), timezones=st.timezones()))
def test_instants_survive_the_wire_to_the_millisecond(instant: datetime) -> None:
    assert abs(parse_instant(iso_ms(instant)) - instant) < timedelta(milliseconds=1)


def test_a_world_that_lacks_something_is_refused() -> None:
    with pytest.raises(WorldError, match="'branches' is missing"):
        parse_world({"companies": [{"id": 1, "calcom_api_key": "cal_x"}]})
