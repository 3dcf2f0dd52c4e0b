"""One slot decided: the greedy first, the frontier where only an inverted booking could help (CHECKER.md section 3)."""

from __future__ import annotations

from dataclasses import dataclass

from slotproof.checks.exact import frontier
from slotproof.checks.exact.components import decide_components
from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.greedy import Failure, decide_forward, make_slot, place
from slotproof.checks.exact.model import Group, Unit


@dataclass(frozen=True, slots=True)
class Decision:
    """`units`: where to look for the witness of an impossible history, then in `wider`; None = in the whole group."""

    answer: Answer
    units: frozenset[Unit] | None = None
    wider: frozenset[Unit] | None = None


def decide_slot(group: Group, cap: int = frontier.DEFAULT_CAP) -> Decision:
    """Exact, or TOO_MANY when the frontier would need more than `cap` configurations."""
    certain = [booking for booking in group.bookings if not booking.optional]
    if len(certain) < len(group.bookings):
        return _decide_optional(group, cap)
    slot = make_slot(certain, group.readers)
    if isinstance(slot, Failure):
        return Decision(Answer.IMPOSSIBLE, slot.units)
    failure = decide_forward(slot)
    if failure is None:
        return Decision(Answer.POSSIBLE)
    placed = place(slot)
    if isinstance(placed, Failure) or not slot.inverted:
        return Decision(Answer.IMPOSSIBLE, failure.units)
    answered = decide_components(slot, placed, cap)
    return Decision(answered.answer, answered.units or None, answered.wider or None)


def _decide_optional(group: Group, cap: int) -> Decision:
    """Bookings of which nobody knows whether they took effect: cores of the others must be apart in any case."""
    certain = make_slot([booking for booking in group.bookings if not booking.optional], ())
    if isinstance(certain, Failure):
        return Decision(Answer.IMPOSSIBLE, certain.units)
    return Decision(frontier.decide(group, cap))
