"""One row per request."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from slotproof.record.builder import RecordBuilder, at_ns
from slotproof.record.record import Record
from slotproof.slo.requests import request_frame


def _row(record: Record) -> pd.Series[Any]:
    """The only request's row."""
    frame = request_frame(record)
    assert len(frame) == 1
    return frame.iloc[0]


def test_the_answer_is_the_first_attempt_that_is_not_unknown() -> None:
    builder = RecordBuilder().book(start="9:00", at=(10, 20), outcome="unknown", intended=5)
    builder.book(request=1, start="9:00", at=(30, 45), outcome="pending", intended=30, upstream_ns=8_000_000)
    builder.book(request=1, start="9:00", at=(50, 60), outcome="ok")
    row = _row(builder.build())
    assert row["kind"] == "book"
    assert row["intended_ns"] == at_ns(5)
    assert (row["answer"], row["outcome"]) == ("pending", "ok")
    assert row["latency_ns"] == 40e6
    assert row["net_latency_ns"] == 32e6
    assert row["served_ns"] == 40e6
    assert row["was_pending"]


def test_a_service_of_several_parts_is_one_request() -> None:
    """Its further parts are bookings of their own, and no requests: nobody waited for them."""
    builder = RecordBuilder().book(start="9:00", part=1, at=(10, 20)).book(start="10:30", part=2, at=(10, 20))
    assert _row(builder.build())["latency_ns"] == 10e6


def test_no_answer_takes_for_ever() -> None:
    row = _row(RecordBuilder().book(start="9:00", at=(0, 10), outcome="unknown").build())
    assert (row["answer"], row["outcome"]) == ("unknown", "unknown")
    assert math.isinf(row["latency_ns"])
    assert math.isinf(row["served_ns"])


def test_none_is_an_answer_but_serves_nobody() -> None:
    builder = RecordBuilder().book(start="9:00", at=(0, 10), outcome="none")
    row = _row(builder.book(request=1, start="9:00", at=(20, 30), outcome="taken").build())
    assert row["answer"] == "none"
    assert row["latency_ns"] == 10e6
    assert row["served_ns"] == 30e6


def test_external_bookings_did_not_ask_the_service() -> None:
    record = RecordBuilder().book(start="9:00", at=(0, 10), actor="external").build()
    assert request_frame(record).empty


def test_an_empty_record_has_no_rows() -> None:
    assert request_frame(RecordBuilder().build()).empty
