"""Where everything of one run lies: `reports/<UTC time>-<scenario>-<short id>/` (DESIGN.md section 3)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from slotproof.errors import RecordError


@dataclass(frozen=True)
class RunFolder:
    """Paths only; readers and writers live in `record`, `plan` and `report`."""

    path: Path

    @classmethod
    def create(cls, parent: Path, scenario: str) -> RunFolder:
        """Make a new, empty run folder with its subfolders."""
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{scenario}-{secrets.token_hex(2)}"
        folder = cls((parent / name).resolve())
        for directory in (folder.record, folder.ledger, folder.trace, folder.logs):
            directory.mkdir(parents=True)
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing folder. Raises RecordError when it has no plan.json."""
        folder = cls(path.resolve())
        if not folder.plan.is_file():
            raise RecordError(
                f"{path} is not a run folder: it has no plan.json", hint="name a folder under reports/ that a run left"
            )
        return folder

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def world(self) -> Path:
        return self.path / "world.json"

    @property
    def phases(self) -> Path:
        return self.path / "phases.jsonl"

    @property
    def record(self) -> Path:
        return self.path / "record"

    @property
    def faults(self) -> Path:
        return self.path / "faults.jsonl"

    @property
    def samples(self) -> Path:
        return self.path / "samples.arrow"

    @property
    def ledger(self) -> Path:
        return self.path / "ledger"

    @property
    def trace(self) -> Path:
        return self.path / "trace"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def verdict(self) -> Path:
        return self.path / "verdict.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def junit(self) -> Path:
        return self.path / "junit.xml"

    @property
    def summary(self) -> Path:
        return self.path / "summary.md"

    def ops(self, worker: int) -> Path:
        return self.record / f"ops-{worker:02d}.arrow"
