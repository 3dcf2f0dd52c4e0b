"""Correct histories give no finding, whatever was answered; what is planted into them is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotproof.checks.base import Finding, FindingKind
from slotproof.checks.registry import all_checks
from slotproof.record.builder import RecordBuilder
from slotproof.record.record import Record

_PEOPLE = ("1", "2")
_STARTS = range(0, 240, 15)
_LENGTH_MIN = 45


@dataclass
class _Held:
    """A booking that stands in both sources of the model."""

    request: int
    person: str
    start: int
    uid: str
    confirmed: bool = False


class CorrectSystem:
    """Serves one request after the other, never sells twice, and writes what it does to both ledgers.

    Replies may be lost, or say that nothing is decided yet; what was left open takes effect in both sources, or in
    neither, or is compensated.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.builder = RecordBuilder(grace_s=0.001)
        self.held: list[_Held] = []
        self._now = 0.0

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self._now += 20
            wish = self.random.choice(["book", "book", "book", "cancel", "move", "external"])
            known = [each for each in self.held if each.request > 0]
            if wish == "external":
                self._external()
            elif wish == "book" or not known:
                self._book(self.random.choice(_PEOPLE), self.random.choice(_STARTS))
            elif wish == "cancel":
                self._cancel(self.random.choice(known))
            else:
                self._move(self.random.choice(known), self.random.choice(_STARTS))

    def free(self, person: str, start: int, ignoring: _Held | None = None) -> bool:
        return not any(
            each.person == person and abs(each.start - start) < _LENGTH_MIN
            for each in self.held
            if each is not ignoring
        )

    def _span(self) -> tuple[float, float]:
        return self._now, self._now + 10

    def _book(self, person: str, start: int) -> None:
        if not self.free(person, start):
            outcome = self.random.choice(["taken", "none", "unknown"])
            self.builder.book(person=person, start=start, at=self._span(), outcome=outcome)
            return
        fate = self.random.choice(["happens", "happens", "never", "compensated"])
        answers = ["ok", "pending", "unknown"] if fate == "happens" else ["none", "pending", "unknown"]
        answer = self.random.choice(answers)
        self.builder.book(person=person, start=start, at=self._span(), outcome=answer)
        request = self.builder.last_request
        if answer == "unknown" and fate == "happens" and self.random.random() < 0.5:
            answer = self.random.choice(["ok", "pending"])
            span = (self._now + 11, self._now + 12)
            self.builder.book(request=request, call=request, person=person, start=start, at=span, outcome=answer)
        if fate == "never":
            return
        self.builder.stands(request, at=self._now + 5)
        if fate == "compensated":
            self.builder.stands(request, at=self._now + 15, state="cancelled", actor="service")
        else:
            self.held.append(_Held(request, person, start, f"u{request}", confirmed=answer == "ok"))

    def _cancel(self, held: _Held) -> None:
        happens = self.random.random() < 0.6
        answer = self.random.choice(["ok", "pending", "unknown"] if happens else ["none", "pending", "unknown"])
        self.builder.cancel(held.request, at=self._span(), outcome=answer)
        held.confirmed &= answer == "none"
        if happens:
            row: dict[str, Any] = {"request": held.request, "person": held.person, "state": "cancelled"}
            self.builder.database_row(f"a{held.request}", at=self._now + 5, start=held.start, uid=held.uid, **row)
            self.builder.calendar_row(held.uid, at=self._now + 5, start=held.start, **row)
            self.held.remove(held)

    def _move(self, held: _Held, start: int) -> None:
        if not self.free(held.person, start, ignoring=held):
            self.builder.move(held.request, to=start, at=self._span(), outcome=self.random.choice(["taken", "none"]))
            return
        happens = self.random.random() < 0.6
        answer = self.random.choice(["ok", "pending", "unknown"] if happens else ["none", "pending", "unknown"])
        self.builder.move(held.request, to=start, at=self._span(), outcome=answer)
        held.confirmed &= answer in ("ok", "none")
        if not happens:
            return
        new_uid = f"{held.uid}+"
        row: dict[str, Any] = {"request": held.request, "person": held.person}
        lineage: dict[str, Any] = {"replaces": held.uid, **row}
        self.builder.database_row(f"a{held.request}", at=self._now + 5, start=start, uid=new_uid, **lineage)
        self.builder.calendar_row(held.uid, at=self._now + 5, start=held.start, state="cancelled", **row)
        self.builder.calendar_row(new_uid, at=self._now + 5, start=start, **lineage)
        held.uid, held.start = new_uid, start

    def _external(self) -> None:
        person, start = self.random.choice(_PEOPLE), self.random.choice(_STARTS)
        if self.free(person, start):
            uid = f"x{self._now:.0f}"
            self.builder.calendar_row(uid, at=self._now, start=start, person=person, actor="external")
            self.held.append(_Held(-1, person, start, uid))

    def a_confirmed(self) -> _Held:
        """One that its caller was told of and left alone since."""
        return self.random.choice([each for each in self.held if each.confirmed])


