"""Whole load workers, as processes, against a stand-in for the booking service."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pytest

from slotproof.errors import StackError
from slotproof.load.identifiers import trace_id
from slotproof.load.messages import Stats
from slotproof.load.supervisor import LoadSupervisor
from slotproof.record.arrow_files import StreamContent, read_stream
from slotproof.record.schemas import OPS
from slotproof.run_folder import RunFolder
from slotproof.system import Address, System

if TYPE_CHECKING:
    from tests.slotproof.load.conftest import MakeRun, StandIn

API_KEY = "stand-in-key"
PENDING_FOR_EVER, PENDING_ONCE, TAKEN, BUSY, BROKEN, CUT_SHORT, UNTOLD = (str(person) for person in range(2, 9))
BROKEN_CALLERS = """
from slotproof.load.caller import PhoneCaller

class Broken(PhoneCaller):
    def call(self):
        self.start_call()
        print("what a callers' file prints is no message")
        1 / 0
"""
_UNUSED_PORT = 9
REPOSITORY = Path(__file__).parents[3]


def _system(port: int) -> System:
    nowhere = Address("127.0.0.1", 9)
    return System(
        toxiproxy=nowhere,
        links={},
        service=Address("127.0.0.1", port),
        calcom_control=None,
        retell_control=Address("127.0.0.1", port),
        database_url="",
        admin_database_url="",
        redis=nowhere,
        retell_api_key=API_KEY,
    )


def _run(folder: RunFolder, stand_in: StandIn, workers: int = 1) -> LoadSupervisor:
    with LoadSupervisor(folder, workers) as supervisor:
        supervisor.start()
        supervisor.wait_ready()
        supervisor.go(time.monotonic_ns() + 50_000_000, _system(stand_in.port))
        assert supervisor.wait_finished(30)
    return supervisor


def _ops(folder: RunFolder, worker: int = 0) -> StreamContent:
    return read_stream(folder.ops(worker), OPS, "ops")


def _outcomes(rows: list[dict[str, Any]], kind: str, person: str) -> set[tuple[str, str | None]]:
    return {(row["outcome"], row["error"]) for row in rows if row["kind"] == kind and row["person"] == person}


def test_two_workers_record_every_request_on_the_wire(make_run: MakeRun, stand_in: StandIn) -> None:
    folder = make_run(workers=2, phases=[{"calls_per_s": 1, "duration_s": 40}], drain_s=120)
    supervisor = _run(folder, stand_in, workers=2)

    assert supervisor.lost == ()
    contents = [_ops(folder, worker) for worker in range(2)]
    assert all(content.complete for content in contents)
    rows = [row for content in contents for row in content.table.to_pylist()]
    assert sum(done.started for done in supervisor.done.values()) == len({row["call"] for row in rows})
    assert sum(done.ops for done in supervisor.done.values()) == len(rows)
    assert all(done.started == done.planned > 0 for done in supervisor.done.values())

    # One row is one request on the wire, signed, traceable to its op.
    assert len(stand_in.seen) == len(rows)
    assert all(seen.signature_ok for seen in stand_in.seen)
    assert {seen.headers["traceparent"].split("-")[1] for seen in stand_in.seen} == {
        trace_id("run-1", row["op"]) for row in rows
    }
    assert {seen.headers["x-request-id"] for seen in stand_in.seen} == {str(row["request"]) for row in rows}
    assert len({row["op"] for row in rows}) == len(rows)

    assert _outcomes(rows, "availability", "1") == {("ok", None)}
    assert _outcomes(rows, "book", "1") == {("ok", None)}
    assert _outcomes(rows, "move", "1") == {("ok", None)}
    assert _outcomes(rows, "cancel", "1") == {("ok", None)}
    assert _outcomes(rows, "book", PENDING_FOR_EVER) == {("pending", None)}
    assert _outcomes(rows, "book", PENDING_ONCE) == {("pending", None), ("ok", None)}
    assert _outcomes(rows, "book", TAKEN) == {("taken", None)}
    assert _outcomes(rows, "book", BUSY) == {("none", "busy")}
    assert _outcomes(rows, "book", BROKEN) == {("unknown", "http_500")}
    assert _outcomes(rows, "book", CUT_SHORT) == {("unknown", "reset")}
    assert _outcomes(rows, "availability", UNTOLD) == {("none", "redis_unavailable")}
    assert _outcomes(rows, "book", UNTOLD) == {("ok", None)}

    by_person = {row["person"]: row for row in rows if row["kind"] == "book" and row["outcome"] == "ok"}
    booked = by_person["1"]
    assert booked["end_s"] - booked["start_s"] == 45 * 60
    assert booked["external_id"].startswith("b-1-")
    assert booked["upstream_ns"] == 12_500_000
    assert booked["tenant"] == "1"
    moved = next(row for row in rows if row["kind"] == "move" and row["call"] == booked["call"])
    cancelled = next(row for row in rows if row["kind"] == "cancel" and row["call"] == booked["call"])
    assert moved["booking"] == cancelled["booking"] == booked["request"]
    assert (moved["start_s"], cancelled["start_s"]) == (booked["start_s"], moved["to_start_s"])
    told = next(row for row in rows if row["kind"] == "availability" and row["person"] == "1")
    assert booked["start_s"] in told["offered_start_s"]

    _assert_calls_are_coherent(rows)
    calls = len({row["call"] for row in rows})
    assert Counter(call["call_status"] for call in stand_in.published) == {"ongoing": calls, "ended": calls}


def test_each_part_of_a_service_has_a_row_of_its_own(make_run: MakeRun, stand_in: StandIn, tmp_path: Path) -> None:
    callers = tmp_path / "parts.py"
    callers.write_text(
        "from slotproof.load.caller import PhoneCaller\n"
        "class Patient(PhoneCaller):\n"
        "    def call(self):\n"
        "        self.start_call()\n"
        "        person = self.people[0]\n"
        "        offers = self.check_availability(self.day(0), person)\n"
        "        self.cancel(self.book_one_of(offers))\n"
    )
    parts = {"service_min": 120, "parts_min": [[0, 45], [90, 30]]}
    folder = make_run(callers_file=callers, options=parts, phases=[{"calls_per_s": 1, "duration_s": 10}], drain_s=120)
    _run(folder, stand_in)
    rows = _ops(folder).table.to_pylist()
    sent = [row for row in rows if row["part"] in (None, 1)]
    assert len(sent) == len(stand_in.seen)
    assert {row["part"] for row in rows if row["kind"] in ("webhook", "availability")} == {None}
    assert {row["person"] for row in rows if row["kind"] == "availability"} == {None}, "it promised no single range"
    for kind in ("book", "cancel"):
        first, second = (
            sorted((r for r in rows if r["kind"] == kind and r["part"] == n), key=_request) for n in (1, 2)
        )
        assert first
        for one, other in zip(first, second, strict=True):
            assert other["request"] == one["request"] + 1
            assert other["start_s"] - one["start_s"] == 90 * 60
            assert (one["end_s"] - one["start_s"], other["end_s"] - other["start_s"]) == (45 * 60, 30 * 60)
            assert one["outcome"] == other["outcome"] == "ok"
            assert one["complete_ns"] == other["complete_ns"]
            assert other["op"] != one["op"]
            if kind == "cancel":
                assert other["booking"] == one["booking"] + 1
    assert len({row["request"] for row in rows}) == len({(row["request"], row["kind"]) for row in rows})


def _request(row: dict[str, Any]) -> int:
    number: int = row["request"]
    return number


def test_webhooks_arrive_twice_and_late_where_the_scenario_says_so(make_run: MakeRun, stand_in: StandIn) -> None:
    retell = {"duplicate_share": 0.5, "late_share": 0.5, "late_s": [100, 200]}
    folder = make_run(retell=retell, phases=[{"calls_per_s": 1, "duration_s": 40}], drain_s=300)
    _run(folder, stand_in)
    webhooks = [seen for seen in stand_in.seen if seen.path == "/webhooks/retell"]
    sent = Counter((seen.body["call"]["call_id"], seen.body["event"]) for seen in webhooks)
    assert set(sent.values()) == {1, 2}
    by_call: dict[str, list[str]] = {}
    for seen in webhooks:
        by_call.setdefault(seen.body["call"]["call_id"], []).append(seen.body["event"])
    assert all(set(events) == {"call_started", "call_ended", "call_analyzed"} for events in by_call.values())
    assert any(events.index("call_started") > events.index("call_ended") for events in by_call.values())
    rows = _ops(folder).table.to_pylist()
    assert len(stand_in.seen) == len(rows)
    _assert_calls_are_coherent(rows)


def test_the_phone_rings_until_the_inbound_webhook_is_answered(make_run: MakeRun, stand_in: StandIn) -> None:
    stand_in.inbound_refusals = 2
    folder = make_run(retell={"inbound_webhook": True}, phases=[{"calls_per_s": 1, "duration_s": 20}], drain_s=300)
    _run(folder, stand_in)
    rows = _ops(folder).table.to_pylist()
    for call in {row["call"] for row in rows}:
        webhooks = [row for row in rows if row["call"] == call and row["kind"] == "webhook"]
        first = sorted(webhooks, key=lambda row: row["invoke_ns"])[:4]
        assert [row["outcome"] for row in first] == ["unknown", "unknown", "ok", "ok"]
        assert [row["attempt"] for row in first] == [1, 2, 3, 1]
    inbound = [seen for seen in stand_in.seen if seen.path == "/webhooks/retell/inbound"]
    assert all(seen.signature_ok and seen.body["event"] == "call_inbound" for seen in inbound)
    assert len(inbound) == 3 * len({row["call"] for row in rows})


def test_a_call_is_taken_though_nobody_answers_the_inbound_webhook(make_run: MakeRun, stand_in: StandIn) -> None:
    stand_in.inbound_refusals = 9
    folder = make_run(retell={"inbound_webhook": True}, phases=[{"calls_per_s": 1, "duration_s": 10}], drain_s=300)
    _run(folder, stand_in)
    inbound = [seen for seen in stand_in.seen if seen.path == "/webhooks/retell/inbound"]
    started = [seen for seen in stand_in.seen if seen.body.get("event") == "call_started"]
    assert len(inbound) == 4 * len(started) > 0


def test_transcripts_of_megabytes_leave_the_calls_on_time(make_run: MakeRun, stand_in: StandIn) -> None:
    transcripts = {"long_share": 0.5, "long_kb": 300}
    phases = [{"calls_per_s": 0.5, "duration_s": 40}]
    folder = make_run(retell={"transcripts": transcripts}, phases=phases, drain_s=300, time_scale=5)
    _run(folder, stand_in)
    sizes = [int(seen.headers["content-length"]) for seen in stand_in.seen if seen.body.get("event") == "call_ended"]
    assert max(sizes) > 1_500_000 > 50_000 > min(sizes)
    assert {row["outcome"] for row in _ops(folder).table.to_pylist() if row["kind"] == "webhook"} == {"ok"}
    assert max(len(json.dumps(call)) for call in stand_in.published) > 1_500_000


def _assert_calls_are_coherent(rows: list[dict[str, Any]]) -> None:
    """Attempts count up from 1, a new process follows an unknown outcome, steps are due when the last one ended."""
    calls: dict[int, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row["op"]):
        calls.setdefault(row["call"], []).append(row)
    for call_rows in calls.values():
        assert len({row["call_ref"] for row in call_rows}) == 1
        assert {row["kind"] for row in call_rows if row["actor"] == "platform"} == {"webhook"}
        for request in {row["request"] for row in call_rows}:
            attempts = [row["attempt"] for row in call_rows if row["request"] == request]
            assert attempts == list(range(1, len(attempts) + 1))
        steps = [row for row in call_rows if row["actor"] == "caller"]
        for before, after in itertools.pairwise(steps):
            assert before["complete_ns"] <= after["intended_ns"] <= after["invoke_ns"] <= after["complete_ns"]
            assert (before["process"] != after["process"]) == (before["outcome"] == "unknown")
    pending = [row for row in rows if row["person"] == PENDING_FOR_EVER and row["kind"] == "book"]
    assert {row["attempt"] for row in pending} == {1, 2, 3, 4}
    lags_ms = sorted((row["invoke_ns"] - row["intended_ns"]) / 1e6 for row in rows)
    assert lags_ms[0] >= 0
    assert lags_ms[len(lags_ms) // 2] < 100


def test_an_unanswered_webhook_is_sent_again_as_the_same_request(make_run: MakeRun, stand_in: StandIn) -> None:
    stand_in.slow_webhooks = True
    folder = make_run(phases=[{"calls_per_s": 0.5, "duration_s": 10}], drain_s=120)
    _run(folder, stand_in)
    rows = [row for row in _ops(folder).table.to_pylist() if row["kind"] == "webhook"]
    unanswered = [row for row in rows if row["outcome"] == "unknown"]
    assert unanswered
    assert {(row["error"], row["attempt"]) for row in unanswered} == {("timeout", 1)}
    for row in unanswered:
        again = next(other for other in rows if other["request"] == row["request"] and other["attempt"] == 2)
        assert again["outcome"] == "ok"
        assert again["process"] != row["process"]


@pytest.mark.parametrize("how", ["sigterm", "gone"])
def test_a_stopped_worker_records_what_was_on_its_way(make_run: MakeRun, stand_in: StandIn, how: str) -> None:
    stand_in.stall = True
    folder = make_run(phases=[{"calls_per_s": 1, "duration_s": 3000}], time_scale=20)
    with LoadSupervisor(folder, 1) as supervisor:
        supervisor.start()
        supervisor.wait_ready()
        supervisor.go(time.monotonic_ns(), _system(stand_in.port))
        _wait_until(lambda: any(seen.path != "/webhooks/retell" for seen in stand_in.seen))
        pid = supervisor.pids[0]
        if how == "sigterm":
            subprocess.run(["kill", "-TERM", str(pid)], check=True)
        else:
            supervisor.hang_up()
        assert supervisor.wait_finished(10)
    assert supervisor.lost == ()
    assert supervisor.done[0].started < supervisor.done[0].planned
    content = _ops(folder)
    assert content.complete
    stopped = content.table.filter(pc.equal(content.table["error"].cast("string"), "stopped"))
    assert stopped.num_rows >= 1
    assert set(stopped["outcome"].to_pylist()) == {"unknown"}
    assert content.table.num_rows == len(stand_in.seen)


def _wait_until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_nothing_listening_is_a_definite_no(make_run: MakeRun) -> None:
    folder = make_run(phases=[{"calls_per_s": 1, "duration_s": 5}], drain_s=120)
    with LoadSupervisor(folder, 1) as supervisor:
        supervisor.start()
        supervisor.wait_ready()
        supervisor.go(time.monotonic_ns(), _system(_UNUSED_PORT))
        assert supervisor.wait_finished(30)
    rows = _ops(folder).table.to_pylist()
    assert {(row["outcome"], row["error"]) for row in rows} == {("none", "refused")}


def test_stats_come_until_the_harness_says_stop(make_run: MakeRun, stand_in: StandIn) -> None:
    folder = make_run(phases=[{"calls_per_s": 0.5, "duration_s": 3000}])
    seen: list[tuple[int, Stats]] = []
    with LoadSupervisor(folder, 1) as supervisor:
        supervisor.start()
        supervisor.wait_ready()
        supervisor.go(time.monotonic_ns(), _system(stand_in.port))
        while not supervisor.finished:
            seen.extend(supervisor.poll(1))
            if len(seen) == 2:
                supervisor.stop()
    assert supervisor.lost == ()
    assert _ops(folder).complete
    assert [worker for worker, _ in seen] == [0] * len(seen)
    counts = [stats.ops for _, stats in seen]
    assert counts == sorted(counts)
    assert supervisor.latest[0] == seen[-1][1]
    assert supervisor.totals()["ops"] == seen[-1][1].figures()["ops"]


def test_a_killed_worker_is_lost_and_its_record_incomplete(make_run: MakeRun, stand_in: StandIn) -> None:
    folder = make_run(phases=[{"calls_per_s": 1, "duration_s": 3000}])
    with LoadSupervisor(folder, 1) as supervisor:
        supervisor.start()
        supervisor.wait_ready()
        supervisor.go(time.monotonic_ns(), _system(stand_in.port))
        _wait_until(lambda: bool(stand_in.seen))
        subprocess.run(["kill", "-KILL", str(supervisor.pids[0])], check=True)
        assert supervisor.wait_finished(10)
        (lost,) = supervisor.lost
    assert lost.exit_code == -signal.SIGKILL
    assert not _ops(folder).complete


def test_a_broken_callers_file_is_a_lost_worker_with_its_reason(
    make_run: MakeRun, stand_in: StandIn, tmp_path: Path
) -> None:
    callers = tmp_path / "broken.py"
    callers.write_text(BROKEN_CALLERS)
    folder = make_run(callers_file=callers, phases=[{"calls_per_s": 1, "duration_s": 5}])
    supervisor = _run(folder, stand_in)
    (lost,) = supervisor.lost
    assert lost.exit_code == 1
    assert "ZeroDivisionError" in lost.why
    assert supervisor.done[0].crashed == supervisor.done[0].started > 0
    assert _ops(folder).complete


def test_a_callers_file_without_a_caller_is_refused_before_the_load(make_run: MakeRun, tmp_path: Path) -> None:
    callers = tmp_path / "nobody.py"
    callers.write_text("")
    folder = make_run(callers_file=callers)
    with LoadSupervisor(folder, 1) as supervisor:
        supervisor.start()
        with pytest.raises(StackError, match="ended before it was ready"):
            supervisor.wait_ready()
    assert "exactly one subclass of PhoneCaller" in (folder.logs / "load-00.log").read_text()


def test_the_harness_side_stays_free_of_gevent() -> None:
    code = "import sys, slotproof.load.supervisor; print(sorted({'gevent', 'locust'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


def test_shipped_callers_run_under_plain_locust(stand_in: StandIn, tmp_path: Path) -> None:
    runs = [_plain_locust(callers, stand_in, tmp_path) for callers in ("rush", "baseline")]
    for run in runs:
        said, log = run.communicate(timeout=30)
        requests = {entry["name"]: entry["num_requests"] for entry in json.loads(said)}
        assert requests.get("/webhooks/retell", 0) > 0, log
        assert requests.get("/functions/check_availability", 0) > 0, log
        assert requests.get("/functions/book_appointment", 0) > 0, log
    assert all(seen.signature_ok for seen in stand_in.seen)
    assert list(tmp_path.iterdir()) == []


def _plain_locust(callers: str, stand_in: StandIn, cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "locust", "-f", str(REPOSITORY / "scenarios" / f"{callers}.py"), "--headless"]
    return subprocess.Popen(
        [*command, "-u", "2", "-r", "2", "-t", "3s", "--host", f"http://127.0.0.1:{stand_in.port}", "--json"],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "SLOTPROOF_TIME_SCALE": "60", "SLOTPROOF_RETELL_API_KEY": API_KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
