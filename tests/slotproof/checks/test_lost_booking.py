"""Lost bookings and lost cancels (CONTRACTS.md sections 3.4 and 3.7)."""

from __future__ import annotations

import pytest

from slotproof.checks.base import CheckStatus, Finding, FindingKind
from slotproof.checks.lost_booking import LostBooking
from slotproof.record.builder import RecordBuilder, at_ns
from slotproof.record.events import Phase


def findings(builder: RecordBuilder) -> tuple[Finding, ...]:
    return LostBooking()(builder.build()).findings


def booked() -> RecordBuilder:
    return RecordBuilder(person_names={"1": "Anna Weber"}).book(call=12, start="9:00", at=(0, 10))


def test_a_booking_that_stands_in_both_is_not_lost() -> None:
    assert findings(booked().stands(1, at=5)) == ()


def test_confirmed_and_nowhere() -> None:
    (finding,) = findings(booked())
    assert finding.kind is FindingKind.LOST_BOOKING
    assert finding.ops == (1,)
    assert finding.bookings == (1,)
    assert finding.at_ns == at_ns(10)
    assert finding.sentence == (
        "Anna Weber, Mon 1 Mar 09:00–09:45, was lost: caller 12 was told that it stands at 0.0 s, "
        "but the database never had it and the calendar never had it"
    )


def test_confirmed_and_only_in_the_database() -> None:
    (finding,) = findings(booked().database_row("a1", at=5, start="9:00", request=1))
    assert "but the calendar never had it" in finding.sentence
    assert finding.rows == ("database:a1",)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"start": "11:00"}, "the calendar has Anna Weber, Mon 1 Mar 11:00–11:45"),
        ({"start": "9:00", "person": "2"}, "the calendar has person 2, Mon 1 Mar 09:00–09:45"),
        ({"start": "9:00", "call_ref": "call-2"}, "the calendar has it for another caller"),
        ({"start": "9:00", "state": "pending"}, "the calendar still has it as pending"),
    ],
    ids=["another range", "another person", "another attendee", "pending"],
)
def test_the_calendar_has_something_else(row: dict[str, str], words: str) -> None:
    builder = RecordBuilder(person_names={"1": "Anna Weber"}).book(start="9:00", at=(0, 10), call_ref="call-1")
    builder.book(start="14:00", at=(0, 10), call_ref="call-2", outcome="none")
    builder.database_row("a1", at=5, start="9:00", request=1).calendar_row("u1", at=5, request=1, **row)
    (finding,) = findings(builder)
    assert words in finding.sentence


def test_a_call_named_in_the_targets_own_way_is_not_another_caller() -> None:
    builder = RecordBuilder().book(start="9:00", at=(0, 10), call_ref="call-1")
    assert findings(builder.stands(1, at=5, call_ref="7f3a")) == ()


class TestCancels:
    def test_a_cancelled_booking_is_not_lost(self) -> None:
        assert findings(booked().stands(1, at=5).cancel(1, at=(20, 30)).stands(1, at=25, state="cancelled")) == ()

    @pytest.mark.parametrize("outcome", ["pending", "unknown"])
    @pytest.mark.parametrize("gone", [True, False])
    def test_an_open_cancel_may_end_either_way(self, outcome: str, gone: bool) -> None:
        builder = booked().stands(1, at=5).cancel(1, at=(20, 30), outcome=outcome)
        assert findings(builder.stands(1, at=25, state="cancelled") if gone else builder) == ()

    @pytest.mark.parametrize("outcome", ["none", "not_held"])
    def test_a_refused_cancel_cancels_nothing(self, outcome: str) -> None:
        builder = booked().stands(1, at=5).cancel(1, at=(20, 30), outcome=outcome)
        assert findings(builder) == ()
        (finding,) = findings(builder.stands(1, at=25, state="cancelled"))
        assert finding.kind is FindingKind.LOST_BOOKING

    def test_a_confirmed_cancel_that_did_not_happen_is_lost(self) -> None:
        builder = booked().stands(1, at=5).cancel(1, at=(20, 30))
        builder.database_row("a1", at=25, start="9:00", request=1, state="cancelled")
        (finding,) = findings(builder)
        assert finding.kind is FindingKind.LOST_CANCEL
        assert finding.ops == (1, 2)
        assert finding.rows == ("calendar:u1",)
        assert "still stands in the calendar: caller 12 was told that it is cancelled" in finding.sentence

    def test_a_cancelled_booking_that_came_back_is_the_phantom_checks_matter(self) -> None:
        builder = booked().stands(1, at=5).cancel(1, at=(20, 30)).stands(1, at=25, state="cancelled")
        assert findings(builder.stands(1, at=60)) == ()


