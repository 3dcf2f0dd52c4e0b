"""What a reply claims, what is signed, which numbers ops get: everything that needs no network."""

from __future__ import annotations

import errno
import json
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import gevent
import pytest
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError
from geventhttpclient.useragent import RetriesExceeded
from hypothesis import given
from hypothesis import strategies as st

from slotproof.load.arrivals import own_arrivals
from slotproof.load.identifiers import Identifiers, trace_id
from slotproof.load.outcome import Answer, OfferedTime, read_failure, read_reply
from slotproof.load.recorder import Recorder, Tally
from slotproof.load.retell_call import RetellCall
from slotproof.load.signature import sign
from slotproof.load.transcripts import Conversations, Speaker
from slotproof.plan.arrivals import arrival_times_s
from slotproof.plan.plan import Plan
from slotproof.plan.scenario import Locale, Transcripts
from slotproof.record.arrow_files import read_stream
from slotproof.record.schemas import OPS, Kind, Outcome


def _error(code: str, effect: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "…", "effect": effect}}


REPLIES = [
    (Kind.WEBHOOK, 204, None, Outcome.OK, None),
    (Kind.WEBHOOK, 200, "fine", Outcome.OK, None),
    (Kind.WEBHOOK, 202, None, Outcome.OK, None),
    (Kind.WEBHOOK, 401, _error("bad_signature", "none"), Outcome.NONE, "bad_signature"),
    (Kind.WEBHOOK, 503, None, Outcome.UNKNOWN, "http_503"),
    (Kind.BOOK, 200, {"status": "confirmed", "booking": {"id": "b1"}}, Outcome.OK, None),
    (Kind.BOOK, 202, {"status": "pending", "booking": {"id": "b1"}}, Outcome.PENDING, None),
    (Kind.BOOK, 202, None, Outcome.PENDING, None),
    (Kind.BOOK, 200, {"status": "pending"}, Outcome.PENDING, None),
    (Kind.BOOK, 200, "<html>", Outcome.UNKNOWN, "bad_reply"),
    (Kind.BOOK, 200, {"status": "perhaps"}, Outcome.UNKNOWN, "bad_reply"),
    (Kind.BOOK, 302, None, Outcome.UNKNOWN, "http_302"),
    (Kind.BOOK, 409, _error("slot_taken", "none"), Outcome.TAKEN, None),
    (Kind.CANCEL, 200, {"status": "cancelled", "booking": {"id": "b1"}}, Outcome.OK, None),
    (Kind.CANCEL, 409, _error("not_held", "none"), Outcome.NOT_HELD, None),
    (Kind.MOVE, 409, _error("slot_taken", "none"), Outcome.TAKEN, None),
    (Kind.BOOK, 503, _error("busy", "none"), Outcome.NONE, "busy"),
    (Kind.BOOK, 503, _error("overloaded", "none"), Outcome.NONE, "overloaded"),
    (Kind.BOOK, 503, _error("calcom_unavailable", "unknown"), Outcome.UNKNOWN, "calcom_unavailable"),
    (Kind.BOOK, 422, _error("invalid", "none"), Outcome.NONE, "invalid"),
    (Kind.BOOK, 500, _error("<script>", "none"), Outcome.NONE, "unnamed_error"),
    (Kind.BOOK, 500, {"error": "no declared shape"}, Outcome.UNKNOWN, "http_500"),
    (Kind.BOOK, 503, "Service Unavailable", Outcome.UNKNOWN, "http_503"),
    (Kind.BOOK, 429, "slow down", Outcome.NONE, "http_429"),
    (Kind.BOOK, 409, {"message": "conflict"}, Outcome.NONE, "http_409"),
    (Kind.AVAILABILITY, 200, {"status": "ok", "slots": []}, Outcome.OK, None),
    (Kind.AVAILABILITY, 200, {"status": "ok"}, Outcome.UNKNOWN, "bad_reply"),
    (Kind.AVAILABILITY, 200, {"status": "ok", "slots": [{"person_id": 1}]}, Outcome.UNKNOWN, "bad_reply"),
]


@pytest.mark.parametrize(("kind", "status", "body", "outcome", "error"), REPLIES)
def test_reply_claims(kind: Kind, status: int, body: object, outcome: Outcome, error: str | None) -> None:
    raw = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    answer = read_reply(kind, status, raw, None)
    assert (answer.outcome, answer.error, answer.http_status) == (outcome, error, status)


