"""`check_history`: a history and its ledger decided, resource by resource."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from slotproof.checks.base import FindingKind
from slotproof.checks.exact import frontier, wording
from slotproof.checks.exact.calendar import decide_calendar
from slotproof.checks.exact.exercised import count_exercised, not_exercised
from slotproof.checks.exact.frontier import Answer
from slotproof.checks.exact.grouping import (
    Clusters,
    booking_clusters,
    calendars,
    cluster,
    reader_clusters,
    strays,
)
from slotproof.checks.exact.model import Claim, Group, Role, Unit
from slotproof.checks.exact.result import HistoryFinding, HistoryResult, NotDecided, Verdict
from slotproof.checks.exact.settle import HELD_BY, NOT_HELD, Settled, settle
from slotproof.checks.exact.slot import Decision, decide_slot
from slotproof.checks.exact.slot_arrays import SlotBookings, SlotReaders
from slotproof.checks.exact.slots import decide_slots
from slotproof.checks.exact.suspects import Suspects, suspects
from slotproof.checks.exact.witness import minimise
from slotproof.record.columns import END_UNKNOWN, NONE, HistoryColumns, Ints, columns_of
from slotproof.record.exchange import History
from slotproof.record.run_columns import read_run_history
from slotproof.run_folder import RunFolder

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
    return check_columns(columns_of(history), capacity=capacity, clock_uncertainty_ns=clock_uncertainty_ns, cap=cap)


def check_columns(
    history: HistoryColumns,
    *,
    capacity: Mapping[str, int] | None = None,
    clock_uncertainty_ns: int = 0,
    cap: int = frontier.DEFAULT_CAP,
) -> HistoryResult:
    """`check_history` for a history in columns, of any size.

    Raises:
        ValueError: a capacity is less than 1, or the uncertainty is negative.
    """
    capacity = capacity or {}
    if clock_uncertainty_ns < 0 or min(capacity.values(), default=1) < 1:
        raise ValueError("a capacity must be at least 1, and the uncertainty of clocks not negative")
    history = _widened(history, clock_uncertainty_ns) if clock_uncertainty_ns else history
    settled = settle(history)
    names = history.resources
    findings = [
        wording.ledger_finding(names[int(history.booking_resource[code])], suspicion)
        for code, suspicion in settled.suspicions
    ]
    undecided: list[NotDecided] = []
    clusters = cluster(settled, capacity)
    for group, decision in _decisions(settled, clusters, capacity, cap):
        if decision.answer is Answer.IMPOSSIBLE:
            findings.append(_finding(group, decision, cap))
        elif decision.answer is Answer.TOO_MANY:
            undecided.append(NotDecided(group.resource, f"more than {cap} states are possible at once"))
    if history.unclear.size:
        undecided.append(NotDecided("replies", _unclear(history)))
    if history.ledger is None:
        undecided.append(NotDecided("ledger", _NO_LEDGER))
    exercised = count_exercised(history)
    undecided.extend(NotDecided("exercised", reason) for reason in not_exercised(history, exercised))
    verdict = Verdict.VIOLATION if findings else Verdict.NOT_DECIDED if undecided else Verdict.PASS
    findings.sort(key=lambda finding: finding.resource)
    return HistoryResult(verdict, tuple(findings), tuple(undecided), exercised)


def check_run_folder(
    folder: RunFolder,
    *,
    staleness_s: float = 0.0,
    clock_uncertainty_ns: int = 0,
    cap: int = frontier.DEFAULT_CAP,
) -> HistoryResult:
    """The ops and ledgers of a run folder decided as one history, straight from its Arrow files.

    `staleness_s`: how old (wall seconds) an availability reply's knowledge of bookings made elsewhere may be.

    Raises:
        RecordError: a file is not what its name says.
    """
    run = read_run_history(folder, staleness_ns=int(staleness_s * 1e9))
    history = run.columns if run.complete else replace(run.columns, ledger=None)
    return check_columns(history, clock_uncertainty_ns=clock_uncertainty_ns, cap=cap)


def _unclear(history: HistoryColumns) -> str:
    ranges = f"{history.unclear.size} of {len(history.places.start)} ranges"
    return f"who held {ranges} is not known from requests alone: replies about them prove nothing"


def _widened(history: HistoryColumns, by_ns: int) -> HistoryColumns:
    complete_ns = np.minimum(history.complete_ns + by_ns, END_UNKNOWN)
    return replace(history, invoke_ns=history.invoke_ns - by_ns, complete_ns=complete_ns)


def _decisions(
    settled: Settled, clusters: Clusters, capacity: Mapping[str, int], cap: int
) -> Iterator[tuple[Group, Decision]]:
    of_booking = booking_clusters(settled, clusters)
    for at in strays(settled, of_booking).tolist():
        resource = settled.history.places.resource[settled.readers.place[at]]
        group = Group(settled.history.resources[int(resource)], (), (settled.reader(at),))
        yield group, Decision(Answer.IMPOSSIBLE)
    for suspect in _slot_suspects(settled, clusters, of_booking, cap):
        yield suspect.group, suspect.decision
    for group in calendars(settled, clusters, capacity):
        yield group, _decide(group, cap)


def _slot_suspects(settled: Settled, clusters: Clusters, of_booking: Ints, cap: int) -> Iterable[Suspects]:
    """What the greedy over all slots at once could not explain."""
    slots = np.flatnonzero(clusters.is_slot)
    number = np.full(len(clusters.is_slot) + 1, NONE, np.int32)  # one more, so that NONE finds NONE
    number[slots] = np.arange(len(slots))
    of_code = number[of_booking]
    codes = np.flatnonzero(of_code != NONE).astype(np.int32)
    bookings = SlotBookings(
        of_code[codes],
        settled.begin_since[codes],
        settled.begin_until[codes],
        settled.end_since[codes],
        settled.end_until[codes],
    )
    place_in = np.full(len(of_code) + 1, NONE, np.int32)
    place_in[codes] = np.arange(len(codes))
    of_reader = number[reader_clusters(settled, clusters, of_booking)]
    of_reader[np.append(clusters.tainted[slots], True)[of_reader]] = NONE  # NONE finds the last one
    chosen = np.flatnonzero(of_reader != NONE).astype(np.int32)
    rows, history = settled.readers.row[chosen], settled.history
    claim = settled.readers.claim[chosen]
    names = (claim == HELD_BY) | (claim == NOT_HELD)  # others are about whoever held it, whatever id they gave
    readers = SlotReaders(
        claim,
        of_reader[chosen],
        np.where(names, place_in[history.booking[rows]], place_in.dtype.type(NONE)),
        history.invoke_ns[rows],
        history.complete_ns[rows],
    )
    del of_reader, place_in, rows, of_code, number, names
    answers = decide_slots(len(slots), bookings, readers)
    return suspects(settled, answers, bookings, readers, codes, chosen, cap)


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
