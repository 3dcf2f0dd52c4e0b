"""What a check is and what it answers (CONTRACTS.md sections 3 and 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # the exact checker needs the words only, and starts in a third of the time without pandas
    from slotproof.record.record import Record


class FindingClass(StrEnum):
    """The integrity class decides the verdict; the promise class counts against objectives with limits."""

    INTEGRITY = "integrity"
    PROMISE = "promise"


class FindingKind(StrEnum):
    DOUBLE_BOOKING = "double_booking"
    LOST_BOOKING = "lost_booking"
    PHANTOM_BOOKING = "phantom_booking"
    DIVERGENT_BOOKING = "divergent_booking"
    LOST_CANCEL = "lost_cancel"
    RESURRECTED_BOOKING = "resurrected_booking"
    DUPLICATE_BOOKING = "duplicate_booking"
    CLAIMED_TWICE = "claimed_twice"
    IMPOSSIBLE_MOVES = "impossible_moves"
    OVER_CAPACITY = "over_capacity"
    FOREIGN_DATA = "foreign_data"
    INCONSISTENT_REPLIES = "inconsistent_replies"
    TRANSIENT_OVERLAP = "transient_overlap"
    FALSE_REFUSAL = "false_refusal"
    UNSELLABLE = "unsellable"
    FALSE_FREE = "false_free"
    BROKEN_PROMISE = "broken_promise"
    STUCK_PENDING = "stuck_pending"

    @property
    def finding_class(self) -> FindingClass:
        return FindingClass.PROMISE if self in _PROMISES else FindingClass.INTEGRITY


_PROMISES = {
    FindingKind.INCONSISTENT_REPLIES,
    FindingKind.TRANSIENT_OVERLAP,
    FindingKind.FALSE_REFUSAL,
    FindingKind.UNSELLABLE,
    FindingKind.FALSE_FREE,
    FindingKind.BROKEN_PROMISE,
    FindingKind.STUCK_PENDING,
}


class CheckStatus(StrEnum):
    PASS = "pass"
    VIOLATION = "violation"
    NOT_DECIDED = "not_decided"
    NOT_EXERCISED = "not_exercised"


@dataclass(frozen=True)
class Finding:
    """One violation. `ops` and `rows` are its witness: a set that is a violation by itself.

    `rows` are ledger identities as "database:<row>" or "calendar:<row>"; `bookings` the requests concerned; `at_ns`
    when it became true; `sentence` is one plain sentence for a board.
    """

    check: str
    kind: FindingKind
    resource: str
    ops: tuple[int, ...]
    rows: tuple[str, ...]
    bookings: tuple[int, ...]
    at_ns: int
    sentence: str

    @property
    def finding_class(self) -> FindingClass:
        return self.kind.finding_class


@dataclass(frozen=True)
class Undecided:
    """Something a check could not decide, by name and with the reason: never silently passed."""

    resource: str
    reason: str


@dataclass(frozen=True)
class CheckResult:
    status: CheckStatus
    findings: tuple[Finding, ...] = ()
    undecided: tuple[Undecided, ...] = ()
    exercised: Mapping[str, int] = field(default_factory=dict)


class Check(Protocol):
    """A pure function of the record; it never reads profile, flaws or trace."""

    @property
    def name(self) -> str: ...

    @property
    def kinds(self) -> frozenset[FindingKind]: ...

    def __call__(self, record: Record) -> CheckResult: ...
