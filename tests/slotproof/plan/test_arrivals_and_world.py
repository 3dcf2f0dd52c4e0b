"""The same seed plans the same calls and the same people."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from slotproof.plan.arrivals import arrival_times_s
from slotproof.plan.scenario import Load, LoadPhase, Options
from slotproof.plan.world import World, default_anchor, make_world, start_times_s

LOAD = Load(warm_up_s=30, phases=(LoadPhase(calls_per_s=1.5, duration_s=420),))


@given(st.integers())
def test_arrivals_are_ascending_inside_the_load_and_repeatable(seed: int) -> None:
    times = arrival_times_s(LOAD, seed)
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] < LOAD.duration_s
    assert times == arrival_times_s(LOAD, seed)


def test_poisson_arrivals_have_the_declared_rate() -> None:
    counts = [len(arrival_times_s(LOAD, seed)) for seed in range(100)]
    expected = 1.5 * 450
    # The mean of 100 Poisson counts of 675 has a standard deviation of 2.6.
    assert abs(sum(counts) / 100 - expected) < 5 * 2.6


def test_fixed_arrivals_are_evenly_spaced() -> None:
    load = Load(warm_up_s=0, phases=(LoadPhase(arrivals="fixed", calls_per_s=2, duration_s=3),))
    assert arrival_times_s(load, 1) == [0.25, 0.75, 1.25, 1.75, 2.25, 2.75]


def test_a_world_is_repeatable_and_survives_its_file(tmp_path: Path) -> None:
    world = make_world(Options(companies=2), 7, date(2027, 3, 1))
    assert world == make_world(Options(companies=2), 7, date(2027, 3, 1))
    assert world != make_world(Options(companies=2), 8, date(2027, 3, 1))
    world.save(tmp_path / "world.json")
    assert World.load(tmp_path / "world.json") == world
    people = [person for _, _, person in world.people()]
    assert len({person.calcom_username for person in people}) == len(people) == 16


def test_start_times_end_before_closing() -> None:
    world = make_world(Options(opens_min=540, closes_min=660, service_min=45, grid_min=15), 7, date(2027, 3, 1))
    branch = world.companies[0].branches[0]
    starts = start_times_s(branch, branch.people[0], branch.services[0], date(2027, 3, 1))
    assert [(start - starts[0]) // 60 for start in starts] == [0, 15, 30, 45, 60, 75]
    assert (starts[0] // 60) % (24 * 60) == 8 * 60  # nine o'clock in Berlin is eight in UTC, in March before the switch


def test_a_service_of_several_parts_has_an_event_type_for_each() -> None:
    options = Options(companies=2, service_min=120, parts_min=((0, 45), (90, 30)))
    world = make_world(options, 7, date(2027, 3, 1))
    ids = [event_type.id for _, _, person in world.people() for event_type in person.event_types]
    assert len(set(ids)) == len(ids) == 2 * 16
    for _, branch, person in world.people():
        assert person.parts_min(branch.services[0]) == [(0, 45), (90, 30)]
    branch = world.companies[0].branches[0]
    last = start_times_s(branch, branch.people[0], branch.services[0], date(2027, 3, 1))[-1]
    assert (last // 60) % (24 * 60) == 15 * 60, "16:00 in Berlin: over at 18:00"


@pytest.mark.parametrize(
    "parts_min",
    [
        [[15, 105]],  # does not begin at 0
        [[0, 45], [30, 90]],  # they overlap
        [[0, 45], [60, 30]],  # ends before service_min
        [[0, 0], [90, 30]],  # no length
        [[90, 30], [0, 45]],  # not in order
    ],
)
def test_parts_that_do_not_fit_are_refused(parts_min: list[list[int]]) -> None:
    with pytest.raises(ValidationError, match="parts_min lists"):
        Options.model_validate({"service_min": 120, "parts_min": parts_min})


def test_a_service_of_several_parts_is_not_moved() -> None:
    with pytest.raises(ValidationError, match="move_share must be 0"):
        Options(service_min=120, parts_min=((0, 45), (90, 30)), move_share=0.1)


def test_the_anchor_is_a_monday_in_the_future() -> None:
    for day in range(1, 29):
        anchor = default_anchor(date(2026, 11, day))
        assert anchor.weekday() == 0
        assert (anchor - date(2026, 11, day)).days >= 30
