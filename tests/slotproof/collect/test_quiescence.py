"""The ledgers are read when nothing moves any more, and not before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from slotproof.collect import quiescence
from slotproof.collect.ledgers import LedgerRow
from slotproof.collect.quiescence import Quiet, await_quiet
from slotproof.collect.sources import SourceUnreachableError
from slotproof.record.schemas import RowState
from slotproof.system import Address, System

SYSTEM = System(
    toxiproxy=Address("127.0.0.1", 1),
    links={},
    service=Address("127.0.0.1", 2),
    calcom_control=None,
    retell_control=None,
    database_url="",
    admin_database_url="",
    redis=Address("127.0.0.1", 3),
)
LIVE: LedgerRow = {"row": "a1", "state": RowState.LIVE.value}
PENDING: LedgerRow = {"row": "a1", "state": RowState.PENDING.value}


class _Reader:
    """A source whose history is another one at each read; the last one stays."""

    source = "database"

    def __init__(self, *histories: Sequence[LedgerRow]) -> None:
        self._histories = [list(history) for history in histories]

    def read(self) -> list[LedgerRow]:
        return self._histories.pop(0) if len(self._histories) > 1 else self._histories[0]


class _Parts:
    """What stub and service say of themselves, the same each time or one figure a question."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calendar: list[float] = [0]
        self.service: dict[str, float] = {}
        self.reachable = True
        monkeypatch.setattr(quiescence, "calcom_state", self._calcom_state)
        monkeypatch.setattr(quiescence, "service_metrics", lambda system: self.service)
        monkeypatch.setattr(quiescence, "_POLL_S", 0.01)

    def _calcom_state(self, system: System) -> dict[str, float]:
        if not self.reachable:
            raise SourceUnreachableError("the calendar: refused")
        return {"requests_in_progress": self.calendar.pop(0) if len(self.calendar) > 1 else self.calendar[0]}


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> _Parts:
    return _Parts(monkeypatch)


def _await(*readers: _Reader, period_s: float = 0.05, limit_s: float = 0.3, **more: Any) -> Quiet:
    return await_quiet(SYSTEM, readers, period_s=period_s, limit_s=limit_s, **more)


@pytest.mark.usefixtures("parts")
def test_two_equal_reads_a_period_apart_are_quiet() -> None:
    quiet = _await(_Reader([LIVE]), limit_s=10)
    assert (quiet.quiet, quiet.stable, quiet.why) == (True, True, "")
    assert quiet.waited_s >= 0.05
    assert quiet.ledgers == {"database": [LIVE]}


@pytest.mark.usefixtures("parts")
def test_a_change_begins_the_period_anew() -> None:
    changed = [LIVE, {**LIVE, "row": "a2"}]
    quiet = _await(_Reader([], [LIVE], changed), limit_s=10)
    assert quiet.quiet
    assert quiet.ledgers == {"database": changed}


@pytest.mark.usefixtures("parts")
def test_rows_that_stay_pending_while_nothing_runs_are_stuck_and_may_be_judged() -> None:
    quiet = _await(_Reader([PENDING]))
    assert (quiet.quiet, quiet.stable, quiet.why) == (False, True, "1 rows are pending")


@pytest.mark.usefixtures("parts")
def test_the_last_state_of_a_row_counts() -> None:
    assert _await(_Reader([PENDING, LIVE]), limit_s=10).quiet


@pytest.mark.parametrize(
    ("calendar", "service", "why"),
    [
        ([2], {}, "2 requests are running at the calendar"),
        ([0], {"booking_outbox_length": 3}, "the outbox holds 3"),
        ([0], {"booking_requests_in_progress": 1}, "the service answers 1 requests"),
    ],
)
def test_work_under_way_is_neither_quiet_nor_stable(
    parts: _Parts, calendar: list[float], service: dict[str, float], why: str
) -> None:
    parts.calendar, parts.service = calendar, service
    quiet = _await(_Reader([LIVE]))
    assert (quiet.quiet, quiet.stable, quiet.why) == (False, False, why)


def test_a_request_whose_client_has_gone_is_waited_for(parts: _Parts) -> None:
    parts.calendar = [1, 1, 1, 0]
    assert _await(_Reader([LIVE]), period_s=0, limit_s=10).quiet
    assert parts.calendar == [0]


def test_a_part_that_does_not_answer_counts_as_busy(parts: _Parts) -> None:
    parts.reachable = False
    quiet = _await(_Reader([LIVE]))
    assert not quiet.stable
    assert "the calendar: refused" in quiet.why


@pytest.mark.usefixtures("parts")
def test_who_asks_to_stop_does_not_wait_for_the_limit() -> None:
    quiet = _await(_Reader([LIVE]), period_s=60, limit_s=60, stopped=lambda: True)
    assert not quiet.quiet
    assert quiet.waited_s < 30
