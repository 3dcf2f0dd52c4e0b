"""Fixtures of the whole runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.runs.whole_runs import CompletedRun, finish, start


@pytest.fixture
def slotproof(tmp_path: Path) -> Callable[..., CompletedRun]:
    """Run one command to its end; its run folders land in an empty folder."""

    def call(*words: str) -> CompletedRun:
        out = tmp_path / "reports"
        return finish(start(out, *words), out)

    return call