@pytest.mark.parametrize(
    ("failure", "outcome", "error"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), Outcome.NONE, "refused"),
        (OSError(errno.ENETUNREACH, "unreachable"), Outcome.NONE, "unreachable"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), Outcome.UNKNOWN, "reset"),
        (RetriesExceeded("/", 0, original=BrokenPipeError(errno.EPIPE, "pipe")), Outcome.UNKNOWN, "reset"),
        (RetriesExceeded("/", 0, original=gevent.Timeout(1)), Outcome.UNKNOWN, "timeout"),
        (RetriesExceeded("/", 0, original=TimeoutError("timed out")), Outcome.UNKNOWN, "timeout"),
        (HTTPConnectionClosed("connection closed."), Outcome.UNKNOWN, "reset"),
        (HTTPParseError("connection closed before end of the headers"), Outcome.UNKNOWN, "reset"),
        (HTTPParseError("Incomplete response."), Outcome.UNKNOWN, "reset"),
        (HTTPParseError("Invalid EOF state"), Outcome.UNKNOWN, "reset"),
        (HTTPParseError("Invalid character in chunk size"), Outcome.UNKNOWN, "bad_reply"),
    ],
)
def test_failed_exchange_claims(failure: BaseException, outcome: Outcome, error: str) -> None:
    assert read_failure(failure) == Answer(outcome, error)


@given(st.sampled_from(Kind), st.integers(100, 599), st.binary(max_size=200))
def test_whatever_comes_back_is_some_answer(kind: Kind, status: int, body: bytes) -> None:
    answer = read_reply(kind, status, body, "nonsense;dur=")
    assert answer.usable or answer.error is not None


def test_availability_offers_are_utc_seconds() -> None:
    slot = {"person_id": 3, "person": "Anna", "start": "2027-03-01T09:00:00+01:00", "end": "2027-03-01T08:45:00Z"}
    answer = read_reply(Kind.AVAILABILITY, 200, json.dumps({"status": "ok", "slots": [slot]}).encode(), None)
    assert answer.offered == (OfferedTime(3, 1_803_888_000, 1_803_890_700),)


@pytest.mark.parametrize(
    ("header", "upstream_ns"),
    [
        (None, None),
        ("calcom;dur=1500.5", 1_500_500_000),
        ("db;dur=3, calcom;desc=x;dur=20", 20_000_000),
        ("mycalcom;dur=3", None),
    ],
)
def test_time_upstream_comes_from_server_timing(header: str | None, upstream_ns: int | None) -> None:
    assert read_reply(Kind.WEBHOOK, 204, b"", header).upstream_ns == upstream_ns


@pytest.mark.parametrize(
    ("body", "digest"),
    [
        ('{"event":"call_ended"}', "07024cabe7dd8f6d1c6e4a8324ca92c812e6ad4a7ee506c04f7e462e3321823e"),
        ('{"a":"ü"}', "fc2632331d205bf1bd36bd3f42f56108c830ee00abf47079c7500fc57ecf12b2"),
    ],
)
def test_signature_vectors(body: str, digest: str) -> None:
    assert sign(body.encode(), "test-api-key", 1_700_000_000_000) == f"v=1700000000000,d={digest}"


def test_identifiers_of_two_workers_never_meet() -> None:
    first, second = Identifiers("run", 0, 2), Identifiers("run", 1, 2)
    for take in (Identifiers.op, Identifiers.request, Identifiers.process):
        assert {take(first) for _ in range(50)}.isdisjoint({take(second) for _ in range(50)})
    assert first.op() >> 40 == 0
    assert second.op() >> 40 == 1
    assert first.call_id(1) == second.call_id(1) != first.call_id(2)


@given(st.integers(1, 2**63 - 1))
def test_traceparent_carries_the_op(op: int) -> None:
    version, trace, span, flags = Identifiers("run").traceparent(op).split("-")
    assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")
    assert trace == trace_id("run", op)
    assert int(trace[16:], 16) == op


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_share_the_planned_calls(make_plan: Callable[..., Plan], workers: int) -> None:
    plan = make_plan(workers=workers)
    shares = [own_arrivals(plan, worker, 1000) for worker in range(workers)]
    calls = sorted((arrival for share in shares for arrival in share), key=lambda arrival: arrival.call)
    planned = arrival_times_s(plan.scenario.load, plan.seed)
    assert [arrival.call for arrival in calls] == list(range(1, len(planned) + 1))
    assert [arrival.at_s for arrival in calls] == planned
    assert calls[-1].due_ns == 1000 + round(planned[-1] / plan.time_scale * 1e9)


def _row(op: int, **changes: Any) -> dict[str, Any]:
    row = {"op": op, "call": 1, "request": 1, "attempt": 1, "process": 1, "actor": "caller", "kind": "book"}
    times = {"intended_ns": 0, "invoke_ns": 2_000_000, "complete_ns": 3_000_000}
    return {**row, **times, "outcome": "ok", **changes}