def _findings(record: Record) -> list[Finding]:
    return [finding for check in all_checks() for finding in check(record).findings]


_RANDOMS = st.randoms(use_true_random=False)


@given(_RANDOMS, st.integers(0, 40))
def test_a_correct_history_has_no_finding(random: Random, steps: int) -> None:
    system = CorrectSystem(random)
    system.run(steps)
    assert _findings(system.builder.build()) == []


def _plant_double(system: CorrectSystem) -> int:
    held = system.a_confirmed()
    start = held.start + system.random.choice([-30, -15, 0, 15, 30])
    system.builder.book(person=held.person, start=max(start, 0), at=(5000, 5010))
    system.builder.stands(system.builder.last_request, at=5005)
    return held.request


def _plant_lost(system: CorrectSystem) -> int:
    held = system.a_confirmed()
    row: dict[str, Any] = {"request": held.request, "person": held.person, "state": "cancelled", "actor": "service"}
    system.builder.calendar_row(held.uid, at=5000, start=held.start, **row)
    return held.request


def _plant_phantom(system: CorrectSystem) -> int:
    system.builder.book(person="9", start=0, at=(5000, 5010), outcome=system.random.choice(["taken", "none"]))
    system.builder.stands(system.builder.last_request, at=5005)
    return system.builder.last_request


def _plant_divergent(system: CorrectSystem) -> int:
    system.builder.book(person="9", start=0, at=(5000, 5010), outcome=system.random.choice(["pending", "unknown"]))
    request = system.builder.last_request
    system.builder.calendar_row(f"u{request}", at=5020, start=0, person="9", request=request)
    return request


def _plant_lost_cancel(system: CorrectSystem) -> int:
    held = system.a_confirmed()
    system.builder.cancel(held.request, at=(5000, 5010))
    return held.request


def _plant_duplicate(system: CorrectSystem) -> int:
    held = system.a_confirmed()
    system.builder.calendar_row("again", at=5000, start=held.start, person=held.person, request=held.request)
    return held.request


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (_plant_double, FindingKind.DOUBLE_BOOKING),
        (_plant_lost, FindingKind.LOST_BOOKING),
        (_plant_phantom, FindingKind.PHANTOM_BOOKING),
        (_plant_divergent, FindingKind.DIVERGENT_BOOKING),
        (_plant_lost_cancel, FindingKind.LOST_CANCEL),
        (_plant_duplicate, FindingKind.DUPLICATE_BOOKING),
    ],
    ids=lambda value: value.value if isinstance(value, FindingKind) else "",
)
def test_what_is_planted_is_found_and_nothing_else(plant: Callable[[CorrectSystem], int], kind: FindingKind) -> None:
    planted = 0
    for seed in range(40):
        system = CorrectSystem(Random(seed))
        system.run(15)
        if not any(held.confirmed for held in system.held):
            continue
        guilty = plant(system)
        planted += 1
        findings = _findings(system.builder.build())
        assert {finding.kind for finding in findings} == {kind}, seed
        assert any(guilty in finding.bookings for finding in findings), seed
    assert planted >= 10


def test_the_same_record_gives_the_same_findings_in_the_same_order() -> None:
    def build() -> Record:
        system = CorrectSystem(Random(5))
        system.run(15)
        for _ in range(3):
            _plant_double(system)
        return system.builder.build()

    first, second = _findings(build()), _findings(build())
    assert len(first) >= 3
    assert first == second