class TestTheServiceCancels:
    def test_a_confirmed_booking_is_lost_even_if_it_is_made_again(self) -> None:
        builder = booked().stands(1, at=5).stands(1, at=20, state="cancelled", actor="service").stands(1, at=40)
        (finding,) = findings(builder)
        assert finding.kind is FindingKind.LOST_BOOKING
        assert finding.at_ns == at_ns(20)
        assert "the service cancelled it in the calendar at 0.0 s" in finding.sentence

    def test_a_booking_that_was_never_confirmed_is_a_compensation(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10), outcome="pending").stands(1, at=5)
        assert findings(builder.stands(1, at=20, state="cancelled", actor="service")) == ()

    def test_a_surplus_row_of_a_blind_retry_is_no_loss(self) -> None:
        builder = booked().stands(1, at=5).calendar_row("again", at=8, start="9:00", request=1)
        builder.calendar_row("again", at=40, start="9:00", request=1, state="cancelled", actor="service")
        assert findings(builder) == ()

    def test_before_the_caller_was_told_is_no_loss(self) -> None:
        builder = booked().calendar_row("first", at=2, start="9:00", request=1)
        builder.calendar_row("first", at=4, start="9:00", request=1, state="cancelled", actor="service")
        assert findings(builder.stands(1, at=6)) == ()

    def test_on_behalf_of_the_caller_is_no_loss(self) -> None:
        builder = booked().stands(1, at=5).cancel(1, at=(20, 30), outcome="pending")
        assert findings(builder.stands(1, at=50, state="cancelled", actor="service")) == ()


class TestMoves:
    def moved(self, outcome: str) -> RecordBuilder:
        return booked().stands(1, at=5).move(1, to="11:00", at=(20, 30), outcome=outcome)

    def to_new_range(self, builder: RecordBuilder) -> RecordBuilder:
        """As Cal.com does it: a new uid replaces the old one; the database keeps its row."""
        builder.database_row("a1", at=25, start="11:00", uid="u1b", replaces="u1", request=1)
        builder.calendar_row("u1", at=25, start="9:00", request=1, state="cancelled")
        return builder.calendar_row("u1b", at=25, start="11:00", request=1, replaces="u1")

    def test_a_confirmed_move_stands_at_its_target(self) -> None:
        assert findings(self.to_new_range(self.moved("ok"))) == ()

    def test_a_confirmed_move_that_did_not_happen_is_lost(self) -> None:
        (finding,) = findings(self.moved("ok"))
        assert finding.ops == (2,)
        assert "Mon 1 Mar 11:00–11:45, was lost" in finding.sentence
        assert "the database has Anna Weber, Mon 1 Mar 09:00–09:45" in finding.sentence

    @pytest.mark.parametrize("outcome", ["pending", "unknown"])
    def test_an_open_move_may_end_in_either_range(self, outcome: str) -> None:
        assert findings(self.moved(outcome)) == ()
        assert findings(self.to_new_range(self.moved(outcome))) == ()

    @pytest.mark.parametrize("outcome", ["taken", "none"])
    def test_a_refused_move_leaves_the_old_range(self, outcome: str) -> None:
        assert findings(self.moved(outcome)) == ()
        assert [finding.kind for finding in findings(self.to_new_range(self.moved(outcome)))] == ["lost_booking"]

    def test_of_two_confirmed_moves_the_later_counts(self) -> None:
        builder = self.moved("ok").move(1, to="14:00", at=(40, 50))
        assert len(findings(self.to_new_range(builder))) == 1

    def test_the_row_may_name_the_move_as_its_request(self) -> None:
        builder = self.moved("ok").database_row("a1", at=25, start="11:00", request=2)
        builder.calendar_row("u1", at=25, start="9:00", request=1, state="cancelled")
        assert findings(builder.calendar_row("u1b", at=25, start="11:00", request=2)) == ()


class TestNotDecided:
    def test_without_a_ledger(self) -> None:
        result = LostBooking()(booked().without_ledger("calendar").build())
        assert result.status is CheckStatus.NOT_DECIDED
        assert [gap.resource for gap in result.undecided] == ["calendar"]
        assert result.findings == ()

    def test_with_an_op_file_cut_short(self) -> None:
        assert LostBooking()(booked().cut_short().build()).status is CheckStatus.NOT_DECIDED

    def test_rows_in_motion_but_a_cancel_by_the_service_is_proved(self) -> None:
        builder = booked().stands(1, at=5).stands(1, at=20, state="cancelled", actor="service")
        builder.book(start="12:00", at=(0, 10)).phase(Phase.QUIESCENT, at=50, quiet=False, why="rows still changed")
        result = LostBooking()(builder.build())
        assert [finding.bookings for finding in result.findings] == [(1,)]
        assert result.status is CheckStatus.VIOLATION

    def test_stuck_rows_are_judged(self) -> None:
        builder = booked().phase(Phase.QUIESCENT, at=50, quiet=False, stable=True, why="1 rows are pending")
        assert len(findings(builder)) == 1