def test_record_is_complete_only_after_close(tmp_path: Path) -> None:
    path = tmp_path / "ops-00.arrow"
    recorder = Recorder(path, {"worker": "0"})
    for op in range(1, 6):
        recorder.add(_row(op, offered_start_s=[1, 2] if op == 1 else None))
    recorder.flush()
    assert not read_stream(path, OPS, "ops").complete
    recorder.add(_row(6))
    recorder.close()
    content = read_stream(path, OPS, "ops")
    assert content.complete
    assert content.metadata["worker"] == "0"
    assert content.table["op"].to_pylist() == [1, 2, 3, 4, 5, 6]
    assert content.table["offered_start_s"].to_pylist()[:2] == [[1, 2], None]


def test_recorder_flushes_by_itself_when_much_has_come(tmp_path: Path) -> None:
    path = tmp_path / "ops-00.arrow"
    recorder = Recorder(path, {})
    flusher = gevent.spawn(recorder.run)
    for op in range(1, 1001):
        recorder.add(_row(op))
    gevent.sleep(0.01)  # far less than the period
    assert read_stream(path, OPS, "ops").table.num_rows == 1000
    flusher.kill()
    recorder.close()


def test_tally_counts_bookings_and_lags() -> None:
    tally = Tally()
    for outcome in Outcome:
        tally.count(_row(1, outcome=outcome.value))
    tally.count(_row(1, kind="webhook", invoke_ns=9_000_000))
    tally.count(_row(1, outcome="ok", part=2, invoke_ns=99_000_000))
    assert (tally.ops, tally.unknown, tally.none, tally.confirmed, tally.taken) == (8, 1, 1, 1, 1)
    assert tally.take_lags_ms() == (9.0, 9.0)
    assert tally.take_lags_ms() == (0.0, 0.0)


def test_call_object_grows_with_the_call() -> None:
    transcript = Conversations(1, Transcripts()).draw(random.Random(1)).transcript
    call = RetellCall("call_1", "+49151", "+4930", transcript)
    required = {"call_id", "agent_id", "agent_version", "call_status", "call_type", "from_number", "to_number"}
    assert required < json.loads(call.of_event("call_started")).keys()
    assert json.loads(call.talking())["transcript"] == transcript.text(3)
    with pytest.raises(ValueError, match="has not ended"):
        call.ended()
    call.hang_up()
    ended, analyzed = json.loads(call.of_event("call_ended")), json.loads(call.of_event("call_analyzed"))
    assert "call_analysis" not in ended
    assert analyzed["call_analysis"]["call_successful"] is True
    assert ended["call_status"] == "ended"
    assert ended["transcript"] == transcript.text()
    assert ended["transcript_object"] == analyzed["transcript_object"] == transcript.objects()


def test_the_inbound_webhook_has_no_call_id() -> None:
    transcript = Conversations(1, Transcripts()).draw(random.Random(1)).transcript
    body = json.loads(RetellCall("call_1", "+49151", "+4930", transcript).inbound())
    assert body["event"] == "call_inbound"
    assert body["call_inbound"].items() >= {"from_number": "+49151", "to_number": "+4930"}.items()
    assert "call_id" not in body["call_inbound"]


def test_conversations_repeat_with_their_seed() -> None:
    def drawn(seed: int) -> list[Speaker]:
        generator = random.Random(0)
        conversations = Conversations(seed, Transcripts())
        return [conversations.draw(generator) for _ in range(5)]

    assert drawn(3) == drawn(3) != drawn(4)


@pytest.mark.parametrize(("locale", "word"), [("de_DE", "ich"), ("en_US", "you")])
def test_callers_speak_their_language(locale: Locale, word: str) -> None:
    conversations = Conversations(1, Transcripts(locales=(locale,), turns=(30, 30)))
    texts = [conversations.draw(random.Random(number)).transcript.text().casefold() for number in range(10)]
    assert all(text.count("\n") == 30 for text in texts)
    assert any(word in text.split() for text in texts)


def test_long_conversations_have_about_their_size_and_the_time_of_each_word() -> None:
    wanted = Transcripts(long_share=1, long_kb=300)
    transcript = Conversations(1, wanted).draw(random.Random(1)).transcript
    assert len(transcript.text().encode()) == pytest.approx(300 * 1024, rel=0.1)
    assert 1_500_000 < len(transcript.whole) < 4_000_000
    words = [word for turn in json.loads(b"{" + transcript.whole + b"}")["transcript_object"] for word in turn["words"]]
    assert all(earlier["end"] == later["start"] for earlier, later in pairwise(words))
