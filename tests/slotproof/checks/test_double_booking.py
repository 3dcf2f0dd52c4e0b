"""The double-booking check: what it flags, what it leaves alone (CONTRACTS.md sections 3.1–3.3)."""

from __future__ import annotations

import pytest

from slotproof.checks.base import CheckStatus, Finding, FindingKind
from slotproof.checks.double_booking import DoubleBooking
from slotproof.record.builder import RecordBuilder, at_ns
from slotproof.record.events import Phase

ANNA = {"1": "Anna Weber"}


def findings(builder: RecordBuilder) -> tuple[Finding, ...]:
    return DoubleBooking()(builder.build()).findings


def told_twice() -> RecordBuilder:
    """Two callers were told overlapping ranges of one person, and both stand."""
    return (
        RecordBuilder(person_names=ANNA, time_zone="Europe/Berlin", time_scale=10)
        .book(call=412, start="9:00", at=(5000, 5240))
        .book(call=437, start="9:15", at=(5100, 5500))
        .stands(1, at=5200)
        .stands(2, at=5400)
    )


class TestToldTwice:
    def test_is_one_finding_with_its_witness(self) -> None:
        (finding,) = findings(told_twice())
        assert finding.kind is FindingKind.DOUBLE_BOOKING
        assert finding.resource == "1"
        assert finding.ops == (1, 2)
        assert finding.bookings == (1, 2)
        assert finding.rows == ("database:a1", "calendar:u1", "database:a2", "calendar:u2")
        assert finding.at_ns == at_ns(5400)  # both stood before the second caller was told

    def test_says_so_in_local_time_and_life_size_seconds(self) -> None:
        (finding,) = findings(told_twice())
        assert finding.sentence == (
            "Anna Weber, Mon 1 Mar 10:15–10:45, was sold twice: caller 412 was told 10:00–10:45 at 52.4 s, "
            "caller 437 was told 10:15–11:00 at 55.0 s (both stand)"
        )

    def test_is_found_without_ledgers_which_leaves_the_rest_undecided(self) -> None:
        record = (
            RecordBuilder()
            .without_ledger("database")
            .without_ledger("calendar")
            .book(start="9:00", at=(0, 10))
            .book(start="9:15", at=(0, 20))
            .build()
        )
        result = DoubleBooking()(record)
        assert result.status is CheckStatus.VIOLATION
        assert [finding.at_ns for finding in result.findings] == [at_ns(20)]
        assert [gap.resource for gap in result.undecided] == ["database", "calendar"]

    def test_counts_also_when_one_was_cancelled_later(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10)).book(start="9:15", at=(0, 20)).cancel(1, at=(30, 40))
        (finding,) = findings(builder)
        assert finding.at_ns == at_ns(20)

    def test_repeats_of_one_request_are_one_booking(self) -> None:
        builder = (
            RecordBuilder()
            .book(start="9:00", at=(0, 10), outcome="unknown")
            .book(request=1, start="9:00", at=(20, 30))
            .book(request=1, start="9:00", at=(40, 50))
        )
        assert findings(builder) == ()

    def test_three_callers_of_one_slot_are_three_pairs(self) -> None:
        builder = RecordBuilder()
        for _ in range(3):
            builder.book(start="9:00", at=(0, 10))
        assert [finding.bookings for finding in findings(builder)] == [(1, 2), (1, 3), (2, 3)]


@pytest.mark.parametrize(
    "second",
    [
        {"start": "9:45"},
        {"start": "9:00", "person": "2"},
        {"start": "9:00", "outcome": "taken"},
        {"start": "9:00", "outcome": "pending"},
        {"start": "9:00", "outcome": "unknown"},
    ],
    ids=["touching", "another person", "refused", "pending that never happened", "lost that never happened"],
)
def test_what_is_legal_beside_a_confirmed_booking(second: dict[str, str]) -> None:
    builder = RecordBuilder().book(start="9:00", at=(0, 10)).stands(1, at=5)
    assert findings(builder.book(at=(0, 10), **second)) == ()


