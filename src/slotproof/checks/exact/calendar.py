"""Calendars of ranges of any start and length, atomic moves, pools of k (CHECKER.md section 4).

What was sold twice is decided always, from bookings and cancels alone. Refusals and reads are searched for an order
where the frontier stays small; beyond that the sound check by cells may still find a violation, and else nothing is
said.
"""

from __future__ import annotations

from slotproof.checks.exact import frontier
from slotproof.checks.exact.cells import decide_cells
from slotproof.checks.exact.cores import decide_cores
from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.greedy import Failure, Life, tighten
from slotproof.checks.exact.model import Booking, Group
from slotproof.checks.exact.moves import decide_moves
from slotproof.checks.exact.slot import Decision, decide_slot


def decide_calendar(group: Group, cap: int = frontier.DEFAULT_CAP) -> Decision:
    """Exact, or TOO_MANY when the frontier would need more than `cap` configurations."""
    decided = _decide_bookings(group)
    if isinstance(decided, Failure):
        return Decision(Answer.IMPOSSIBLE, decided.units)
    if decided and not group.readers:
        return Decision(Answer.POSSIBLE)
    answer = frontier.decide(group, cap)
    if answer is not Answer.TOO_MANY:
        return Decision(answer)
    failure = decide_cells(group, lambda cell: decide_slot(cell, cap))
    return Decision(answer) if failure is None else Decision(Answer.IMPOSSIBLE, failure.units)


def _decide_bookings(group: Group) -> Failure | bool:
    """What cannot be by bookings, cancels and moves alone; else whether there is nothing more that they could say."""
    lives: list[Life] = []
    for booking in group.bookings:
        if booking.optional or booking.moves:
            continue
        life = tighten(booking, ())
        for low, high in ((life.begin_low, life.begin_high), (life.end_low, life.end_high)):
            if low.at > high.at:
                return Failure(low.all_units() | high.all_units())
        lives.append(life)
    failure = decide_cores(lives, group.capacity)
    if failure is not None:
        return failure
    if len(lives) == len(group.bookings):
        return True
    if group.capacity > 1:
        return False
    precedence = decide_moves(group.bookings)
    return precedence.failure or (precedence.complete and all(map(_rests_where_moved, group.bookings)))


def _rests_where_moved(booking: Booking) -> bool:
    last = booking.moves[-1].to if booking.moves else booking.range
    return booking.rest in (None, last)
