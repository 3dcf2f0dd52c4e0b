"""Divergent bookings and stuck pendings (CONTRACTS.md section 3.6)."""

from __future__ import annotations

import pytest

from slotproof.checks.base import CheckStatus, Finding, FindingKind
from slotproof.checks.divergent_booking import DivergentBooking
from slotproof.record.builder import RecordBuilder, at_ns


def findings(builder: RecordBuilder) -> tuple[Finding, ...]:
    return DivergentBooking()(builder.build()).findings


@pytest.mark.parametrize("outcome", ["pending", "unknown"])
class TestOpenAnswer:
    def test_live_in_both(self, outcome: str) -> None:
        assert findings(RecordBuilder().book(start="9:00", at=(0, 10), outcome=outcome).stands(1, at=50)) == ()

    def test_live_in_neither(self, outcome: str) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10), outcome=outcome)
        assert findings(builder) == ()
        builder.stands(1, at=5).stands(1, at=50, state="cancelled", actor="service")
        assert findings(builder) == ()

    def test_live_in_the_calendar_only(self, outcome: str) -> None:
        builder = RecordBuilder().book(call=7, start="9:00", at=(0, 10), outcome=outcome)
        builder.database_row("a1", at=5, start="9:00", request=1, state="pending")
        builder.database_row("a1", at=20, start="9:00", request=1, state="cancelled", actor="service")
        (finding,) = findings(builder.calendar_row("u1", at=40, start="9:00", request=1))
        assert finding.kind is FindingKind.DIVERGENT_BOOKING
        assert (finding.ops, finding.bookings) == ((1,), (1,))
        assert finding.rows == ("database:a1", "calendar:u1")
        assert finding.at_ns == at_ns(40)
        assert "stands in the calendar but not in the database (caller 7" in finding.sentence

    def test_live_in_the_database_only(self, outcome: str) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10), outcome=outcome)
        (finding,) = findings(builder.database_row("a1", at=5, start="9:00", request=1))
        assert "stands in the database but not in the calendar" in finding.sentence

    def test_live_in_both_at_different_times(self, outcome: str) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10), outcome=outcome)
        builder.database_row("a1", at=5, start="9:00", request=1).calendar_row("u1", at=5, start="9:15", request=1)
        assert [finding.kind for finding in findings(builder)] == ["divergent_booking"]


class TestOpenCancel:
    def test_may_end_either_way_but_not_between(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10)).stands(1, at=5)
        builder.cancel(1, at=(20, 30), outcome="unknown")
        assert findings(builder) == ()
        builder.calendar_row("u1", at=25, start="9:00", request=1, state="cancelled")
        (finding,) = findings(builder)
        assert finding.ops == (1, 2)
        assert "asking to cancel, caller 1 got no answer" in finding.sentence
        builder.database_row("a1", at=25, start="9:00", request=1, state="cancelled")
        assert findings(builder) == ()


class TestOpenMove:
    def test_must_end_in_the_same_range_in_both(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10)).stands(1, at=5)
        builder.move(1, to="11:00", at=(20, 30), outcome="unknown")
        assert findings(builder) == ()
        builder.calendar_row("u1", at=25, start="9:00", request=1, state="cancelled")
        builder.calendar_row("u1b", at=25, start="11:00", request=1, replaces="u1")
        (finding,) = findings(builder)
        assert "stands at 09:00–09:45 in the database but at 11:00–11:45 in the calendar" in finding.sentence
        assert findings(builder.database_row("a1", at=30, start="11:00", request=1, uid="u1b")) == ()


def test_a_confirmed_booking_in_one_source_is_lost_and_not_divergent() -> None:
    assert (
        findings(RecordBuilder().book(start="9:00", at=(0, 10)).database_row("a1", at=5, start="9:00", request=1)) == ()
    )


def test_a_row_that_stays_pending_is_stuck() -> None:
    builder = RecordBuilder().book(start="9:00", at=(0, 10), outcome="pending")
    record = builder.database_row("a1", at=5, start="9:00", request=1, state="pending").build()
    result = DivergentBooking()(record)
    (finding,) = result.findings
    assert finding.kind is FindingKind.STUCK_PENDING
    assert result.status is not CheckStatus.VIOLATION  # the promise class does not break integrity
    assert "is still pending in the database after everything came to rest" in finding.sentence


def test_is_not_decided_without_a_ledger() -> None:
    record = RecordBuilder().book(start="9:00", at=(0, 10), outcome="pending").without_ledger("calendar").build()
    assert DivergentBooking()(record).status is CheckStatus.NOT_DECIDED
