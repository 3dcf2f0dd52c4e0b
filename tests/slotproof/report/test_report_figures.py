"""Words and figures, the tally, bins, label places, and what the trace proves about locks."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from tests.slotproof.report.sample_run import SampleRun, plain_objective

from slotproof.checks.base import FindingKind
from slotproof.plan.objective import Measure
from slotproof.record.builder import RecordBuilder
from slotproof.record.record import Record
from slotproof.record.schemas import Outcome
from slotproof.report import text
from slotproof.report.axis import Axis, nice_ticks, time_ticks
from slotproof.report.drawing import place_text, rows_of
from slotproof.report.interval_svg import draw_interval
from slotproof.report.label_places import Box, place_names
from slotproof.report.requests import requests_of
from slotproof.report.series import Bins
from slotproof.report.tally import Resolution, tally_of
from slotproof.report.terminal import FinishedRun, closing_block, closing_text
from slotproof.report.trace_facts import HoldEnd, TraceFacts, trace_facts
from slotproof.report.witness import witness_of
from slotproof.run_folder import RunFolder
from slotproof.slo.results import ObjectiveResult, ObjectiveStatus


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (text.milliseconds(4.123), "4.1 ms"),
        (text.milliseconds(41.44), "41.4 ms"),
        (text.milliseconds(36_100), "36.1 s"),
        (text.seconds(52.44), "52.4 s"),
        (text.duration(45), "45 s"),
        (text.duration(450), "7 min 30 s"),
        (text.duration(7500), "2 h 5 min"),
        (text.percent(0.974), "97.4 %"),
        (text.percent(0.9996), "99.96 %"),
        (text.percent(1.0), "100 %"),
        (text.percent(0.99996), "100 %"),
        (text.percent(0.9), "90 %"),
        (text.counted(1, "call"), "1 call"),
        (text.counted(1204, "call"), "1,204 calls"),
        (text.joined(["a", "b", "c"]), "a, b and c"),
        (text.figure(Measure.GOODPUT_PER_S, 1.2345), "1.23/s"),
        (text.figure(Measure.LATENCY_MS, None), "–"),
        (text.local_range(1_803_888_000, 1_803_890_700, "Europe/Berlin"), "Mon 1 Mar 09:00–09:45"),
        (text.clean("a\x1b[31m\r\nb\u2028\ud800"), "a[31m  b"),
    ],
)
def test_wording(written: str, expected: str) -> None:
    assert written == expected


def test_interval_names_its_unit_once() -> None:
    def shown(low: float | None, high: float | None) -> str:
        result = ObjectiveResult(plain_objective(), ObjectiveStatus.MET, 41.0, low, high, 10, "")
        return text.interval_text(result)

    assert shown(38.0, 45.0) == "38–45 ms"
    assert shown(900.0, 1200.0) == "900 ms–1.2 s"
    assert shown(None, 45.0) == "≤ 45 ms"
    assert shown(None, None) == "–"


@given(st.floats(0, 1e7, allow_nan=False), st.floats(1e-6, 1e7, allow_nan=False), st.integers(2, 12))
def test_ticks_lie_inside_and_are_few(low: float, width: float, most: int) -> None:
    ticks = nice_ticks(low, low + width, most)
    assert len(ticks) <= most + 1
    assert all(low - width * 1e-3 <= tick <= low + width * 1.001 for tick in ticks)


@given(st.floats(0.5, 1e5, allow_nan=False))
def test_time_ticks_start_at_zero(end_s: float) -> None:
    ticks = time_ticks(end_s, 9)
    assert ticks[0] == 0
    assert ticks[-1] <= end_s
    assert len(ticks) <= 10


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 30)), max_size=30))
def test_rows_never_overlap(starts: list[tuple[float, float]]) -> None:
    stretches = sorted((low, low + width) for low, width in starts)
    rows = rows_of(stretches, gap=0)
    for row in set(rows):
        mine = [stretch for stretch, its in zip(stretches, rows, strict=True) if its == row]
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(mine))


def test_text_that_would_leave_the_drawing_ends_at_its_thing() -> None:
    assert place_text("short", 10, 12).anchor == "start"
    placed = place_text("a longer text than fits", 92, 97)
    assert (placed.anchor, placed.x) == ("end", 97)


def test_names_of_lines_keep_apart() -> None:
    x = np.linspace(0, 500, 50)
    lines = [(x, np.full(50, 100.0)), (x, np.full(50, 104.0)), (x, np.full(50, np.nan))]
    area = Box(0, 0, 500, 200)
    first, second, absent = place_names(lines, [40, 40, 40], 14, area, [])
    assert absent is None
    assert first is not None
    assert second is not None
    assert first.overlap(second) == 0


def _axis(end_s: float) -> Axis:
    return Axis(end_s=end_s, warm_up_s=0, load_end_s=end_s, bands=())


def test_bins_count_everything_and_keep_gaps() -> None:
    bins = Bins.of(_axis(100))
    times = np.array([0.0, 1.0, 50.0, 100.0, 250.0])
    assert bins.counts(times).sum() == 5
    (medians,) = bins.quantiles(times, np.arange(5.0), (0.5,))
    assert np.isnan(medians).sum() == len(medians) - 3
    assert float(np.nanmax(medians)) == 3.0


@pytest.mark.parametrize("observed", [0.0, 20.0, 99.0, 10_000.0])
def test_interval_is_drawn_for_any_value(observed: float) -> None:
    result = ObjectiveResult(plain_objective(), ObjectiveStatus.MET, observed, observed * 0.9, None, 3, "")
    drawing = draw_interval(result, "i")
    assert drawing is not None
    assert "nan" not in drawing


def test_no_interval_without_data() -> None:
    result = ObjectiveResult(plain_objective(), ObjectiveStatus.NO_DATA, None, None, None, 0, "")
    assert draw_interval(result, "i") is None


def test_tally_resolves_what_callers_did_not_learn(flawed: SampleRun) -> None:
    tally = tally_of(flawed.record, flawed.judgement)
    assert tally.attempts == sum(tally.outcomes.values())
    resolved = tally.resolved[Outcome.UNKNOWN]
    assert sum(resolved.values()) == tally.told(Outcome.UNKNOWN)
    assert set(resolved) == {Resolution.HAPPENED, Resolution.NEVER}
    assert tally.findings(FindingKind.DOUBLE_BOOKING) == 3
    assert tally.double_rate_bound is None


def test_tally_counts_requests_not_their_parts(flawed: SampleRun) -> None:
    builder = RecordBuilder().book(start="9:00", part=1, at=(10, 20)).book(start="10:30", part=2, at=(10, 20))
    builder.book(request=1, start="9:00", part=1, at=(30, 40)).book(request=2, start="10:30", part=2, at=(30, 40))
    tally = tally_of(builder.build(), flawed.judgement)
    assert (tally.attempts, tally.told(Outcome.OK), tally.repeats) == (1, 1, 1)


def test_tally_without_ledger_does_not_guess(flawed: SampleRun) -> None:
    tally = tally_of(replace(flawed.record, calendar=None), flawed.judgement)
    assert set(tally.resolved[Outcome.UNKNOWN]) == {Resolution.NOT_KNOWN}


def test_bound_on_zero_is_three_over_contested(hardened: SampleRun) -> None:
    tally = tally_of(hardened.record, hardened.judgement)
    assert tally.contested > 3
    assert tally.double_rate_bound == pytest.approx(3 / tally.contested)


def test_request_is_as_strong_as_its_strongest_attempt_and_answered_by_the_first_reply(flawed: SampleRun) -> None:
    table = flawed.record.ops.to_pylist()
    first = next(op for op in table if op["kind"] == "book" and op["outcome"] == "unknown")
    later = {**first, "op": 10**6, "attempt": 2, "outcome": "ok", "error": None}
    later |= {"invoke_ns": first["complete_ns"] + 5, "complete_ns": first["complete_ns"] + 99}
    record = replace(flawed.record, ops=flawed.record.ops.from_pylist([first, later], schema=flawed.record.ops.schema))
    rows = requests_of(record)
    assert (rows.outcome.tolist(), len(rows)) == (["ok"], 1)
    assert rows.answered_ns.tolist() == [later["complete_ns"]]
    assert rows.intended_ns.tolist() == [first["intended_ns"]]


def test_closing_text_is_plain_and_console_prints_the_same(flawed: SampleRun) -> None:
    evil = replace(flawed.judgement, reason="red \x1b[31m and\nlines")
    run = FinishedRun(flawed.plan, flawed.record, evil, Path("report.html"))
    plain = closing_text(run)
    assert all(character == "\n" or character.isprintable() for character in plain)
    printed = io.StringIO()
    Console(file=printed, width=200, force_terminal=False, no_color=True).print(closing_block(run))
    assert [line.rstrip() for line in printed.getvalue().splitlines()] == plain.splitlines()


# What the trace proves about a lock


def _facts(record: Record, tmp_path: Path, lines: Sequence[Mapping[str, Any]], ops: list[int]) -> TraceFacts:
    folder = RunFolder(tmp_path)
    folder.trace.mkdir()
    (folder.trace / "service.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return trace_facts(replace(record, folder=folder), ops)


def _line(event: str, at_ms: float, op: int, **fields: object) -> dict[str, Any]:
    mine = {"key": "person:1:1", "token": f"t{op}"}
    return {"t_ns": round(at_ms * 1e6), "event": event, "trace": f"{1:016x}{op:016x}", **mine, **fields}


@pytest.mark.parametrize(
    ("after", "end", "end_ms"),
    [
        ([("lock_released", 900.0, 5, {})], HoldEnd.RELEASED, 900),
        ([("lock_lost", 3600.0, 5, {})], HoldEnd.EXPIRED, 3000),
        ([("lock_acquired", 3050.0, 6, {"ttl_ms": 3000})], HoldEnd.EXPIRED, 3000),
        ([("lock_acquired", 1000.0, 6, {"ttl_ms": 3000})], HoldEnd.TAKEN_OVER, 1000),
        ([("lock_acquired", 1000.0, 6, {"ttl_ms": 3000, "locked_s": [[300, 900]]})], HoldEnd.TAKEN_OVER, 1000),
        (
            [
                ("lock_acquired", 1000.0, 6, {"ttl_ms": 3000, "locked_s": [[600, 900], [-300, 0]]}),
                ("lock_released", 1200.0, 5, {}),
            ],
            HoldEnd.RELEASED,
            1200,
        ),
        ([("lock_lost", 1500.0, 5, {})], HoldEnd.LOST, 1500),
        ([("lock_renewed", 2000.0, 5, {"ttl_ms": 3000}), ("lock_released", 4500.0, 5, {})], HoldEnd.RELEASED, 4500),
        ([("lock_renewed", 2000.0, 5, {"ttl_ms": 3000}), ("lock_lost", 6000.0, 5, {})], HoldEnd.EXPIRED, 5000),
        ([], HoldEnd.OPEN, 3000),
    ],
)  # fmt: skip
def test_end_of_a_hold(
    after: list[tuple[str, float, int, dict[str, Any]]], end: HoldEnd, end_ms: float, flawed: SampleRun, tmp_path: Path
) -> None:
    lines = [_line("lock_acquired", 0.0, 5, ttl_ms=3000, locked_s=[[0, 600]])]
    lines += [_line(event, at_ms, op, **fields) for event, at_ms, op, fields in after]
    hold = _facts(flawed.record, tmp_path, lines, [5]).holds[0]
    assert (hold.end, hold.end_ns) == (end, end_ms * 1e6)


def test_holds_of_other_times_are_nobodys_business(flawed: SampleRun, tmp_path: Path) -> None:
    """Somebody else's lock on the same person's time elsewhere is no part of the story."""
    lines = [
        _line("lock_acquired", 0.0, 5, ttl_ms=3000, locked_s=[[0, 600], [1200, 1800]]),
        _line("lock_acquired", 10.0, 6, ttl_ms=3000, locked_s=[[600, 1200]]),
        _line("lock_acquired", 20.0, 7, ttl_ms=3000, locked_s=[[1500, 2400]]),
        _line("lock_acquired", 30.0, 8, ttl_ms=3000),
    ]
    assert [hold.token for hold in _facts(flawed.record, tmp_path, lines, [5]).holds] == ["t5", "t7", "t8"]


def test_unreadable_trace_lines_are_passed_over(flawed: SampleRun, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.trace.mkdir()
    good = json.dumps(_line("lock_acquired", 0.0, 5, ttl_ms=3000))
    broken = f'{{"trace": "{5:032x}", "event": \n["{5:032x}"]\n{good[:40]}{5:016x}"\n'
    (folder.trace / "service.jsonl").write_text(broken + good + "\n", encoding="utf-8")
    facts = trace_facts(replace(flawed.record, folder=folder), [5])
    assert len(facts.holds) == 1


def test_lock_released_in_time_is_no_cause(flawed: SampleRun, tmp_path: Path) -> None:
    finding = flawed.judgement.findings[0]
    op = finding.ops[0]
    at_ms = finding.at_ns / 1e6
    lines = [_line("lock_acquired", at_ms - 500, op, ttl_ms=3000), _line("lock_released", at_ms - 10, op)]
    folder = RunFolder(tmp_path)
    folder.trace.mkdir()
    (folder.trace / "service.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    record = replace(flawed.record, folder=folder)
    witness = witness_of(finding, record, _axis(480))
    assert witness.cause is None
    assert [moment.text for moment in witness.moments] == ["sold twice"]


def test_redis_that_could_not_be_reached_is_a_cause(flawed: SampleRun, tmp_path: Path) -> None:
    finding = flawed.judgement.findings[0]
    folder = RunFolder(tmp_path)
    folder.trace.mkdir()
    line = _line("redis_unavailable", finding.at_ns / 1e6 - 3000, finding.ops[0], what="acquire")
    (folder.trace / "service.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    witness = witness_of(finding, replace(flawed.record, folder=folder), _axis(480))
    assert witness.cause is not None
    assert witness.cause.startswith("Caller 671 could not use Redis at ")


def test_witness_is_cut_around_its_ops(flawed: SampleRun) -> None:
    finding = flawed.judgement.findings[0]
    witness = witness_of(finding, flawed.record, _axis(480))
    assert witness.start_s < 126.4 < 193.4 < witness.end_s
    assert witness.end_s - witness.start_s < 90
    titles = [lane.title for lane in witness.lanes]
    assert titles == ["Caller 671", "Lock", "Caller 672", "Cal.com calendar", "Database"]
