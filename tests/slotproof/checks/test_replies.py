"""The check of replies: what callers were told of a time was true, as far as the record can show it."""

from __future__ import annotations

from typing import Any

from slotproof.checks.base import CheckStatus, Finding, FindingKind
from slotproof.checks.double_booking import DoubleBooking
from slotproof.checks.replies import Replies
from slotproof.record.builder import RecordBuilder, at_ns, range_s

ANNA = {"1": "Anna Weber"}


def sold() -> RecordBuilder:
    """Ten o'clock is sold from 5 s on, and stays so."""
    builder = RecordBuilder(person_names=ANNA, time_zone="Europe/Berlin", time_scale=10, staleness_s=2)
    return builder.book(call=7, start="9:00", at=(500, 600)).stands(1, at=550)


def offered(builder: RecordBuilder, *starts: str, at: tuple[float, float], call: int = 8) -> RecordBuilder:
    first: dict[str, Any] = {"start_s": range_s(starts[0]), "end_s": range_s(starts[0]) + 2700}
    offers = [range_s(start) for start in starts]
    return builder.op("availability", call=call, at=at, person="1", offered_start_s=offers, **first)


def findings(builder: RecordBuilder) -> tuple[Finding, ...]:
    return Replies()(builder.build()).findings


def test_a_time_that_is_offered_while_it_is_sold_is_false_free() -> None:
    (finding,) = findings(offered(sold(), "12:00", "9:15", at=(900, 950)))
    assert finding.kind is FindingKind.FALSE_FREE
    assert finding.ops == (1, 2)
    assert finding.bookings == (1,)
    assert finding.rows == ("database:a1", "calendar:u1")
    assert finding.at_ns == at_ns(950)
    assert finding.sentence == (
        "Anna Weber, Mon 1 Mar 10:15–10:45, was offered though it was held all the time: caller 7 was told that it "
        "stands at 6.0 s (10:00–10:45), caller 8 was offered 10:15–11:00 at 9.5 s"
    )


def test_an_offer_may_be_as_old_as_the_declared_staleness() -> None:
    """2 s life-size are 200 ms of the wall here."""
    assert not findings(offered(sold(), "9:00", at=(790, 810)))
    assert findings(offered(sold(), "9:00", at=(810, 830)))


def test_a_refusal_of_a_service_of_several_parts_does_not_say_which_is_held() -> None:
    builder = sold().book(call=8, part=1, start="9:00", at=(900, 950), outcome="taken")
    assert not findings(builder.book(call=8, part=2, start="10:30", at=(900, 950), outcome="taken"))
    assert findings(sold().book(call=8, start="10:30", at=(900, 950), outcome="taken"))


def test_a_refusal_that_nothing_explains_is_false() -> None:
    builder = RecordBuilder(person_names=ANNA).book(call=7, start="9:00", at=(0, 10), outcome="taken")
    (finding,) = findings(builder)
    assert finding.kind is FindingKind.FALSE_REFUSAL
    assert finding.sentence == (
        "Anna Weber, Mon 1 Mar 09:00–09:45, was refused though nothing can have held it: caller 7 was told that the "
        "time is taken at 0.0 s (09:00–09:45)"
    )


def test_a_refusal_of_a_time_that_is_sold_is_true() -> None:
    assert not findings(sold().book(start="9:30", at=(700, 800), outcome="taken"))


def test_none_claims_nothing_and_is_never_a_false_refusal() -> None:
    assert not findings(RecordBuilder().book(start="9:00", at=(0, 10), outcome="none"))


def test_replies_that_no_order_explains_are_inconsistent() -> None:
    """Refused and offered in turn, twice, though only one short booking can have been there."""
    builder = RecordBuilder().book(call=1, start="9:00", at=(0, 600), outcome="unknown").stands(1, at=100)
    builder.cancel(1, at=(100, 600)).stands(1, at=500, state="cancelled")
    builder.book(call=2, start="9:00", at=(200, 210), outcome="taken")
    offered(builder, "9:00", at=(300, 310), call=3).book(call=4, start="9:00", at=(400, 410), outcome="taken")
    assert [finding.kind for finding in findings(builder)] == [FindingKind.INCONSISTENT_REPLIES]


def test_findings_are_promises_and_leave_the_status_alone() -> None:
    builder = offered(sold(), "9:00", at=(900, 950)).book(start="9:00", at=(900, 950), outcome="taken")
    result = Replies()(builder.build())
    assert result.status is CheckStatus.PASS
    assert len(result.findings) == 1


def test_ranges_with_bookings_from_elsewhere_are_named_and_block_nothing() -> None:
    builder = sold().book(start="9:00", at=(900, 950), outcome="taken")
    builder.calendar_row("x", at=35, start="14:00", actor="external")
    result = Replies()(builder.book(start="14:00", at=(940, 950), outcome="taken").build())
    assert result.status is CheckStatus.PASS
    assert [each.resource for each in result.undecided] == ["replies"]


def test_without_the_state_at_rest_nothing_is_decided() -> None:
    result = Replies()(sold().without_ledger("calendar").build())
    assert result.status is CheckStatus.NOT_DECIDED
    assert not result.findings


class TestOrdersThatNoPairShows:
    def test_a_booking_that_began_and_ended_while_another_was_told_is_a_double_booking(self) -> None:
        """Its caller cancelled before the confirmation came: never two callers were told at one instant."""
        builder = RecordBuilder(person_names=ANNA).book(call=7, start="9:00", at=(0, 10)).stands(1, at=5)
        builder.book(call=8, start="9:15", at=(100, 400)).stands(2, at=150)
        builder.cancel(2, call=8, at=(200, 500)).stands(2, at=250, state="cancelled")
        finding, brief = sorted(DoubleBooking()(builder.build()).findings, key=lambda each: each.kind)
        assert (finding.kind, brief.kind) == (FindingKind.DOUBLE_BOOKING, FindingKind.TRANSIENT_OVERLAP)
        assert finding.ops == (1, 3)
        assert finding.sentence == (
            "Anna Weber, Mon 1 Mar 09:15–09:45, was sold twice: in no order of events can both have had it: caller 7 "
            "was told that it stands at 0.0 s (09:00–09:45), caller 8 was told that it stands at 0.4 s (09:15–10:00), "
            "caller 8, asking to cancel, was told that it is cancelled at 0.5 s"
        )

    def test_a_pair_that_was_told_twice_is_not_told_again(self) -> None:
        builder = RecordBuilder().book(start="9:00", at=(0, 10)).stands(1, at=5)
        builder.book(start="9:15", at=(100, 400)).stands(2, at=150)
        assert len(DoubleBooking()(builder.build()).findings) == 1