class TestEndsOfTold:
    def test_a_cancel_ends_it_when_it_is_invoked(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10)).cancel(1, at=(20, 40)).book(start="9:00", at=(15, 30))
        assert findings(builder) == ()

    def test_an_unanswered_cancel_ends_it_too(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10)).cancel(1, at=(20, 40), outcome="unknown")
        assert findings(builder.book(start="9:00", at=(25, 30))) == ()

    def test_a_cancel_that_did_nothing_does_not(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10)).cancel(1, at=(20, 40), outcome="none")
        assert len(findings(builder.book(start="9:00", at=(50, 60)))) == 1

    def test_a_move_frees_the_old_range_and_takes_the_new_one(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10)).move(1, to="11:00", at=(20, 30))
        builder.book(start="9:00", at=(40, 50))
        assert findings(builder) == ()
        (finding,) = findings(builder.book(start="11:15", at=(60, 70)))
        assert finding.ops == (2, 4)  # the move told the new range, not the book
        assert finding.bookings == (1, 4)

    def test_a_move_whose_target_was_taken_keeps_the_old_range(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10)).move(1, to="11:00", at=(20, 30), outcome="taken")
        assert len(findings(builder.book(start="9:15", at=(40, 50)))) == 1


class TestAtRest:
    def test_pending_that_stands_beside_a_confirmed_one(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10)).book(start="9:15", at=(0, 20), outcome="pending")
        (finding,) = findings(builder.stands(1, at=5).stands(2, at=15))
        assert finding.ops == (1, 2)
        assert "caller 2, who was told to wait" in finding.sentence

    def test_across_the_sources(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10), outcome="unknown").book(start="9:15", at=(0, 20))
        builder.database_row("a1", at=5, start="9:00", request=1).calendar_row("u2", at=15, start="9:15", request=2)
        (finding,) = findings(builder)
        assert finding.rows == ("database:a1", "calendar:u2")

    def test_a_phantom_counts_as_the_second_booking(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10)).stands(1, at=5).calendar_row("x", at=5, start="9:15")
        (finding,) = findings(builder)
        assert finding.bookings == (1,)
        assert "nobody asked for it" in finding.sentence

    def test_rows_of_one_booking_in_both_sources_are_one(self) -> None:
        builder = (
            RecordBuilder().calendar_row("u1", at=5, start="9:00").database_row("a1", uid="u1", at=5, start="9:00")
        )
        assert findings(builder) == ()

    def test_is_not_decided_while_rows_are_in_motion(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10), outcome="pending").book(start="9:00", at=(0, 10))
        builder.stands(1, at=5, state="live").stands(2, at=6)
        builder.phase(Phase.QUIESCENT, at=20, quiet=False, why="2 requests are running at the calendar")
        result = DoubleBooking()(builder.build())
        assert result.findings == ()
        assert result.status is CheckStatus.NOT_DECIDED
        assert "2 requests are running" in result.undecided[0].reason

    def test_incomplete_ops_leave_it_undecided(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10)).stands(1, at=5).cut_short()
        result = DoubleBooking()(builder.build())
        assert result.status is CheckStatus.NOT_DECIDED
        assert [gap.resource for gap in result.undecided] == ["ops"]


def overlap_in_calendar(*, gone_at: float) -> RecordBuilder:
    """G is one second. The second booking was never confirmed and is compensated at `gone_at`."""
    return (
        RecordBuilder(grace_s=1.0)
        .book(start="9:00", at=(0, 110))
        .book(start="9:15", at=(0, 5000), outcome="taken")
        .stands(1, at=100)
        .calendar_row("u2", at=200, start="9:15", request=2)
        .calendar_row("u2", at=gone_at, start="9:15", request=2, state="cancelled", actor="service")
    )


