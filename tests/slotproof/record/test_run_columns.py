"""A run folder's files as columns: what each op and row comes to claim."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from benchmarks.plants import PLANTS, with_bugs, with_double_booking
from benchmarks.run_folders import write_run_folder
from benchmarks.traffic import Load, true_traffic
from tests.slotproof.checks.exact.alone import alone, requests
from tests.slotproof.checks.exact.brute_force import explains

from slotproof.checks.base import FindingKind
from slotproof.checks.exact import HistoryFinding, Verdict, check, check_run_folder, frontier
from slotproof.errors import RecordError
from slotproof.record.arrow_files import ArrowWriter
from slotproof.record.builder import RecordBuilder, range_s
from slotproof.record.columns import HistoryColumns
from slotproof.record.exchange import History
from slotproof.record.record import Record
from slotproof.record.run_columns import read_run_history
from slotproof.record.schemas import LEDGER, OPS
from slotproof.run_folder import RunFolder


def _folder(path: Path, record: Record, *, complete: bool = True) -> RunFolder:
    """The record as the files that a run leaves."""
    folder = RunFolder(path)
    for directory in (folder.record, folder.ledger):
        directory.mkdir(parents=True)
    ops = ArrowWriter(folder.ops(0), OPS, "ops")
    ops.write(_rows(record.ops))
    written = folder.ops(0).read_bytes()
    ops.close()
    if not complete:
        folder.ops(0).write_bytes(written)
    for name, table in (("database", record.database), ("calendar", record.calendar)):
        if table is not None:
            ledger = ArrowWriter(folder.ledger / f"{name}.arrow", LEDGER, "ledger")
            ledger.write(_rows(table))
            ledger.close()
    return folder


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _kinds(folder: RunFolder) -> list[FindingKind]:
    return [finding.kind for finding in check_run_folder(folder).findings]


def _booked_and_refused() -> RecordBuilder:
    return (
        RecordBuilder()
        .book(start="10:00", at=(0, 10))
        .stands(1, at=5)
        .book(start="10:00", at=(20, 30), outcome="taken")
    )


def test_a_booking_and_a_refusal_pass_with_the_numbers_of_the_record(tmp_path: Path) -> None:
    folder = _folder(tmp_path, _booked_and_refused().build())
    history = read_run_history(folder)
    assert history.complete
    assert history.columns.op.tolist() == [1, 2]
    assert list(history.columns.names) == ["1"]
    assert check_run_folder(folder).verdict is Verdict.PASS


@pytest.mark.parametrize("largest", [2, 2**31 - 1, 2**31, 2**40])
def test_large_numbers_of_ops_are_kept(tmp_path: Path, largest: int) -> None:
    record = _booked_and_refused().build()
    numbered = record.ops.set_column(record.ops.schema.get_field_index("op"), "op", pa.array([1, largest], pa.int64()))
    columns = read_run_history(_folder(tmp_path, replace(record, ops=numbered))).columns
    assert columns.op.tolist() == [1, largest]
    assert (columns.op.dtype == np.int32) is (largest < 2**31)


def test_two_that_were_told_the_same_time_are_a_double_booking(tmp_path: Path) -> None:
    builder = RecordBuilder().book(start="10:00", at=(0, 10)).stands(1, at=5)
    builder.book(start="10:15", at=(20, 30)).stands(2, at=25)
    assert _kinds(_folder(tmp_path, builder.build())) == [FindingKind.DOUBLE_BOOKING]


def test_a_confirmed_booking_without_a_row_is_lost(tmp_path: Path) -> None:
    builder = _booked_and_refused().book(start="12:00", at=(40, 50))
    assert _kinds(_folder(tmp_path, builder.build())) == [FindingKind.LOST_BOOKING]


def test_a_lost_reply_is_what_its_row_says(tmp_path: Path) -> None:
    builder = RecordBuilder().book(start="10:00", at=(0, 10), outcome="unknown").stands(1, at=15)
    builder.book(start="10:00", at=(20, 30), outcome="taken").book(start="12:00", at=(40, 50)).stands(3, at=45)
    assert check_run_folder(_folder(tmp_path, builder.build())).verdict is Verdict.PASS


@pytest.mark.parametrize(("offered", "kinds"), [(("10:00",), [FindingKind.FALSE_FREE]), ((), []), (("11:30",), [])])
def test_each_offered_time_is_a_read(tmp_path: Path, offered: tuple[str, ...], kinds: list[FindingKind]) -> None:
    builder = _booked_and_refused()
    where: dict[str, Any] = {
        "start_s": range_s("10:00"),
        "end_s": range_s("10:45"),
        "offered_start_s": [range_s(each) for each in offered],
    }
    builder.op("availability", at=(40, 50), person="1", **where)
    assert _kinds(_folder(tmp_path, builder.build())) == kinds


@pytest.mark.parametrize(
    ("leeway", "kinds"),
    [
        ({"staleness_s": 0.029}, [FindingKind.FALSE_FREE]),
        ({"staleness_s": 0.031}, []),
        ({"clock_uncertainty_ns": 14_000_000}, [FindingKind.FALSE_FREE]),
        ({"clock_uncertainty_ns": 15_000_000}, []),
    ],
)
def test_what_was_offered_may_be_stale_and_clocks_may_be_wrong(
    tmp_path: Path, leeway: dict[str, Any], kinds: list[FindingKind]
) -> None:
    """Offered 30 ms after its caller was told that it is booked."""
    offered: dict[str, Any] = {
        "start_s": range_s("10:00"),
        "end_s": range_s("10:45"),
        "offered_start_s": [range_s("10:00")],
    }
    builder = _booked_and_refused().op("availability", at=(40, 50), person="1", **offered)
    folder = _folder(tmp_path, builder.build())
    assert [finding.kind for finding in check_run_folder(folder, **leeway).findings] == kinds


def test_a_run_folder_is_searched_up_to_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caps: list[int] = []

    def suspects(*arguments: Any) -> list[Any]:
        caps.append(arguments[-1])
        return []

    monkeypatch.setattr(check, "suspects", suspects)
    folder = _folder(tmp_path, _booked_and_refused().build())
    check_run_folder(folder, cap=7)
    check_run_folder(folder)
    assert caps == [7, frontier.DEFAULT_CAP]


def test_what_a_repeat_is_told_may_be_as_old_as_the_first_attempt(tmp_path: Path) -> None:
    """Refused while it was held; the repeat is told the same, long after it was free again."""
    builder = RecordBuilder().book(start="10:00", at=(0, 10)).stands(1, at=5)
    builder.book(start="10:00", at=(20, 30), outcome="unknown", request=2)
    builder.cancel(1, at=(40, 50)).stands(1, at=45, state="cancelled")
    builder.book(start="10:00", at=(60, 70), outcome="taken", request=2)
    assert check_run_folder(_folder(tmp_path, builder.build())).verdict is Verdict.PASS


@pytest.mark.parametrize("outcome", ["taken", "none", "unknown"])
def test_what_the_service_withdrew_before_anyone_was_told_is_no_booking(tmp_path: Path, outcome: str) -> None:
    """It overlaps a confirmed one for a moment, and the other way round it explains a refusal."""
    builder = RecordBuilder().book(start="10:00", at=(0, 10)).stands(1, at=5)
    builder.book(start="10:15", at=(20, 60), outcome=outcome).stands(2, at=30)
    builder.stands(2, at=55, state="cancelled", actor="service").book(start="10:45", at=(40, 50), outcome="taken")
    result = check_run_folder(_folder(tmp_path, builder.build()))
    assert not result.findings
    assert "replies" not in {each.resource for each in result.not_decided}


@pytest.mark.parametrize(
    ("start", "at", "kinds"),
    [
        ("10:30", (40, 50), []),  # ran beside it, and overlaps its range
        ("10:30", (160, 170), [FindingKind.FALSE_REFUSAL]),  # later
        ("11:00", (40, 50), [FindingKind.FALSE_REFUSAL]),  # another range
    ],
)
def test_a_withdrawn_row_explains_the_refusals_of_its_time_and_range(
    tmp_path: Path, start: str, at: tuple[float, float], kinds: list[FindingKind]
) -> None:
    builder = RecordBuilder().book(start="10:15", at=(20, 58), outcome="none").stands(1, at=30)
    builder.stands(1, at=55, state="cancelled", actor="service").book(start=start, at=at, outcome="taken")
    assert _kinds(_folder(tmp_path, builder.build())) == kinds


def test_a_withdrawn_row_does_not_explain_why_its_own_request_was_refused(tmp_path: Path) -> None:
    builder = RecordBuilder().book(start="10:15", at=(20, 60), outcome="taken").stands(1, at=30)
    builder.stands(1, at=55, state="cancelled", actor="service")
    assert _kinds(_folder(tmp_path, builder.build())) == [FindingKind.FALSE_REFUSAL]


@pytest.mark.parametrize(("gone_s", "kinds"), [(370, []), (170, [FindingKind.FALSE_REFUSAL])])
def test_a_row_that_goes_later_than_its_caller_was_told_explains_refusals_until_then(
    tmp_path: Path, gone_s: float, kinds: list[FindingKind]
) -> None:
    builder = RecordBuilder().book(start="10:00", at=(0, 10)).stands(1, at=5).cancel(1, at=(50, 60))
    builder.stands(1, at=gone_s, state="cancelled").book(start="10:00", at=(365, 380), outcome="taken")
    assert _kinds(_folder(tmp_path, builder.build())) == kinds


@pytest.mark.parametrize("outcome", ["taken", "none"])
def test_a_refused_booking_that_stands_is_a_phantom(tmp_path: Path, outcome: str) -> None:
    builder = _booked_and_refused().book(start="14:00", at=(40, 50), outcome=outcome).stands(3, at=45)
    assert _kinds(_folder(tmp_path, builder.build())) == [FindingKind.PHANTOM_BOOKING]


def test_replies_about_a_range_with_a_booking_from_elsewhere_prove_nothing(tmp_path: Path) -> None:
    builder = _booked_and_refused()
    builder.calendar_row("x", at=35, start="14:00", actor="external").book(start="14:00", at=(40, 50), outcome="taken")
    result = check_run_folder(_folder(tmp_path, builder.build()))
    assert not result.findings
    assert [each.resource for each in result.not_decided] == ["replies"]


def test_moves_that_cannot_both_be_are_found(tmp_path: Path) -> None:
    builder = RecordBuilder().book(start="10:00", at=(0, 10)).book(start="12:00", at=(0, 10))
    builder.move(1, to="12:00", at=(20, 40)).move(2, to="10:00", at=(20, 40))
    for request, start in ((1, "12:00"), (2, "10:00")):
        builder.database_row(f"a{request}", at=30, start=start, request=request)
        builder.calendar_row(f"u{request}", at=30, start=start, request=request)
    assert _kinds(_folder(tmp_path, builder.build())) == [FindingKind.IMPOSSIBLE_MOVES]


def test_without_an_end_marker_nothing_is_lost_or_invented(tmp_path: Path) -> None:
    builder = _booked_and_refused().book(start="12:00", at=(40, 50))
    result = check_run_folder(_folder(tmp_path, builder.build(), complete=False))
    assert not result.findings
    assert "ledger" in {each.resource for each in result.not_decided}


def test_another_file_is_refused_by_name(tmp_path: Path) -> None:
    folder = _folder(tmp_path, _booked_and_refused().build())
    folder.ops(0).write_bytes(b"nothing of the kind")
    with pytest.raises(RecordError, match=r"ops-00\.arrow"):
        check_run_folder(folder)


@pytest.mark.parametrize("clients", [4, 64, 256])
@pytest.mark.parametrize("unknown", [0.0, 0.05, 0.5])
def test_large_true_traffic_passes_and_a_planted_double_booking_is_found(
    tmp_path: Path, clients: int, unknown: float
) -> None:
    traffic = true_traffic(Load(6000, 20, clients, unknown))
    write_run_folder(traffic, tmp_path / "true")
    result = check_run_folder(RunFolder(tmp_path / "true"))
    assert result.verdict is Verdict.PASS, result
    write_run_folder(with_double_booking(traffic), tmp_path / "spoilt")
    assert FindingKind.DOUBLE_BOOKING in _kinds(RunFolder(tmp_path / "spoilt"))


@pytest.mark.parametrize("clients", [4, 16, 64, 256])
@pytest.mark.parametrize("unknown", [0.0, 0.05])
def test_bugs_among_100_000_ops_are_found_with_witnesses_that_prove_them_alone(
    tmp_path: Path, clients: int, unknown: float
) -> None:
    _finds_all_bugs(tmp_path, Load(100_000, 100, clients, unknown))


@pytest.mark.parametrize(("slots", "clients", "unknown"), [(10_000, 4, 0.05), (100, 64, 0.0), (100, 256, 0.01)])
def test_bugs_among_a_million_ops_are_found(tmp_path: Path, slots: int, clients: int, unknown: float) -> None:
    _finds_all_bugs(tmp_path, Load(1_000_000, slots, clients, unknown))


def _finds_all_bugs(path: Path, load: Load) -> None:
    write_run_folder(with_bugs(true_traffic(load)), path / "run")
    folder = RunFolder(path / "run")
    findings = check_run_folder(folder).findings
    assert {finding.kind for finding in findings} >= set(PLANTS)
    columns = read_run_history(folder).columns
    for finding in findings:
        history = _about(columns, finding)
        assert len(requests(history, finding)) <= 4, finding
        assert not explains(alone(history, finding)), finding
        for part in requests(history, finding):
            assert explains(alone(history, finding, part)), (finding, part)


def _about(columns: HistoryColumns, finding: HistoryFinding) -> History:
    """The finding's ops, and everything that names its bookings, in the small numbers that the brute force knows: times
    by their rank, ranges from 0."""
    codes = [code for code, name in enumerate(columns.names) if name in finding.bookings]
    assert columns.ledger is not None
    ops = columns.rows(np.flatnonzero(np.isin(columns.booking, codes) | np.isin(columns.op, finding.ops)))
    ledger = columns.ledger_rows(np.flatnonzero(np.isin(columns.ledger.booking, codes)))
    times = sorted({op.invoke_ns for op in ops} | {op.complete_ns for op in ops if op.complete_ns is not None})
    rank = {time: number for number, time in enumerate(times)}
    zero = ops[0].start or 0
    return History(
        tuple(
            replace(
                op,
                start=op.start - zero,
                end=op.end - zero,
                invoke_ns=rank[op.invoke_ns],
                complete_ns=None if op.complete_ns is None else rank[op.complete_ns],
            )
            for op in ops
            if op.start and op.end
        ),
        tuple(replace(row, start=row.start - zero, end=row.end - zero) for row in ledger if row.start and row.end),
    )
