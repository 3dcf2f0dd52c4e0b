"""The checker against a brute force that shares no code with it (CHECKER.md section 5).

`make test` tries 20,000 histories of a fixed seed. `make fuzz` tries many more (SLOTPROOF_FUZZ_HISTORIES says how many)
of a seed that is drawn, printed, and can be fixed by SLOTPROOF_FUZZ_SEED (1 is that of `make test`).
"""

from __future__ import annotations

import os
import random
import secrets
import sys
from collections import Counter
from dataclasses import replace

import pytest
from tests.slotproof.checks.exact import generate as shapes
from tests.slotproof.checks.exact.alone import alone, requests
from tests.slotproof.checks.exact.brute_force import explains
from tests.slotproof.checks.exact.generate import Shape, generate, spoil
from tests.slotproof.checks.exact.reference import groups_of, resolve
from tests.slotproof.checks.exact.tight import tight
from tests.slotproof.checks.exact.traffic import Load, true_history

from slotproof.checks.base import FindingKind
from slotproof.checks.exact import HistoryResult, Verdict, check_history, frontier
from slotproof.checks.exact.calendar import decide_calendar
from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.slot import decide_slot
from slotproof.record.exchange import History

FUZZING = "SLOTPROOF_FUZZ_HISTORIES" in os.environ
HISTORIES = int(os.environ.get("SLOTPROOF_FUZZ_HISTORIES", "20000"))
SEED = int(os.environ.get("SLOTPROOF_FUZZ_SEED", secrets.randbelow(10**9) if FUZZING else 1))
SHARES = {"SLOT": 0.4, "RANGES": 0.2, "MOVES": 0.2, "POOL": 0.1, "RANGE_POOL": 0.1}
_ENOUGH = 10_000
"""With fewer histories the rarest kinds of findings may be missing by chance."""
_TIGHT_EVERY = 4
_SMALL = {"known": 2, "lost": 3, "replies": 4}
"""Tight histories that are not too long for the brute force."""
_WITNESS_EVERY = 3
"""Every third history has its witnesses confirmed as well: that costs more than the verdict."""


@pytest.mark.timeout(3000)  # as long as many histories take
def test_every_verdict_agrees_with_the_brute_force(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    for name, share in SHARES.items():
        for index in range(round(HISTORIES * share)):
            rng, shape = random.Random(f"{SEED}-{index}"), getattr(shapes, name)
            is_tight = index % _TIGHT_EVERY == 0
            history = tight(rng, shape, **_SMALL) if is_tight else generate(rng, shape)
            _compare(history, shape, f"{name} {SEED}-{index}", counts, with_witness=index % _WITNESS_EVERY == 0)
    with capsys.disabled():
        sys.stdout.write(f"\n{HISTORIES} histories against the brute force, seed {SEED}: {_told(counts)}\n")
    assert 0.2 <= counts["impossible"] / counts["histories"] <= 0.8
    found = {kind: counts[kind] / counts["impossible"] for kind in map(str, FindingKind) if counts[kind]}
    if HISTORIES >= _ENOUGH:
        assert min(found.values()) >= 0.02, found
        assert len(found) >= 10


def _compare(history: History, shape: Shape, where: str, counts: Counter[str], *, with_witness: bool) -> None:
    result = check_history(history, capacity={"slot": shape.capacity})
    possible = explains(history, shape.capacity)
    assert (not result.findings) == possible, f"{where}: {result}"
    counts["histories"] += 1
    counts["impossible"] += not possible
    counts.update({str(finding.kind) for finding in result.findings})
    if with_witness:
        _confirm_witnesses(history, result, shape, where)
        counts["witnesses"] += len(result.findings)


def _confirm_witnesses(history: History, result: HistoryResult, shape: Shape, where: str) -> None:
    for finding in result.findings:
        proved = any(
            not explains(alone(history, finding, rows_count=rows_count), shape.capacity)
            and all(
                explains(alone(history, finding, part, rows_count=rows_count), shape.capacity)
                for part in requests(history, finding)
            )
            for rows_count in (True, False)
        )
        assert proved, f"{where}: not a minimal violation by itself: {finding}"


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))


@pytest.mark.parametrize("name", ["SLOT", "RANGES", "MOVES", "POOL"])
def test_the_frontier_decides_every_history_as_the_faster_ways_do(name: str) -> None:
    shape: Shape = getattr(shapes, name)
    for index in range(HISTORIES // 20):
        history = generate(random.Random(f"{SEED}-{index}"), shape)
        for resolved in resolve(history):
            for group in groups_of(resolved, shape.capacity, with_readers=True):
                decided = decide_slot(group) if group.is_slot else decide_calendar(group)
                assert frontier.decide(group) is decided.answer, f"{name} {SEED}-{index}"


@pytest.mark.parametrize("name", ["SLOT", "RANGES", "MOVES"])
def test_without_a_ledger_every_fate_is_tried(name: str) -> None:
    shape: Shape = getattr(shapes, name)
    impossible = 0
    for index in range(HISTORIES // 20):
        history = replace(generate(random.Random(f"{SEED}-{index}"), shape), ledger=None)
        result = check_history(history)
        assert (not result.findings) == explains(history), f"{name} {SEED}-{index}: {result}"
        assert result.verdict is not Verdict.PASS
        impossible += bool(result.findings)
    assert impossible > HISTORIES // 400


@pytest.mark.parametrize("name", ["RANGES", "MOVES", "RANGE_POOL"])
def test_beyond_the_cap_whatever_is_said_is_true(name: str) -> None:
    shape: Shape = getattr(shapes, name)
    answers: Counter[Answer] = Counter()
    for index in range(HISTORIES // 20):
        history = generate(random.Random(f"{SEED}-{index}"), shape)
        for resolved in resolve(history):
            for group in groups_of(resolved, shape.capacity, with_readers=True):
                if not group.is_slot:
                    answer = decide_calendar(group, cap=2).answer
                    answers[answer] += 1
                    assert answer in (Answer.TOO_MANY, frontier.decide(group)), f"{name} {SEED}-{index}"
    assert min(answers[answer] for answer in Answer) > 0, answers


def test_longer_slots_are_decided_by_parts_as_they_are_whole() -> None:
    """Too long for the brute force: 16 to 40 ops, which fall into components and have wide bookings."""
    answers: Counter[Answer] = Counter()
    for index in range(HISTORIES // 20):
        rng = random.Random(f"{SEED}-{index}")
        load = Load(ops=rng.randint(16, 40), clients=rng.randint(2, 6), unknown=rng.choice((0.0, 0.2, 0.5)))
        correct = true_history(rng, load)
        assert not check_history(correct).findings, f"{SEED}-{index}"
        spoilt = spoil(rng, spoil(rng, correct, 100 * load.ops // load.clients), 100 * load.ops // load.clients)
        for resolved in resolve(spoilt):
            for group in groups_of(resolved, 1, with_readers=True):
                answer = decide_slot(group).answer
                assert answer is frontier.decide(group), f"{SEED}-{index}"
                answers[answer] += 1
    assert min(answers[Answer.POSSIBLE], answers[Answer.IMPOSSIBLE]) > HISTORIES // 100, answers
