"""Whatever happens, what was injected is healed, and the journal says what was proven."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from slotproof.errors import FaultError, ToxiproxyError
from slotproof.faults.base import Deadline, Effect, Fault, ReadBack
from slotproof.faults.timeline import FaultState, Timeline
from slotproof.plan.experiment import FaultUse
from slotproof.record.journal import JournalWriter, Stage, read_journal
from slotproof.system import Address, LinkName, System
from slotproof.toxiproxy import HealStep, ToxiproxyClient

SYSTEM = System(
    toxiproxy=Address("127.0.0.1", 1),
    links={},
    service=Address("127.0.0.1", 2),
    calcom_control=None,
    retell_control=None,
    database_url="",
    admin_database_url="",
    redis=Address("127.0.0.1", 3),
    time_scale=10,
)


class _Params(BaseModel):
    bites: bool = True
    breaks: bool = False


class _Recorder:
    """A fault without a system: it remembers what was asked of it."""

    name: ClassVar[str] = "recorder"
    Params = _Params
    asked: ClassVar[list[str]] = []

    def inject(self, system: System, params: _Params, deadline: Deadline) -> ReadBack:
        self.asked.append("inject")
        if params.breaks:
            raise FaultError("the proxy is gone")
        return ReadBack({"on": True})

    def verify(self, system: System, params: _Params) -> Effect:
        return Effect(params.bites, "seen" if params.bites else "nothing seen", "something")

    def heal(self, system: System, params: _Params, deadline: Deadline) -> ReadBack:
        self.asked.append("heal")
        return ReadBack({"on": False})

    def verify_healed(self, system: System, params: _Params) -> Effect:
        return Effect(True, "healthy", "healthy")

    def describe(self, params: _Params) -> str:
        return "something is broken"


KINDS: dict[str, type[Fault[Any]]] = {"recorder": _Recorder}


@pytest.fixture(autouse=True)
def _forget() -> None:
    _Recorder.asked.clear()


def _run(
    tmp_path: Path, params: dict[str, Any], *, stop: bool = False, at_s: float = 0.5
) -> tuple[list[Stage], Timeline]:
    journal = JournalWriter(tmp_path / "faults.jsonl")
    timeline = Timeline(SYSTEM, [FaultUse(id="f", fault="recorder", at_s=at_s, for_s=3, params=params)], KINDS, journal)
    timeline.start(time.monotonic_ns())
    if stop:
        timeline.stop()
    assert timeline.join(10)
    journal.close()
    return [entry.stage for entry in read_journal(tmp_path / "faults.jsonl")], timeline


def test_a_fault_that_bites_is_proven_and_healed(tmp_path: Path) -> None:
    stages, timeline = _run(tmp_path, {})
    assert stages == [Stage.PLANNED, Stage.INJECTED, Stage.BITTEN, Stage.HEALED, Stage.VERIFIED_HEALED]
    assert timeline.progress()[0].state is FaultState.HEALED


def test_a_fault_without_effect_is_said_to_be_unproven_and_healed(tmp_path: Path) -> None:
    stages, timeline = _run(tmp_path, {"bites": False})
    assert stages == [Stage.PLANNED, Stage.INJECTED, Stage.NOT_BITTEN, Stage.HEALED, Stage.VERIFIED_HEALED]
    assert timeline.progress()[0].state is FaultState.UNPROVEN


def test_a_fault_that_cannot_be_injected_is_healed_all_the_same(tmp_path: Path) -> None:
    stages, timeline = _run(tmp_path, {"breaks": True})
    assert stages == [Stage.PLANNED, Stage.FAILED, Stage.HEALED, Stage.VERIFIED_HEALED]
    assert _Recorder.asked == ["inject", "heal"]
    assert timeline.progress()[0].state is FaultState.FAILED


def test_a_stopped_timeline_heals_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    journal = JournalWriter(tmp_path / "faults.jsonl")
    use = FaultUse(id="f", fault="recorder", at_s=0, for_s=600, params={})
    timeline = Timeline(SYSTEM, [use], KINDS, journal)
    timeline.start(time.monotonic_ns())
    while timeline.progress()[0].state is not FaultState.BITING:
        assert time.monotonic() < began + 10
        time.sleep(0.01)
    timeline.stop()
    assert timeline.join(10)
    journal.close()
    assert _Recorder.asked == ["inject", "heal"]


def test_a_timeline_stopped_before_the_time_injects_nothing(tmp_path: Path) -> None:
    stages, _ = _run(tmp_path, {}, stop=True, at_s=100)
    assert stages == [Stage.PLANNED]
    assert _Recorder.asked == []


class _LinkParams(BaseModel):
    link: LinkName = LinkName.REDIS


class _WedgedLink:
    """A fault on a link that its own healing cannot end."""

    name: ClassVar[str] = "wedged"
    Params = _LinkParams

    def inject(self, system: System, params: _LinkParams, deadline: Deadline) -> ReadBack:
        return ReadBack({})

    def verify(self, system: System, params: _LinkParams) -> Effect:
        return Effect(True, "seen", "something")

    def heal(self, system: System, params: _LinkParams, deadline: Deadline) -> ReadBack:
        raise ToxiproxyError("a DELETE did not answer in time")

    def verify_healed(self, system: System, params: _LinkParams) -> Effect:
        return Effect(True, "an answer", "an answer")

    def describe(self, params: _LinkParams) -> str:
        return "a link is wedged"


def test_a_link_that_does_not_heal_is_healed_by_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restarts: list[str] = []

    def heal(self: ToxiproxyClient, proxy: str, restart: Callable[[], None] | None = None) -> HealStep:
        assert restart is not None
        restart()
        restarts.append(proxy)
        return HealStep.RESTARTED

    monkeypatch.setattr(ToxiproxyClient, "heal", heal)
    journal = JournalWriter(tmp_path / "faults.jsonl")
    use = FaultUse(id="f", fault="wedged", at_s=0, for_s=1, params={})
    timeline = Timeline(SYSTEM, [use], {"wedged": _WedgedLink}, journal)
    timeline.start(time.monotonic_ns())
    assert timeline.join(10)
    timeline.heal_by_force(lambda: restarts.append("toxiproxy"))
    timeline.heal_by_force(lambda: restarts.append("again"))
    journal.close()
    assert restarts == ["toxiproxy", "redis"]
    entries = read_journal(tmp_path / "faults.jsonl")
    assert [entry.stage for entry in entries][-3:] == [Stage.FAILED, Stage.HEALED, Stage.VERIFIED_HEALED]
    assert entries[-2].details == {"by_force": "restarted"}
