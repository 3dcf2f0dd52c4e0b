"""`check_history`: a history and its ledger decided, resource by resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from slotproof.checks.base import FindingKind
from slotproof.checks.exact import frontier, wording
from slotproof.checks.exact.calendar import decide_calendar
from slotproof.checks.exact.exercised import count_exercised, not_exercised
from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.groups import groups_of
from slotproof.checks.exact.model import Claim, Group, Role, Unit
from slotproof.checks.exact.resolve import resolve
from slotproof.checks.exact.result import HistoryFinding, HistoryResult, NotDecided, Verdict
from slotproof.checks.exact.slot import Decision, decide_slot
from slotproof.checks.exact.witness import minimise
from slotproof.record.exchange import History, HistoryOp

_NO_LEDGER = "no ledger was given: what was lost or invented, and the state at rest, cannot be known"


def check_history(
    history: History,
    *,
    capacity: Mapping[str, int] | None = None,
    clock_uncertainty_ns: int = 0,
    cap: int = frontier.DEFAULT_CAP,
) -> HistoryResult:
    """Decides whether the history can have come from a system that never sells anything twice.

    `capacity`: resources that stand for several interchangeable people, and how many (1 when not named).
    `clock_uncertainty_ns`: for histories of several machines, by how much any stamp may be wrong; every interval is
    widened by it, so that no finding is a matter of clocks. `cap`: how many states may be followed at once where only
    a search decides; beyond it the resource is not decided.

    Raises:
        ValueError: a capacity is less than 1, or the uncertainty is negative.
    """
    if clock_uncertainty_ns < 0 or min((capacity or {}).values(), default=1) < 1:
        raise ValueError("a capacity must be at least 1, and the uncertainty of clocks not negative")
    history = _widened(history, clock_uncertainty_ns) if clock_uncertainty_ns else history
    findings: list[HistoryFinding] = []
    undecided: list[NotDecided] = []
    for resolved in resolve(history):
        findings.extend(wording.ledger_finding(resolved.resource, suspicion) for suspicion in resolved.suspicions)
        # What is lost or invented has no place in any order: only what was sold twice is looked for beside it.
        with_readers = not resolved.suspicions
        for group in groups_of(resolved, (capacity or {}).get(resolved.resource, 1), with_readers=with_readers):
            decision = _decide(group, cap)
            if decision.answer is Answer.IMPOSSIBLE:
                findings.append(_finding(group, decision, cap))
            elif decision.answer is Answer.TOO_MANY:
                undecided.append(NotDecided(group.resource, f"more than {cap} states are possible at once"))
    if history.ledger is None:
        undecided.append(NotDecided("ledger", _NO_LEDGER))
    undecided.extend(NotDecided("exercised", reason) for reason in not_exercised(history))
    verdict = Verdict.VIOLATION if findings else Verdict.NOT_DECIDED if undecided else Verdict.PASS
    return HistoryResult(verdict, tuple(findings), tuple(undecided), count_exercised(history))


def _widened(history: History, by_ns: int) -> History:
    def widen(op: HistoryOp) -> HistoryOp:
        complete_ns = None if op.complete_ns is None else op.complete_ns + by_ns
        return replace(op, invoke_ns=op.invoke_ns - by_ns, complete_ns=complete_ns)

    return replace(history, ops=tuple(map(widen, history.ops)))


def _decide(group: Group, cap: int) -> Decision:
    return decide_slot(group, cap) if group.is_slot else decide_calendar(group, cap)


def _finding(group: Group, decision: Decision, cap: int) -> HistoryFinding:
    def impossible(smaller: Group) -> bool:
        return _decide(smaller, cap).answer is Answer.IMPOSSIBLE

    units, ids = minimise(group, (decision.units, decision.wider), impossible)
    return wording.order_finding(group, _kind(group, units, ids), units, ids)


def _kind(group: Group, units: frozenset[Unit], ids: tuple[str, ...]) -> FindingKind:
    claims = [reader.claim for reader in group.readers if Unit(Role.READ, reader.op) in units]
    if any(unit.role is Role.MOVE for unit in units):
        return FindingKind.IMPOSSIBLE_MOVES
    if not claims and len(ids) > 1:
        return FindingKind.DOUBLE_BOOKING if group.capacity == 1 else FindingKind.OVER_CAPACITY
    if claims == [Claim.FREE]:
        return FindingKind.FALSE_FREE
    if claims in ([Claim.HELD], [Claim.HELD_BY_OTHER]):
        return FindingKind.FALSE_REFUSAL
    return FindingKind.INCONSISTENT_REPLIES
