"""What a run is said to have exercised."""

from __future__ import annotations

from slotproof.checks.bookings import resolve
from slotproof.checks.exercised import count_exercised
from slotproof.record.builder import RecordBuilder


def test_counts_requests_by_outcome_and_how_open_ones_ended() -> None:
    builder = RecordBuilder()
    for start, outcome in (
        ("9:00", "ok"),
        ("9:00", "taken"),
        ("9:15", "none"),
        ("12:00", "pending"),
        ("14:00", "unknown"),
        ("16:00", "unknown"),
    ):
        builder.book(start=start, at=(0, 10), outcome=outcome)
    builder.stands(5, at=50).cancel(1, at=(20, 30))
    builder.book(request=1, start="9:00", at=(15, 18))  # a repeat is no further request
    counts = count_exercised(resolve(builder.build()))
    expected = {
        "attempts": 6,
        "confirmed": 1,
        "taken": 1,
        "none": 1,
        "pending": 1,
        "unknown": 2,
        "unknown_happened": 1,
        "unknown_not": 1,
        "cancels": 1,
        "contested_ranges": 2,  # 9:00 twice, and 9:15 overlaps it
        "overlapping_attempts": 3,
    }
    assert {name: counts[name] for name in expected} == expected


def test_counts_again_what_was_asked_during_each_fault() -> None:
    builder = RecordBuilder().fault("stall", at=(100, 200)).fault("link", at=(100, 150))
    for invoked in (0, 110, 160, 170):
        builder.book(start="9:00", at=(invoked, invoked + 20), outcome="taken")
    counts = count_exercised(resolve(builder.build()))
    assert counts["attempts"] == 4
    assert counts["attempts_during_stall"] == 3
    assert counts["attempts_during_link"] == 1
    assert counts["contested_ranges_during_stall"] == 1
    assert counts["contested_ranges_during_link"] == 0
    assert counts["overlapping_attempts_during_stall"] == 1


def test_external_bookings_exercise_nothing() -> None:
    builder = RecordBuilder().book(start="9:00", at=(0, 10), actor="external")
    assert count_exercised(resolve(builder.build()))["attempts"] == 0


def test_how_open_requests_ended_is_not_told_without_ledgers() -> None:
    builder = RecordBuilder().book(start="9:00", at=(0, 10), outcome="unknown").without_ledger("calendar")
    assert "unknown_happened" not in count_exercised(resolve(builder.build()))
