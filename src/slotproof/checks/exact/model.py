"""A resolved history: bookings and moves that took effect, and readers (CHECKER.md sections 1 and 2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from slotproof.record.columns import END_UNKNOWN as END_UNKNOWN  # it happened, nobody knows when: after every event
from slotproof.record.columns import WHOLE as WHOLE

BEFORE = -(2**61)
"""Before every event."""
NEVER = END_UNKNOWN + 1
"""It did not happen. Later than END_UNKNOWN: to confuse the two accepts impossible histories."""
BEYOND = END_UNKNOWN + 2
"""No bound at all."""

Range = tuple[int, int]


class Role(Enum):
    """What an op does in a witness."""

    BOOK = "book"
    CANCEL = "cancel"
    READ = "read"
    MOVE = "move"


class Unit(NamedTuple):
    """Something that a witness keeps or drops as a whole: one op, or all attempts of one request.

    `key` is the booking's id for BOOK and CANCEL, the op's number otherwise.
    """

    role: Role
    key: str | int


@dataclass(frozen=True, slots=True)
class Move:
    """An atomic move of a booking to another range, at one instant of [since, until]; `optional`: or never."""

    op: int
    to: Range
    since: int
    until: int
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Booking:
    """A booking that took effect: it began in [begin_since, begin_until] and ended in [end_since, end_until].

    Never cancelled: both ends are NEVER. `optional`: without a ledger nobody knows whether it took effect at all.
    `end_until` NEVER with an earlier `end_since`: nobody knows whether its cancel took effect. `rest`: where the ledger
    has it live, when it says so.
    """

    id: str
    range: Range
    begin_since: int
    begin_until: int
    end_since: int
    end_until: int
    book_ops: tuple[int, ...]
    cancel_ops: tuple[int, ...]
    moves: tuple[Move, ...] = ()
    optional: bool = False
    rest: Range | None = None

    @property
    def ends(self) -> bool:
        return self.end_since < NEVER


class Claim(Enum):
    """What a reply says about the state at one instant of its interval."""

    FREE = "nothing held the range"
    HELD = "something held the range"
    HELD_BY_OTHER = "something other than the booking held the range"
    HELD_BY = "the booking held the range"
    NOT_HELD = "the booking was not held"
    HAD_PLACE = "the booking was held, or there was room for it"


@dataclass(frozen=True, slots=True)
class Reader:
    """A reply that changes nothing. `id`: the booking that the claim names. `told`: how a sentence says it."""

    op: int
    claim: Claim
    range: Range
    since: int
    until: int
    id: str | None = None
    told: str = ""


@dataclass(frozen=True)
class Group:
    """Bookings and readers of one resource whose ranges hang together: nothing outside can matter to them."""

    resource: str
    bookings: tuple[Booking, ...]
    readers: tuple[Reader, ...]
    capacity: int = 1

    @property
    def is_slot(self) -> bool:
        """One range, sold to one at a time: decided by the greedy."""
        ranges = {booking.range for booking in self.bookings} | {
            reader.range for reader in self.readers if reader.claim is not Claim.NOT_HELD
        }
        moves = any(booking.moves for booking in self.bookings) or any(
            reader.claim is Claim.HELD_BY_OTHER for reader in self.readers
        )
        return self.capacity == 1 and len(ranges) <= 1 and not moves


def overlap(one: Range, other: Range) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def hull(booking: Booking) -> Range:
    """From the first to the last instant of all ranges that the booking may have."""
    ranges = [booking.range, *(move.to for move in booking.moves)]
    return min(start for start, _ in ranges), max(end for _, end in ranges)
