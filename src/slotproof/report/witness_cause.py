"""One sentence of cause for a finding, from the trace alone; silence when the trace does not prove one."""

from __future__ import annotations

from collections.abc import Callable

from slotproof.record.record import Record
from slotproof.report.text import caller, seconds
from slotproof.report.trace_facts import Hold, HoldEnd, TraceFacts

CallOfTrace = Callable[[str], int | None]


def cause_of(facts: TraceFacts, call_of: CallOfTrace, record: Record) -> str | None:
    """The earliest cause: a lock that ended before its holder was done, or Redis that could not be reached."""
    for hold in sorted(facts.holds, key=lambda hold: hold.end_ns):
        work = next((w for w in facts.works if w.trace_id == hold.trace_id and w.inserted_ns > hold.end_ns), None)
        if hold.end in (HoldEnd.EXPIRED, HoldEnd.TAKEN_OVER, HoldEnd.LOST) and work is not None:
            sentences = [_how_it_ended(hold, call_of, record), _next_holder(hold, facts, call_of, record)]
            sentences.append(_inserted(hold, work.inserted_ns, call_of, record))
            return " ".join(sentence for sentence in sentences if sentence)
    for trace_id, at_ns in sorted(facts.redis_failures.items(), key=lambda item: item[1]):
        return (
            f"{_who(trace_id, call_of).capitalize()} could not use Redis at {seconds(record.life_s(at_ns))}, "
            "so no lock kept others out."
        )
    return None


def _how_it_ended(hold: Hold, call_of: CallOfTrace, record: Record) -> str:
    who, at = _who(hold.trace_id, call_of), seconds(record.life_s(hold.end_ns))
    held = seconds((hold.end_ns - hold.start_ns) / 1e9 * record.time_scale)
    match hold.end:
        case HoldEnd.EXPIRED:
            return f"The lock of {who} expired at {at}, {held} after it was taken."
        case HoldEnd.TAKEN_OVER:
            return f"The lock of {who} was taken over at {at}, only {held} after it was taken and before it expired."
        case _:
            return f"The lock of {who} was found gone at {at}, before it expired."


def _next_holder(hold: Hold, facts: TraceFacts, call_of: CallOfTrace, record: Record) -> str:
    later = [h for h in facts.holds if h.key == hold.key and h.token != hold.token and h.start_ns >= hold.end_ns]
    if not later or hold.end is HoldEnd.TAKEN_OVER:
        return ""
    following = min(later, key=lambda h: h.start_ns)
    gap_s = (following.start_ns - hold.end_ns) / 1e9 * record.time_scale
    when = f"{seconds(gap_s)} later" if gap_s >= 0.05 else "at once"
    return f"{_who(following.trace_id, call_of).capitalize()} took it {when}."


def _inserted(hold: Hold, inserted_ns: int, call_of: CallOfTrace, record: Record) -> str:
    late = seconds((inserted_ns - hold.end_ns) / 1e9 * record.time_scale)
    return f"Cal.com inserted the booking of {_who(hold.trace_id, call_of)} {late} after its lock had ended."


def _who(trace_id: str, call_of: CallOfTrace) -> str:
    call = call_of(trace_id)
    return "another request" if call is None else caller(call)
