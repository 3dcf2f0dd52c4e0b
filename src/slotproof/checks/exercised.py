"""What a run exercised: a check that nothing could have failed does not pass (CONTRACTS.md section 3)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from slotproof.checks.bookings import Booking, Resolved
from slotproof.checks.collector import collector_paused
from slotproof.checks.requests import Attempt
from slotproof.checks.sweep import Span, count_overlaps
from slotproof.record.record import FaultSpan
from slotproof.record.schemas import Kind, Outcome


@lru_cache(maxsize=1)  # the checks of one record share the figures
def count_exercised(resolved: Resolved) -> Mapping[str, int]:
    """Figures of the run, and of the requests that were invoked during each fault as `<figure>_during_<fault id>`.

    `attempts` = book requests of callers, split by outcome into confirmed, taken, none, pending and unknown;
    `unknown_happened`, `unknown_not`: those without an answer that left a live row, or none (only where both ledgers
    were read); `contested_ranges`: different ranges that another request overlapped;
    `overlapping_attempts`: pairs of attempts for overlapping ranges of one person that ran at the same time.
    """
    asked = [booking for booking in resolved.bookings if booking.request is not None and not booking.external]
    ledgers = resolved.record.database is not None and resolved.record.calendar is not None
    with collector_paused():
        counts = _counts(asked, ledgers=ledgers)
        for fault in resolved.record.fault_spans:
            during = _counts(_during(asked, fault, resolved.rest_ns), ledgers=ledgers)
            counts |= {f"{figure}_during_{fault.fault_id}": n for figure, n in during.items()}
    return counts


def exercises_integrity(exercised: Mapping[str, int], faults: Sequence[FaultSpan]) -> bool:
    """At least one confirmed booking and one contested range; for each fault, contested during it and seen to bite."""
    during = all(fault.bitten and exercised.get(f"contested_ranges_during_{fault.fault_id}", 0) > 0 for fault in faults)
    return exercised["confirmed"] > 0 and exercised["contested_ranges"] > 0 and during


def _during(bookings: Iterable[Booking], fault: FaultSpan, end_ns: int) -> list[Booking]:
    if fault.injected_ns is None:
        return []
    healed_ns = end_ns if fault.healed_ns is None else fault.healed_ns
    return [
        booking
        for booking in bookings
        if booking.request is not None and fault.injected_ns <= booking.request.invoke_ns < healed_ns
    ]


def _counts(bookings: Sequence[Booking], *, ledgers: bool) -> dict[str, int]:
    outcomes = Counter(booking.outcome for booking in bookings)
    counts = {
        "attempts": len(bookings),
        "confirmed": outcomes[Outcome.OK],
        "taken": outcomes[Outcome.TAKEN],
        "none": outcomes[Outcome.NONE],
        "pending": outcomes[Outcome.PENDING],
        "unknown": outcomes[Outcome.UNKNOWN],
        "cancels": sum(len(booking.cancels) for booking in bookings),
        "moves": sum(len(booking.moves) for booking in bookings),
        "contested_ranges": _contested_ranges(bookings),
        "overlapping_attempts": _overlapping_attempts(bookings),
    }
    if ledgers:
        unknown = [booking for booking in bookings if booking.outcome == Outcome.UNKNOWN]
        happened = sum(any(row.was_live for row in booking.rows) for booking in unknown)
        counts |= {"unknown_happened": happened, "unknown_not": len(unknown) - happened}
    return counts


def _contested_ranges(bookings: Iterable[Booking]) -> int:
    """Ranges asked for twice, or overlapping another range that was asked for."""
    wanted: defaultdict[str, Counter[tuple[int, int]]] = defaultdict(Counter)
    for booking in bookings:
        if booking.request is not None and booking.request.asked is not None:
            wanted[booking.person][booking.request.asked] += 1
    return sum(_contested(of_person) for of_person in wanted.values())


def _contested(ranges: Counter[tuple[int, int]]) -> int:
    """Sorted by start, a range overlaps an earlier one if it starts before the latest end so far, and likewise back."""
    ordered = sorted(ranges)
    contested = {asked for asked, n in ranges.items() if n > 1}
    latest_end: tuple[int, tuple[int, int]] | None = None
    for asked in ordered:
        if latest_end is not None and asked[0] < latest_end[0]:
            contested.update((asked, latest_end[1]))
        if latest_end is None or asked[1] > latest_end[0]:
            latest_end = (asked[1], asked)
    return len(contested)


def _overlapping_attempts(bookings: Iterable[Booking]) -> int:
    attempts = (attempt for booking in bookings if booking.request is not None for attempt in booking.request.attempts)
    return count_overlaps([span for attempt in attempts for span in _running(attempt)])


def _running(attempt: Attempt) -> Iterable[Span]:
    if attempt.kind == Kind.BOOK and attempt.person is not None and attempt.start_s is not None:
        end_s = attempt.start_s if attempt.end_s is None else attempt.end_s
        yield Span(attempt.request, attempt.person, attempt.start_s, end_s, attempt.invoke_ns, attempt.complete_ns)