class TestInTheCalendar:
    def test_longer_than_the_grace_is_a_double_booking(self) -> None:
        (finding,) = findings(overlap_in_calendar(gone_at=1300))
        assert finding.kind is FindingKind.DOUBLE_BOOKING
        assert finding.at_ns == at_ns(1200)
        assert "the calendar held both for 1.1 s" in finding.sentence
        assert "only that of caller 1 stands" in finding.sentence

    def test_up_to_the_grace_is_transient_and_of_the_promise_class(self) -> None:
        record = overlap_in_calendar(gone_at=1200).build()
        result = DoubleBooking()(record)
        (finding,) = result.findings
        assert finding.kind is FindingKind.TRANSIENT_OVERLAP
        assert finding.at_ns == at_ns(200)
        assert result.status is CheckStatus.PASS

    def test_one_after_the_other_is_no_overlap(self) -> None:
        builder = RecordBuilder().calendar_row("u1", at=0, start="9:00").calendar_row("u2", at=50, start="9:00")
        builder.calendar_row("u1", at=50, start="9:00", state="cancelled")
        assert all(finding.kind is not FindingKind.TRANSIENT_OVERLAP for finding in findings(builder))


class TestExternalBookings:
    def test_ours_was_told(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 100)).stands(1, at=50)
        builder.calendar_row("x", at=60, start="9:15", actor="external")
        builder.calendar_row("x", at=200, start="9:15", actor="external", state="cancelled")
        (finding,) = findings(builder)
        assert finding.kind is FindingKind.DOUBLE_BOOKING
        assert finding.at_ns == at_ns(100)
        assert "somebody who books directly in the calendar took 09:15–10:00 at 0.1 s" in finding.sentence

    def test_a_lost_race_that_is_compensated_in_time_is_nobodys_fault(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 300), outcome="taken")
        builder.calendar_row("u1", at=50, start="9:00", request=1)
        builder.calendar_row("u1", at=250, start="9:00", request=1, state="cancelled", actor="service")
        builder.calendar_row("x", at=60, start="9:15", actor="external")
        assert findings(builder) == ()

    def test_ours_still_stands(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 300), outcome="pending").stands(1, at=50)
        assert len(findings(builder.calendar_row("x", at=60, start="9:15", actor="external"))) == 1

    def test_two_external_ones_are_not_our_business(self) -> None:
        builder = RecordBuilder().calendar_row("x", at=0, start="9:00", actor="external")
        assert findings(builder.calendar_row("y", at=1, start="9:00", actor="external")) == ()


class TestStatus:
    def contested(self) -> RecordBuilder:
        builder = RecordBuilder().book(start="9:00", at=(0, 10)).book(start="9:15", at=(0, 10), outcome="taken")
        return builder.stands(1, at=5)

    def test_passes_when_something_was_contested(self) -> None:
        assert DoubleBooking()(self.contested().build()).status is CheckStatus.PASS

    def test_nothing_confirmed_is_not_exercised(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10), outcome="none")
        builder.book(start="9:00", at=(0, 10), outcome="none")
        assert DoubleBooking()(builder.build()).status is CheckStatus.NOT_EXERCISED

    def test_nothing_contested_is_not_exercised(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10)).stands(1, at=5)
        assert DoubleBooking()(builder.build()).status is CheckStatus.NOT_EXERCISED

    @pytest.mark.parametrize(
        ("fault_at", "bitten", "status"),
        [
            ((0, 20), True, CheckStatus.PASS),
            ((20, 40), True, CheckStatus.NOT_EXERCISED),
            ((0, 20), False, CheckStatus.NOT_EXERCISED),
        ],
        ids=["contested during the fault", "contested before it", "never seen to bite"],
    )
    def test_a_declared_fault_must_be_exercised(
        self, fault_at: tuple[float, float], bitten: bool, status: CheckStatus
    ) -> None:
        record = self.contested().fault("stall", at=fault_at, bitten=bitten).build()
        assert DoubleBooking()(record).status is status
