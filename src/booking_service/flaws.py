"""The flaws that the reference service can be built with, by name.

This module imports nothing of the service: the harness may read it to offer and explain flaws. Only `build.build`
asks which flaws are on. Adding a flaw = one member here, one entry in `CATALOGUE`, one choice in `build`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Flaw(StrEnum):
    """A named, switchable defect (DESIGN.md section 7)."""

    LOCK_SHORTER_THAN_UPSTREAM = "lock_shorter_than_upstream"
    LOCK_CHECK_THEN_SET = "lock_check_then_set"
    NO_EXCLUSION_CONSTRAINT = "no_exclusion_constraint"
    REDIS_REQUIRED = "redis_required"
    UNBOUNDED_POOL_WAIT = "unbounded_pool_wait"
    COMMIT_BEFORE_CALCOM = "commit_before_calcom"
    NO_RECONCILER = "no_reconciler"
    NO_READ_BACK = "no_read_back"
    NO_SAGA_COMPOUND = "no_saga_compound"


@dataclass(frozen=True)
class FlawFacts:
    """What a flaw takes away and what must be missing besides it for the harm to show.

    `mechanism` is the protection of the hardened service that the flaw switches off; `enablers` are the flaws
    without which defence in depth hides this one.
    """

    mechanism: str
    what_is_wrong: str
    enablers: frozenset[Flaw] = frozenset()


CATALOGUE: Mapping[Flaw, FlawFacts] = MappingProxyType(
    {
        Flaw.LOCK_SHORTER_THAN_UPSTREAM: FlawFacts(
            mechanism="a lock on the person's time, renewed until the outcome is known, and an early 202",
            what_is_wrong="the lock lives 30 s and is never renewed, while the service waits up to 60 s for Cal.com",
            enablers=frozenset({Flaw.NO_EXCLUSION_CONSTRAINT}),
        ),
        Flaw.LOCK_CHECK_THEN_SET: FlawFacts(
            mechanism="a lock taken in one atomic step",
            what_is_wrong="the lock is looked at with GET and then taken with SET: two callers can both take it",
            enablers=frozenset({Flaw.NO_EXCLUSION_CONSTRAINT}),
        ),
        Flaw.NO_EXCLUSION_CONSTRAINT: FlawFacts(
            mechanism="an exclusion constraint and an overlap query under an advisory lock",
            what_is_wrong="the database accepts overlapping rows of one person; only the lock in Redis protects",
        ),
        Flaw.REDIS_REQUIRED: FlawFacts(
            mechanism="booking goes on without Redis, under the protection of the database",
            what_is_wrong="everything stops while Redis cannot be reached",
        ),
        Flaw.UNBOUNDED_POOL_WAIT: FlawFacts(
            mechanism="bounded wait and bounded queue for a database connection; the rest is shed at once",
            what_is_wrong="callers queue for a database connection without any limit",
        ),
        Flaw.COMMIT_BEFORE_CALCOM: FlawFacts(
            mechanism="a booking is confirmed only after Cal.com has accepted it",
            what_is_wrong="the service confirms and commits although the Cal.com call failed",
            enablers=frozenset({Flaw.NO_RECONCILER}),
        ),
        Flaw.NO_RECONCILER: FlawFacts(
            mechanism="unknown outcomes are looked up, confirmed or compensated later",
            what_is_wrong="nothing compares calendar and database after an unknown outcome",
        ),
        Flaw.NO_READ_BACK: FlawFacts(
            mechanism="the range is read back from the calendar before a booking is confirmed",
            what_is_wrong="a booking made directly in the calendar, in the gap between Cal.com's check and its insert, "
            "is not seen: both stand",
        ),
        Flaw.NO_SAGA_COMPOUND: FlawFacts(
            mechanism="a service of several parts is booked as a whole, or what was booked of it is given back",
            what_is_wrong="when a later part is refused, the earlier ones stay booked, and nobody asked for them alone",
        ),
    }
)

PROFILES: Mapping[str, frozenset[Flaw]] = MappingProxyType(
    {
        "hardened": frozenset(),
        "as-reviewed": frozenset(
            {
                Flaw.LOCK_SHORTER_THAN_UPSTREAM,
                Flaw.LOCK_CHECK_THEN_SET,
                Flaw.NO_EXCLUSION_CONSTRAINT,
                Flaw.REDIS_REQUIRED,
                Flaw.UNBOUNDED_POOL_WAIT,
                Flaw.COMMIT_BEFORE_CALCOM,
                Flaw.NO_RECONCILER,
            }
        ),
    }
)
"""Named sets of flaws: `hardened` has none, `as-reviewed` is what the go/no-go review found."""


def parse_flaws(names: Iterable[str]) -> frozenset[Flaw]:
    """Flaws by name; empty names are skipped.

    Raises:
        ValueError: a name is not in the catalogue; the message lists the known ones.
    """
    wanted = [name.strip() for name in names if name.strip()]
    known = {flaw.value for flaw in Flaw}
    if unknown := sorted(set(wanted) - known):
        raise ValueError(f"unknown flaw {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    return frozenset(Flaw(name) for name in wanted)
