"""The made-up runs, made once a session: reports only read them."""

from __future__ import annotations

import pytest
from tests.slotproof.report.sample_run import SampleRun, make_sample_run


@pytest.fixture(scope="session")
def flawed(tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    """NO-GO: three slots sold twice."""
    return make_sample_run(tmp_path_factory.mktemp("runs") / "flawed")


@pytest.fixture(scope="session")
def hardened(tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    """GO."""
    return make_sample_run(tmp_path_factory.mktemp("runs") / "hardened", profile="hardened")
