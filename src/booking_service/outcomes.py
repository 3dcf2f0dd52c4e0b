"""What a request to Cal.com came to, as far as anybody can know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from booking_service.calcom_wire import CalcomBooking


@dataclass(frozen=True)
class Accepted:
    """It took effect. `bookings`, one for each part, is empty for a cancel, and where the flaw `commit_before_calcom`
    pretends."""

    bookings: tuple[CalcomBooking, ...] = ()


@dataclass(frozen=True)
class Taken:
    """A definite refusal: the time is not free. `stood`: the parts that were accepted before."""

    why: str
    stood: tuple[CalcomBooking, ...] = ()


@dataclass(frozen=True)
class Gone:
    """A definite refusal: the booking that should be cancelled or moved is not live in the calendar any more."""

    why: str


@dataclass(frozen=True)
class Rejected:
    """Nothing was booked: never sent, or refused for a reason that says nothing about the time. `stood`: the parts that
    were accepted before."""

    why: str
    rate_limited: bool = False
    stood: tuple[CalcomBooking, ...] = ()


@dataclass(frozen=True)
class Unknown:
    """Sent, and no usable reply: it may have happened, or may still happen (FACTS-faults.md 1.0 and 1.2)."""

    why: str


Outcome = Accepted | Taken | Gone | Rejected | Unknown
OutcomePolicy = Callable[[Outcome], Outcome]


def believe_calcom(outcome: Outcome) -> Outcome:
    """The hardened policy: only an acceptance confirms."""
    return outcome


def confirm_regardless(outcome: Outcome) -> Outcome:
    """The flaw `commit_before_calcom`: a failed call is confirmed all the same; only a definite refusal counts."""
    return Accepted() if isinstance(outcome, Rejected | Unknown) else outcome
