"""Built records are like read ones: same schemas, and they survive a trip through the files."""

from __future__ import annotations

from pathlib import Path

from slotproof.record.arrow_files import ArrowWriter, read_stream
from slotproof.record.builder import MIDNIGHT_S, RecordBuilder, at_ns
from slotproof.record.events import Phase
from slotproof.record.schemas import LEDGER, OPS, SAMPLES


def _builder() -> RecordBuilder:
    builder = RecordBuilder(time_scale=10).book(start="10:15", at=(100, 200), call=7, call_ref="c7")
    builder.move(1, to="11:00", at=(300, 400), outcome="unknown").cancel(1, at=(500, 600), intended=450)
    builder.stands(1, at=150).stands(1, at=550, state="cancelled").fault("stall", at=(200, 300))
    return builder.sample("machine", "foreign_cpu_cores", at=0, value=0.25)


def test_tables_have_the_schemas_of_the_files() -> None:
    record = _builder().build()
    assert record.ops.schema == OPS
    assert record.database is not None
    assert record.database.schema == LEDGER
    assert record.samples.schema == SAMPLES


def test_ops_say_what_was_asked() -> None:
    book, move, cancel = _builder().build().ops.to_pylist()
    assert (book["start_s"], book["end_s"]) == (MIDNIGHT_S + 615 * 60, MIDNIGHT_S + 660 * 60)
    assert (book["intended_ns"], book["invoke_ns"], book["complete_ns"]) == (at_ns(100), at_ns(100), at_ns(200))
    assert (move["request"], move["booking"], move["call"], move["call_ref"]) == (2, 1, 7, "c7")
    assert move["to_start_s"] == MIDNIGHT_S + 660 * 60
    assert (cancel["kind"], cancel["outcome"], cancel["intended_ns"]) == ("cancel", "ok", at_ns(450))


def test_repeats_count_their_attempts() -> None:
    builder = RecordBuilder().book(start="9:00", at=(0, 1)).book(request=1, start="9:00", at=(2, 3))
    assert [op["attempt"] for op in builder.book(start="9:00", at=(4, 5)).build().ops.to_pylist()] == [1, 2, 1]
    assert builder.last_request == 2


def test_the_run_comes_to_rest_unless_told_otherwise() -> None:
    record = _builder().build()
    assert [event.phase for event in record.phases] == [Phase.LOAD_STARTED, Phase.LOAD_ENDED, Phase.QUIESCENT]
    assert record.load_started_ns == at_ns(0)
    assert record.life_s(at_ns(200)) == 2.0
    other = _builder().phase(Phase.QUIESCENT, at=700, quiet=False, why="stuck").build()
    assert [event.details["why"] for event in other.phases if event.phase is Phase.QUIESCENT] == ["stuck"]


def test_faults_have_their_whole_journal() -> None:
    (span,) = _builder().build().fault_spans
    assert (span.injected_ns, span.healed_ns, span.verified_healed_ns) == (at_ns(200), at_ns(300), at_ns(300))
    assert span.bitten


def test_what_was_built_can_be_written_and_read(tmp_path: Path) -> None:
    record = _builder().build()
    writer = ArrowWriter(tmp_path / "ops-00.arrow", OPS, "ops")
    writer.write(record.ops.to_pylist())
    writer.close()
    content = read_stream(tmp_path / "ops-00.arrow", OPS, "ops")
    assert content.complete
    assert content.table.to_pylist() == record.ops.to_pylist()
