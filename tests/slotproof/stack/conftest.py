"""A guardian for each test, and a way to start commands under it that ends them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slotproof.stack.guardian import Guardian
from slotproof.stack.processes import Child, Command, end_children, spawn


@pytest.fixture
def guardian(tmp_path: Path) -> Iterator[Guardian]:
    with Guardian(tmp_path / "guardian.log") as guardian:
        yield guardian
    assert (tmp_path / "guardian.log").read_text() == ""


@pytest.fixture
def start(guardian: Guardian) -> Iterator[Callable[[Command], Child]]:
    """Starts a command; whatever still runs at the end of the test is ended."""
    children: list[Child] = []

    def spawn_and_note(command: Command) -> Child:
        children.append(spawn(command, guardian))
        return children[-1]

    yield spawn_and_note
    end_children(children, guardian, grace_s=1)
