"""Slots in which nearly every reply matters, too long for the brute force: cut into components, and as a whole."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from tests.slotproof.checks.exact import generate as shapes
from tests.slotproof.checks.exact.reference import groups_of, resolve
from tests.slotproof.checks.exact.tight import tight

from slotproof.checks.exact import check_history, frontier
from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.slot import decide_slot

SLOTS = 200


@pytest.mark.parametrize("part", range(12))
def test_by_parts_as_a_whole(part: int) -> None:
    answers: Counter[Answer] = Counter()
    for index in range(SLOTS):
        history = tight(random.Random(f"{part}-{index}"), shapes.SLOT, known=5)
        wholes = []
        for resolved in resolve(history):
            for group in groups_of(resolved, 1, with_readers=True):
                whole = frontier.decide(group)
                assert decide_slot(group).answer is whole, f"{part}-{index}"
                wholes.append(whole)
        found = Answer.IMPOSSIBLE if Answer.IMPOSSIBLE in wholes else Answer.POSSIBLE
        assert bool(check_history(history).findings) is (found is Answer.IMPOSSIBLE), f"{part}-{index}"
        answers[found] += 1
    assert min(answers[Answer.POSSIBLE], answers[Answer.IMPOSSIBLE]) > SLOTS // 5, answers
