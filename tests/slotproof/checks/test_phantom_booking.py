"""Phantom, resurrected, duplicate and twice claimed bookings (CONTRACTS.md sections 3.5 and 3.7)."""

from __future__ import annotations

import pytest

from slotproof.checks.base import CheckStatus, Finding, FindingKind
from slotproof.checks.phantom_booking import PhantomBooking
from slotproof.record.builder import RecordBuilder, at_ns


def findings(builder: RecordBuilder) -> tuple[Finding, ...]:
    return PhantomBooking()(builder.build()).findings


class TestPhantom:
    @pytest.mark.parametrize(
        ("outcome", "words"),
        [("taken", "was told that the time is taken"), ("none", "was told that nothing was booked")],
    )
    def test_a_refused_request_that_stands(self, outcome: str, words: str) -> None:
        builder = RecordBuilder().book(call=7, start="9:00", at=(0, 10), outcome=outcome)
        (finding,) = findings(builder.calendar_row("u1", at=5, start="9:00", request=1))
        assert finding.kind is FindingKind.PHANTOM_BOOKING
        assert (finding.ops, finding.rows, finding.bookings) == ((1,), ("calendar:u1",), (1,))
        assert finding.at_ns == at_ns(5)
        assert f"stands in the calendar though caller 7 {words}" in finding.sentence

    def test_a_row_that_nobody_asked_for_is_one_finding_over_both_sources(self) -> None:
        builder = (
            RecordBuilder().database_row("a9", at=5, start="9:00", uid="u9").calendar_row("u9", at=4, start="9:00")
        )
        (finding,) = findings(builder)
        assert finding.rows == ("database:a9", "calendar:u9")
        assert finding.bookings == ()
        assert "stands in the database and the calendar though nobody asked for it" in finding.sentence

    def test_a_row_of_a_request_that_does_not_exist(self) -> None:
        (finding,) = findings(RecordBuilder().calendar_row("u1", at=5, start="9:00", request=99))
        assert finding.kind is FindingKind.PHANTOM_BOOKING

    def test_a_compensated_attempt_is_none(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10), outcome="none").stands(1, at=5)
        assert findings(builder.stands(1, at=20, state="cancelled", actor="service")) == ()

    @pytest.mark.parametrize("outcome", ["ok", "pending", "unknown"])
    def test_a_request_that_was_not_refused_may_stand(self, outcome: str) -> None:
        assert findings(RecordBuilder().book(start="9:00", at=(0, 10), outcome=outcome).stands(1, at=5)) == ()

    def test_a_repeat_that_was_refused_does_not_undo_the_first_answer(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10), outcome="unknown").stands(1, at=5)
        assert findings(builder.book(request=1, start="9:00", at=(20, 30), outcome="taken")) == ()

    def test_half_a_service_that_stands_although_the_whole_was_refused(self) -> None:
        """A service of two parts: the second was refused, the first was left standing."""
        refused = RecordBuilder().book(call=7, part=1, start="9:00", at=(0, 10), outcome="taken")
        refused = refused.book(call=7, part=2, start="10:30", at=(0, 10), outcome="taken")
        (finding,) = findings(refused.stands(1, at=5))
        assert finding.kind is FindingKind.PHANTOM_BOOKING
        assert finding.bookings == (1,)
        assert findings(refused.stands(1, at=20, state="cancelled", actor="service")) == ()

    def test_an_external_booking_is_none(self) -> None:
        assert findings(RecordBuilder().calendar_row("x", at=5, start="9:00", actor="external")) == ()


class TestResurrected:
    def cancelled(self) -> RecordBuilder:
        builder = RecordBuilder().book(start="9:00", at=(0, 10)).stands(1, at=5).cancel(1, at=(20, 30))
        return builder.stands(1, at=25, state="cancelled")

    def test_cancelled_and_live_again(self) -> None:
        builder = self.cancelled().database_row("a1", at=60, start="9:00", request=1)
        (finding,) = findings(builder)
        assert finding.kind is FindingKind.RESURRECTED_BOOKING
        assert finding.ops == (1, 2)
        assert finding.rows == ("database:a1",)
        assert finding.at_ns == at_ns(60)

    def test_is_seen_in_the_history_although_a_reconciler_repaired_it(self) -> None:
        builder = self.cancelled().database_row("a1", at=60, start="9:00", request=1)
        builder.database_row("a1", at=90, start="9:00", request=1, state="cancelled", actor="service")
        assert [finding.kind for finding in findings(builder)] == ["resurrected_booking"]

    def test_a_new_attempt_of_the_request_explains_it(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10), outcome="unknown").stands(1, at=5)
        builder.stands(1, at=15, state="cancelled", actor="service")
        assert findings(builder.book(request=1, start="9:00", at=(20, 40)).stands(1, at=30)) == ()


class TestDuplicate:
    def test_two_live_bookings_of_one_request(self) -> None:
        builder = RecordBuilder().book(call=7, start="9:00", at=(0, 10)).stands(1, at=5)
        (finding,) = findings(builder.calendar_row("again", at=8, start="10:00", request=1))
        assert finding.kind is FindingKind.DUPLICATE_BOOKING
        assert finding.rows == ("calendar:u1", "calendar:again")
        assert finding.at_ns == at_ns(8)
        assert "stand as 2 bookings in the calendar: caller 7 asked once" in finding.sentence

    def test_both_ranges_of_a_move_kept(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10)).stands(1, at=5).move(1, to="11:00", at=(20, 30))
        builder.database_row("a1", at=25, start="11:00", request=1, uid="u1b")
        builder.calendar_row("u1b", at=25, start="11:00", replaces="u1")
        assert [finding.kind for finding in findings(builder)] == ["duplicate_booking"]


class TestClaimedTwice:
    def test_one_uid_on_two_appointments(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10)).book(start="9:00", at=(20, 30)).stands(1, at=5)
        (finding,) = findings(builder.database_row("a2", at=25, start="9:00", request=2, uid="u1"))
        assert finding.kind is FindingKind.CLAIMED_TWICE
        assert finding.bookings == (1, 2)
        assert finding.rows == ("database:a1", "database:a2", "calendar:u1")
        assert finding.at_ns == at_ns(25)

    def test_one_booking_id_in_two_replies_needs_no_ledger(self) -> None:
        builder = RecordBuilder().without_ledger("database").without_ledger("calendar")
        builder.book(start="9:00", at=(0, 10), external_id="b1").book(start="9:00", at=(20, 30), external_id="b1")
        (finding,) = findings(builder)
        assert finding.kind is FindingKind.CLAIMED_TWICE
        assert finding.ops == (1, 2)

    def test_repeats_name_the_same_booking(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10), external_id="b1").stands(1, at=5)
        assert findings(builder.book(request=1, start="9:00", at=(20, 30), external_id="b1")) == ()

    def test_a_moved_booking_keeps_its_claim(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10)).stands(1, at=5).move(1, to="11:00", at=(20, 30))
        builder.database_row("a1", at=25, start="11:00", request=1, uid="u1b", replaces="u1")
        builder.calendar_row("u1", at=25, start="9:00", request=1, state="cancelled")
        assert findings(builder.calendar_row("u1b", at=25, start="11:00", request=1, replaces="u1")) == ()


@pytest.mark.parametrize("source", ["database", "calendar"])
def test_is_not_decided_without_a_ledger(source: str) -> None:
    result = PhantomBooking()(RecordBuilder().book(start="9:00", at=(0, 10)).without_ledger(source).build())
    assert result.status is CheckStatus.NOT_DECIDED
