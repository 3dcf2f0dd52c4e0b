"""`slotproof check-history` and `slotproof.check_history`: answers, exit codes, what is printed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import slotproof
from slotproof import cli

CORPUS = Path(__file__).resolve().parents[1] / "corpus"


def _exit_code(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["slotproof", "check-history", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def _files(case: str) -> list[str | Path]:
    return [CORPUS / case / "history.jsonl", "--ledger", CORPUS / case / "ledger.jsonl"]


@pytest.mark.parametrize(
    ("case", "code", "first_word"),
    [("good_handed_over", 0, "PASS"), ("double_booking", 11, "VIOLATION"), ("not_decided_not_contested", 20, "NOT")],
)
def test_the_exit_code_is_the_verdict(
    case: str, code: int, first_word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _exit_code(monkeypatch, *_files(case)) == code
    assert capsys.readouterr().out.split()[0] == first_word


def test_unreadable_input_ends_with_2_line_and_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"op": 1, "f": "book", "id": "b1", "invoke_ns": 3, "complete_ns": null, "outcome": "ok"}\n')
    assert _exit_code(monkeypatch, path) == 2
    told = capsys.readouterr().err
    assert f"{path}:1" in told
    assert '"complete_ns" must be null exactly when "outcome" is "info"' in told


def test_json_has_the_fields_of_the_exchange_format(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _exit_code(monkeypatch, *_files("double_booking_by_overlap"), "--json") == 11
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "violation"
    assert told["not_decided"] == []
    assert told["exercised"] == {"booked": 2, "conflicts": 0, "unknown": 0, "cancelled": 0}
    [finding] = told["findings"]
    assert (finding["kind"], finding["resource"]) == ("double_booking", "staff-1")
    assert (finding["ops"], finding["bookings"]) == ([1, 2], ["b1", "b2"])
    assert finding["sentence"].startswith("staff-1 570–585 was sold twice")


def test_it_can_be_called_from_python() -> None:
    case = CORPUS / "lost_booking"
    result = slotproof.check_history(slotproof.read_history(case / "history.jsonl", case / "ledger.jsonl"))
    assert [str(finding.kind) for finding in result.findings] == ["lost_booking"]


def test_the_package_itself_imports_neither_numpy_nor_arrow() -> None:
    """A Locust process imports it before gevent has patched anything."""
    script = "import sys, slotproof; sys.exit(any(name in sys.modules for name in ('numpy', 'pyarrow', 'httpx')))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = slotproof.nothing
